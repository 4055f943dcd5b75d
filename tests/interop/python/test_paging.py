"""boto3's paginators: every list is the same whatever the size of its pages."""

import pytest
from botocore.exceptions import ClientError


@pytest.fixture(scope="module")
def stock(service):
    """Five of everything."""
    iot = service.iot
    arns = []
    for number in range(5):
        iot.create_thing(thingName=f"paging-{number}", attributePayload={"attributes": {"paging": "yes"}})
        arns.append(f"arn:aws:iot:us-east-1:123456789012:thing/paging-{number}")
        iot.create_thing_group(thingGroupName=f"paging-{number}")
        iot.add_thing_to_thing_group(thingGroupName=f"paging-{number}", thingName="paging-0")
        if number:
            iot.add_thing_to_thing_group(thingGroupName="paging-0", thingName=f"paging-{number}")
        iot.create_job_template(jobTemplateId=f"paging-{number}", description="x", document="{}")
    for number in range(5):
        iot.create_job(jobId=f"paging-{number}", targets=arns, document="{}")


# Operation, its other members, the member with the list, how an entry is told apart.
LISTS = [
    ("list_jobs", {}, "jobs", lambda entry: entry["jobId"]),
    ("list_job_executions_for_job", {"jobId": "paging-0"}, "executionSummaries", lambda entry: entry["thingArn"]),
    ("list_job_executions_for_thing", {"thingName": "paging-0"}, "executionSummaries", lambda entry: entry["jobId"]),
    ("list_job_templates", {}, "jobTemplates", lambda entry: entry["jobTemplateId"]),
    ("list_managed_job_templates", {}, "managedJobTemplates", lambda entry: entry["templateName"]),
    ("list_things", {}, "things", lambda entry: entry["thingName"]),
    ("list_thing_groups", {}, "thingGroups", lambda entry: entry["groupName"]),
    ("list_things_in_thing_group", {"thingGroupName": "paging-0"}, "things", lambda entry: entry),
    ("list_thing_groups_for_thing", {"thingName": "paging-0"}, "thingGroups", lambda entry: entry["groupName"]),
]


@pytest.mark.parametrize(("operation", "members", "member", "key"), LISTS, ids=[row[0] for row in LISTS])
def test_pages_are_the_list_in_parts(iot, stock, operation, members, member, key):
    pages = iot.get_paginator(operation).paginate(**members)
    whole = [key(entry) for page in pages for entry in page[member]]
    assert len(whole) >= 5 and len(set(whole)) == len(whole)
    for size in [3, 250] if operation == "list_things" else [1, 2, 250]:
        pages = list(iot.get_paginator(operation).paginate(**members, PaginationConfig={"PageSize": size}))
        assert [key(entry) for page in pages for entry in page[member]] == whole
        assert all(len(page[member]) == size for page in pages[:-1])
        # The last page says that it is the last, and none is empty.
        assert "nextToken" not in pages[-1] and 1 <= len(pages[-1][member]) <= size


@pytest.mark.parametrize(("operation", "members", "member", "key"), LISTS, ids=[row[0] for row in LISTS])
def test_a_page_has_from_1_to_250_entries(service, stock, operation, members, member, key):
    # botocore itself lets no 0 pass.
    careless = service.client("iot", parameter_validation=False)
    for size in [-1, 0, 251, "many"]:
        with pytest.raises(ClientError) as refused:
            getattr(careless, operation)(**members, maxResults=size)
        assert refused.value.response["Error"]["Code"] == "InvalidRequestException"


def test_what_comes_and_goes_between_pages_leaves_no_gap(iot, fresh):
    group = fresh.group(fresh.thing())
    jobs = [fresh.job(groups=[group]) for _ in range(5)]
    first = iot.list_jobs(thingGroupName=group, maxResults=2)
    assert [job["jobId"] for job in first["jobs"]] == [jobs[4], jobs[3]]
    iot.delete_job(jobId=jobs[3], force=True)
    fresh.job(groups=[group])
    rest = iot.list_jobs(thingGroupName=group, nextToken=first["nextToken"])
    assert [job["jobId"] for job in rest["jobs"]] == [jobs[2], jobs[1], jobs[0]]


@pytest.mark.parametrize(("operation", "members", "member", "key"), LISTS, ids=[row[0] for row in LISTS])
def test_a_token_that_was_not_given_out_is_refused(iot, stock, operation, members, member, key):
    other = "list_jobs" if operation != "list_jobs" else "list_things"
    for token in ["nobody-gave-this", getattr(iot, other)(maxResults=1)["nextToken"]]:
        with pytest.raises(iot.exceptions.InvalidRequestException):
            getattr(iot, operation)(**members, nextToken=token)

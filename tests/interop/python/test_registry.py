"""boto3, control plane: things and groups, endpoint, events, tags."""

import pytest
from botocore.exceptions import ClientError

from support.local import ARN, group_arn, thing_arn


def test_a_thing_is_created_described_and_deleted(iot, fresh):
    thing = fresh.name("thing")
    created = iot.create_thing(thingName=thing, attributePayload={"attributes": {"site": "north"}})
    assert (created["thingName"], created["thingArn"]) == (thing, thing_arn(thing))
    described = iot.describe_thing(thingName=thing)
    assert described["thingId"] == created["thingId"] and len(created["thingId"]) == 36
    assert (described["thingArn"], described["version"]) == (thing_arn(thing), 1)
    assert described["attributes"] == {"site": "north"} and described["defaultClientId"] == thing
    iot.delete_thing(thingName=thing)
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_thing(thingName=thing)
    iot.delete_thing(thingName=thing)


def test_the_same_thing_again_is_no_error_and_another_of_that_name_is(iot, fresh):
    thing = fresh.name("thing")
    created = iot.create_thing(thingName=thing)
    assert iot.create_thing(thingName=thing)["thingId"] == created["thingId"]
    with pytest.raises(iot.exceptions.ResourceAlreadyExistsException) as refused:
        iot.create_thing(thingName=thing, attributePayload={"attributes": {"a": "b"}})
    assert refused.value.response["resourceArn"] == thing_arn(thing)


@pytest.mark.parametrize("thing", ["a:b", "x" * 128, "-_:0", "UPPER"])
def test_every_name_that_the_pattern_allows_is_taken_on_every_way(iot, data, fresh, thing):
    iot.create_thing(thingName=thing)
    job = fresh.job(thing)
    assert iot.describe_thing(thingName=thing)["thingName"] == thing
    assert iot.list_job_executions_for_thing(thingName=thing)["executionSummaries"][0]["jobId"] == job
    assert data.get_pending_job_executions(thingName=thing)["queuedJobs"][0]["jobId"] == job
    assert data.start_next_pending_job_execution(thingName=thing)["execution"]["thingName"] == thing
    data.update_job_execution(thingName=thing, jobId=job, status="SUCCEEDED")
    assert iot.describe_job_execution(thingName=thing, jobId=job)["execution"]["thingArn"] == thing_arn(thing)


@pytest.mark.parametrize("thing", ["a b", "a/b", "a+b", "#", "$next", "é", "a%2Fb"])
def test_a_name_that_the_pattern_does_not_allow_is_refused(iot, thing):
    with pytest.raises(iot.exceptions.InvalidRequestException):
        iot.create_thing(thingName=thing)


def test_a_thing_is_deleted_in_the_version_that_is_expected(iot, fresh):
    thing = fresh.thing()
    with pytest.raises(iot.exceptions.VersionConflictException):
        iot.delete_thing(thingName=thing, expectedVersion=2)
    iot.delete_thing(thingName=thing, expectedVersion=1)


def test_a_thing_is_updated_in_the_version_that_is_expected(iot, fresh):
    thing = fresh.thing()
    iot.update_thing(thingName=thing, attributePayload={"attributes": {"a": "b"}}, expectedVersion=1)
    described = iot.describe_thing(thingName=thing)
    assert (described["attributes"], described["version"]) == ({"a": "b"}, 2)
    iot.update_thing(thingName=thing, attributePayload={"attributes": {"c": "d"}, "merge": True})
    assert iot.describe_thing(thingName=thing)["attributes"] == {"a": "b", "c": "d"}
    iot.update_thing(thingName=thing, attributePayload={"attributes": {"e": "f"}})
    assert iot.describe_thing(thingName=thing)["attributes"] == {"e": "f"}
    with pytest.raises(iot.exceptions.VersionConflictException):
        iot.update_thing(thingName=thing, attributePayload={"attributes": {}}, expectedVersion=1)
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.update_thing(thingName="nobody", attributePayload={"attributes": {}})


def test_the_groups_of_a_thing_are_updated_at_once(iot, fresh):
    thing, [one, two, three] = fresh.thing(), [fresh.group() for _ in range(3)]
    iot.update_thing_groups_for_thing(thingName=thing, thingGroupsToAdd=[one, two])
    iot.update_thing_groups_for_thing(thingName=thing, thingGroupsToAdd=[three], thingGroupsToRemove=[one])
    groups = iot.list_thing_groups_for_thing(thingName=thing)["thingGroups"]
    assert {entry["groupName"] for entry in groups} == {two, three}
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.update_thing_groups_for_thing(thingName=thing, thingGroupsToAdd=["nobody"])


def test_a_job_is_tagged_and_untagged(iot, fresh):
    job = fresh.job(fresh.thing(), tags=[{"Key": "team", "Value": "north"}])
    arn = f"{ARN}:job/{job}"
    assert iot.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "team", "Value": "north"}]
    iot.tag_resource(resourceArn=arn, tags=[{"Key": "team", "Value": "south"}, {"Key": "cost", "Value": ""}])
    tags = {tag["Key"]: tag["Value"] for tag in iot.list_tags_for_resource(resourceArn=arn)["tags"]}
    assert tags == {"team": "south", "cost": ""}
    iot.untag_resource(resourceArn=arn, tagKeys=["team"])
    assert [tag["Key"] for tag in iot.list_tags_for_resource(resourceArn=arn)["tags"]] == ["cost"]
    nothing = f"{ARN}:job/nothing"
    calls = [
        lambda: iot.list_tags_for_resource(resourceArn=nothing),
        lambda: iot.tag_resource(resourceArn=nothing, tags=[{"Key": "a", "Value": "b"}]),
        lambda: iot.untag_resource(resourceArn=nothing, tagKeys=["a"]),
    ]
    for call in calls:
        with pytest.raises(iot.exceptions.ResourceNotFoundException):
            call()


def test_things_are_listed_by_attribute(iot, fresh):
    thing, value = fresh.name("thing"), fresh.name("value")
    iot.create_thing(thingName=thing, attributePayload={"attributes": {"key": value}})
    listed = iot.list_things(attributeName="key", attributeValue=value)["things"]
    assert [(entry["thingName"], entry["thingArn"]) for entry in listed] == [(thing, thing_arn(thing))]
    assert (listed[0]["attributes"], listed[0]["version"]) == ({"key": value}, 1)


def test_a_group_is_created_described_and_deleted(iot, fresh):
    parent, child = fresh.name("group"), fresh.name("group")
    root = iot.create_thing_group(thingGroupName=parent)
    assert (root["thingGroupName"], root["thingGroupArn"]) == (parent, group_arn(parent))
    properties = {"thingGroupDescription": "North", "attributePayload": {"attributes": {"a": "b"}}}
    created = iot.create_thing_group(thingGroupName=child, parentGroupName=parent, thingGroupProperties=properties)
    described = iot.describe_thing_group(thingGroupName=child)
    assert (described["thingGroupId"], described["version"]) == (created["thingGroupId"], 1)
    assert described["thingGroupProperties"] == properties
    metadata = described["thingGroupMetadata"]
    assert metadata["parentGroupName"] == parent
    assert metadata["rootToParentThingGroups"] == [{"groupName": parent, "groupArn": group_arn(parent)}]
    with pytest.raises(iot.exceptions.InvalidRequestException):
        iot.delete_thing_group(thingGroupName=parent)
    iot.delete_thing_group(thingGroupName=child)
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_thing_group(thingGroupName=child)
    iot.delete_thing_group(thingGroupName=child)


def test_the_same_group_again_is_no_error_and_another_of_that_name_is(iot, fresh):
    group = fresh.name("group")
    created = iot.create_thing_group(thingGroupName=group)
    assert iot.create_thing_group(thingGroupName=group)["thingGroupId"] == created["thingGroupId"]
    with pytest.raises(iot.exceptions.ResourceAlreadyExistsException):
        iot.create_thing_group(thingGroupName=group, thingGroupProperties={"thingGroupDescription": "x"})


def test_a_group_is_deleted_in_the_version_that_is_expected(iot, fresh):
    group = fresh.group()
    with pytest.raises(iot.exceptions.VersionConflictException):
        iot.delete_thing_group(thingGroupName=group, expectedVersion=2)


def test_things_join_and_leave_groups(iot, fresh):
    thing, group = fresh.thing(), fresh.group()
    iot.add_thing_to_thing_group(thingGroupArn=group_arn(group), thingArn=thing_arn(thing))
    iot.add_thing_to_thing_group(thingGroupName=group, thingName=thing)
    assert iot.list_things_in_thing_group(thingGroupName=group)["things"] == [thing]
    groups = iot.list_thing_groups_for_thing(thingName=thing)["thingGroups"]
    assert groups == [{"groupName": group, "groupArn": group_arn(group)}]
    iot.remove_thing_from_thing_group(thingGroupName=group, thingName=thing)
    assert iot.list_things_in_thing_group(thingGroupName=group)["things"] == []
    assert iot.list_thing_groups_for_thing(thingName=thing)["thingGroups"] == []


def test_groups_below_are_listed_when_asked_for(iot, fresh):
    thing, parent = fresh.thing(), fresh.group()
    fresh.group(thing, parent=parent)
    assert iot.list_things_in_thing_group(thingGroupName=parent)["things"] == []
    assert iot.list_things_in_thing_group(thingGroupName=parent, recursive=True)["things"] == [thing]


def test_groups_are_listed_by_prefix(iot, fresh):
    group = fresh.group()
    listed = iot.list_thing_groups(namePrefixFilter=group)["thingGroups"]
    assert {"groupName": group, "groupArn": group_arn(group)} in listed
    assert all(entry["groupName"].startswith(group) for entry in listed)


def test_a_thing_is_in_at_most_10_groups(iot, fresh):
    thing = fresh.thing()
    for _ in range(10):
        fresh.group(thing)
    with pytest.raises(ClientError):
        fresh.group(thing)


def test_unknown_things_and_groups_are_not_found(iot, fresh):
    thing, group = fresh.thing(), fresh.group()
    calls = [
        lambda: iot.describe_thing(thingName="nobody"),
        lambda: iot.describe_thing_group(thingGroupName="nobody"),
        lambda: iot.add_thing_to_thing_group(thingGroupName=group, thingName="nobody"),
        lambda: iot.add_thing_to_thing_group(thingGroupName="nobody", thingName=thing),
        lambda: iot.remove_thing_from_thing_group(thingGroupName="nobody", thingName=thing),
        lambda: iot.list_things_in_thing_group(thingGroupName="nobody"),
        lambda: iot.list_thing_groups_for_thing(thingName="nobody"),
    ]
    for number, call in enumerate(calls):
        with pytest.raises(iot.exceptions.ResourceNotFoundException):
            call()
            pytest.fail(f"call {number} was answered")


def test_a_group_below_an_unknown_group_is_refused(iot, fresh):
    with pytest.raises(iot.exceptions.InvalidRequestException):
        iot.create_thing_group(thingGroupName=fresh.name("group"), parentGroupName="nobody")


def test_the_endpoint_is_a_bare_name_that_the_certificate_is_for(iot):
    for kind in [{}, {"endpointType": "iot:Data"}, {"endpointType": "iot:Data-ATS"}]:
        address = iot.describe_endpoint(**kind)["endpointAddress"]
        assert address == "localhost"


@pytest.mark.parametrize("kind", ["iot:Jobs", "iot:Nothing", ""])
def test_an_endpoint_of_another_kind_is_refused(iot, kind):
    with pytest.raises(iot.exceptions.InvalidRequestException) as refused:
        iot.describe_endpoint(endpointType=kind)
    if kind == "iot:Jobs":
        assert "iot:Data-ATS" in refused.value.response["Error"]["Message"]


def test_events_are_switched(iot):
    def enabled():
        configurations = iot.describe_event_configurations()["eventConfigurations"]
        return {name for name, entry in configurations.items() if entry["Enabled"]}

    before = enabled()
    iot.update_event_configurations(eventConfigurations={"JOB": {"Enabled": False}, "JOB_EXECUTION": {"Enabled": True}})
    assert enabled() == {"JOB_EXECUTION"}
    iot.update_event_configurations(eventConfigurations={"JOB": {"Enabled": True}})
    assert enabled() == {"JOB", "JOB_EXECUTION"}
    with pytest.raises(iot.exceptions.InvalidRequestException):
        iot.update_event_configurations(eventConfigurations={"NOTHING": {"Enabled": True}})
    both = {name: {"Enabled": name in before} for name in ["JOB", "JOB_EXECUTION"]}
    iot.update_event_configurations(eventConfigurations=both)


def test_what_the_service_does_not_have_is_refused_by_name_and_never_a_success(iot):
    with pytest.raises(ClientError) as refused:
        iot.list_ca_certificates()
    assert refused.value.response["Error"]["Code"] == "NotImplemented"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501

"""boto3, control plane: jobs."""

import json

import pytest

from support.local import ARN, group_arn, thing_arn

COUNTERS = {
    "numberOfCanceledThings",
    "numberOfSucceededThings",
    "numberOfFailedThings",
    "numberOfRejectedThings",
    "numberOfQueuedThings",
    "numberOfInProgressThings",
    "numberOfRemovedThings",
    "numberOfTimedOutThings",
}


def counters(iot, job):
    """The counters that are not 0."""
    details = iot.describe_job(jobId=job)["job"]["jobProcessDetails"]
    return {name: count for name, count in details.items() if name != "processingTargets" and count}


def status(iot, job):
    return iot.describe_job(jobId=job)["job"]["status"]


def test_a_job_is_created_and_described(iot, fresh):
    thing, job = fresh.thing(), fresh.name("job")
    created = iot.create_job(jobId=job, targets=[thing_arn(thing)], document="{}", description="What for")
    assert (created["jobId"], created["jobArn"]) == (job, f"{ARN}:job/{job}")
    assert created["description"] == "What for"
    described = iot.describe_job(jobId=job)["job"]
    assert described["jobArn"] == created["jobArn"]
    assert described["status"] == "IN_PROGRESS"
    assert described["targetSelection"] == "SNAPSHOT"
    assert described["targets"] == [thing_arn(thing)]
    assert described["description"] == "What for"
    assert described["createdAt"] <= described["lastUpdatedAt"]
    assert "completedAt" not in described and "comment" not in described and "reasonCode" not in described
    assert COUNTERS <= set(described["jobProcessDetails"])
    assert counters(iot, job) == {"numberOfQueuedThings": 1}


def test_a_job_without_description_has_none(iot, fresh):
    job = fresh.name("job")
    created = iot.create_job(jobId=job, targets=[thing_arn(fresh.thing())], document="{}")
    assert "description" not in created
    assert "description" not in iot.describe_job(jobId=job)["job"]


def test_the_configurations_of_a_job_are_described_as_they_were_given(iot, fresh):
    given = {
        "timeoutConfig": {"inProgressTimeoutInMinutes": 10080},
        "abortConfig": {
            "criteriaList": [
                {"failureType": "FAILED", "action": "CANCEL", "thresholdPercentage": 12.5, "minNumberOfExecutedThings": 3}
            ]
        },
        "jobExecutionsRetryConfig": {"criteriaList": [{"failureType": "FAILED", "numberOfRetries": 2}]},
    }
    job = fresh.job(fresh.thing(), **given)
    described = iot.describe_job(jobId=job)["job"]
    assert {name: described[name] for name in given} == given


def test_the_document_comes_back_as_it_was_stored(iot, fresh):
    document = '{ "b": 1.50,\t"a": [null, "\\u00e9é"] , "a": {}}'
    job = fresh.job(fresh.thing(), document=document)
    assert iot.get_job_document(jobId=job)["document"] == document


@pytest.mark.parametrize("size", [32767, 32768])
def test_a_document_may_have_32_kb(iot, data, fresh, size):
    text = "x" * (size - len('{"a":""}'))
    thing = fresh.thing()
    job = fresh.job(thing, document=json.dumps({"a": text}, separators=(",", ":")))
    assert len(iot.get_job_document(jobId=job)["document"]) == size
    received = data.describe_job_execution(thingName=thing, jobId=job)["execution"]["jobDocument"]
    assert json.loads(received) == {"a": text}


def test_a_document_may_have_no_more(iot, fresh):
    document = '{"a":"' + "x" * 32768 + '"}'
    with pytest.raises(iot.exceptions.InvalidRequestException):
        fresh.job(fresh.thing(), document=document)


def test_the_limit_counts_characters_not_bytes(iot, fresh):
    document = '{"a":"' + "é" * 32000 + '"}'
    job = fresh.job(fresh.thing(), document=document)
    assert iot.get_job_document(jobId=job)["document"] == document


@pytest.mark.parametrize("document", ["", "{", "text", '{"a":NaN}', '{"a":Infinity}', "{'a':1}", '{"a":1} x'])
def test_a_document_that_is_not_json_is_refused(iot, fresh, document):
    with pytest.raises(iot.exceptions.InvalidRequestException) as refused:
        fresh.job(fresh.thing(), document=document)
    if document:
        assert "invalid JSON document" in refused.value.response["Error"]["Message"]


def test_the_same_id_again_is_refused_with_the_resource(iot, fresh):
    thing = fresh.thing()
    job = fresh.job(thing)
    with pytest.raises(iot.exceptions.ResourceAlreadyExistsException) as refused:
        iot.create_job(jobId=job, targets=[thing_arn(thing)], document="{}")
    assert refused.value.response["resourceId"] == job
    assert refused.value.response["resourceArn"] == f"{ARN}:job/{job}"


@pytest.mark.parametrize(
    "target",
    [
        f"{ARN}:thing/nobody",
        f"{ARN}:thinggroup/nobody",
        "arn:aws:iot:eu-west-1:123456789012:thing/interop",
        "arn:aws:iot:us-east-1:000000000000:thing/interop",
    ],
)
def test_an_unknown_target_is_not_found(iot, fresh, target):
    with pytest.raises(iot.exceptions.ResourceNotFoundException) as refused:
        iot.create_job(jobId=fresh.name("job"), targets=[target], document="{}")
    name = target.rsplit("/", 1)[1]
    kind = "Thing Group" if "thinggroup" in target else "Thing"
    assert refused.value.response["Error"]["Message"] == f"{kind} {name} cannot be found."


@pytest.mark.parametrize("target", ["interop", "arn:aws:s3:::bucket", f"{ARN}:job/x", f"{ARN}:thing/"])
def test_a_target_that_is_no_arn_of_a_thing_is_refused(iot, fresh, target):
    with pytest.raises(iot.exceptions.InvalidRequestException):
        iot.create_job(jobId=fresh.name("job"), targets=[target], document="{}")


def test_a_job_has_at_most_100_targets(iot, fresh):
    things = [fresh.thing() for _ in range(101)]
    job = fresh.job(*things[:100])
    assert counters(iot, job) == {"numberOfQueuedThings": 100}
    with pytest.raises((iot.exceptions.InvalidRequestException, iot.exceptions.LimitExceededException)):
        fresh.job(*things)


def test_a_thing_that_is_reached_twice_gets_one_execution(iot, fresh):
    thing = fresh.thing()
    job = fresh.job(thing, thing, groups=[fresh.group(thing), fresh.group(thing)])
    assert counters(iot, job) == {"numberOfQueuedThings": 1}


def test_a_job_for_a_group_reaches_things_of_groups_below(iot, fresh):
    inner, outer = fresh.thing(), fresh.thing()
    parent = fresh.group(outer)
    fresh.group(inner, parent=parent)
    assert counters(iot, fresh.job(groups=[parent])) == {"numberOfQueuedThings": 2}


def test_a_job_whose_executions_are_over_is_completed_whatever_they_came_to(iot, data, fresh):
    things = [fresh.thing() for _ in range(3)]
    job = fresh.job(*things)
    for thing, outcome in zip(things, ["SUCCEEDED", "FAILED", "REJECTED"], strict=True):
        assert status(iot, job) == "IN_PROGRESS"
        data.update_job_execution(thingName=thing, jobId=job, status=outcome)
    described = iot.describe_job(jobId=job)["job"]
    assert described["status"] == "COMPLETED"
    assert described["completedAt"] >= described["createdAt"]
    assert counters(iot, job) == {
        "numberOfSucceededThings": 1,
        "numberOfFailedThings": 1,
        "numberOfRejectedThings": 1,
    }


def test_a_job_for_a_group_without_things_is_completed_at_once(iot, fresh):
    assert status(iot, fresh.job(groups=[fresh.group()])) == "COMPLETED"


def test_a_continuous_job_takes_things_that_join_later(iot, fresh):
    early, late = fresh.thing(), fresh.thing()
    group = fresh.group(early)
    job = fresh.job(groups=[group], targetSelection="CONTINUOUS")
    assert iot.describe_job(jobId=job)["job"]["targetSelection"] == "CONTINUOUS"
    iot.add_thing_to_thing_group(thingGroupName=group, thingName=late)
    assert counters(iot, job) == {"numberOfQueuedThings": 2}
    iot.remove_thing_from_thing_group(thingGroupName=group, thingName=late)
    assert counters(iot, job) == {"numberOfQueuedThings": 1, "numberOfRemovedThings": 1}


def test_a_continuous_job_runs_again_on_a_thing_that_leaves_and_joins(iot, data, fresh):
    thing = fresh.thing()
    group = fresh.group(thing)
    job = fresh.job(groups=[group], targetSelection="CONTINUOUS")
    data.update_job_execution(thingName=thing, jobId=job, status="SUCCEEDED")
    assert status(iot, job) == "IN_PROGRESS"
    iot.remove_thing_from_thing_group(thingGroupName=group, thingName=thing)
    iot.add_thing_to_thing_group(thingGroupName=group, thingName=thing)
    execution = iot.describe_job_execution(jobId=job, thingName=thing)["execution"]
    assert (execution["executionNumber"], execution["versionNumber"], execution["status"]) == (2, 1, "QUEUED")
    first = iot.describe_job_execution(jobId=job, thingName=thing, executionNumber=1)["execution"]
    assert first["status"] == "SUCCEEDED"
    # Executions are counted, not things.
    assert counters(iot, job) == {"numberOfSucceededThings": 1, "numberOfQueuedThings": 1}


def test_a_job_is_updated_while_it_is_open(iot, fresh):
    job = fresh.job(fresh.thing(), description="before")
    iot.update_job(jobId=job, description="after", timeoutConfig={"inProgressTimeoutInMinutes": 7})
    described = iot.describe_job(jobId=job)["job"]
    assert described["description"] == "after"
    assert described["timeoutConfig"] == {"inProgressTimeoutInMinutes": 7}


def test_an_update_without_content_is_refused(iot, fresh):
    job = fresh.job(fresh.thing())
    with pytest.raises(iot.exceptions.InvalidRequestException) as refused:
        iot.update_job(jobId=job)
    assert refused.value.response["Error"]["Message"] == f"Update Job request for job {job} cannot be empty."


def test_a_job_that_is_over_is_not_updated(iot, fresh):
    job = fresh.job(groups=[fresh.group()])
    with pytest.raises(iot.exceptions.InvalidRequestException) as refused:
        iot.update_job(jobId=job, description="late")
    assert refused.value.response["Error"]["Message"] == f"Job {job} in status COMPLETED cannot be updated."


@pytest.mark.parametrize("minutes", [0, 10081])
def test_a_time_limit_is_from_1_to_10080_minutes(iot, fresh, minutes):
    with pytest.raises(iot.exceptions.InvalidRequestException):
        fresh.job(fresh.thing(), timeoutConfig={"inProgressTimeoutInMinutes": minutes})
    job = fresh.job(fresh.thing())
    with pytest.raises(iot.exceptions.InvalidRequestException) as refused:
        iot.update_job(jobId=job, timeoutConfig={"inProgressTimeoutInMinutes": minutes})
    wanted = f"Provide valid timeout value, inProgressTimeoutInMinutes cannot be {minutes}."
    assert refused.value.response["Error"]["Message"] == wanted


def test_a_cancelled_job_leaves_alone_what_has_begun(iot, data, fresh):
    queued, running = fresh.thing(), fresh.thing()
    job = fresh.job(queued, running, description="What for")
    data.start_next_pending_job_execution(thingName=running)
    cancelled = iot.cancel_job(jobId=job, reasonCode="NOT_NEEDED", comment="a mistake")
    assert (cancelled["jobId"], cancelled["jobArn"]) == (job, f"{ARN}:job/{job}")
    assert cancelled["description"] == "What for"
    described = iot.describe_job(jobId=job)["job"]
    assert (described["status"], described["reasonCode"], described["comment"]) == ("CANCELED", "NOT_NEEDED", "a mistake")
    assert counters(iot, job) == {"numberOfCanceledThings": 1, "numberOfInProgressThings": 1}
    data.update_job_execution(thingName=running, jobId=job, status="SUCCEEDED")
    assert counters(iot, job) == {"numberOfCanceledThings": 1, "numberOfSucceededThings": 1}
    assert status(iot, job) == "CANCELED"


def test_a_job_that_is_cancelled_by_force_takes_what_has_begun_along(iot, data, fresh):
    thing = fresh.thing()
    job = fresh.job(thing)
    data.start_next_pending_job_execution(thingName=thing)
    iot.cancel_job(jobId=job, force=True)
    described = iot.describe_job(jobId=job)["job"]
    assert (described["status"], described["forceCanceled"]) == ("CANCELED", True)
    execution = iot.describe_job_execution(jobId=job, thingName=thing)["execution"]
    assert (execution["status"], execution["forceCanceled"], execution["versionNumber"]) == ("CANCELED", True, 3)


def test_a_job_that_is_over_cannot_be_cancelled(iot, fresh):
    job = fresh.job(groups=[fresh.group()])
    with pytest.raises(iot.exceptions.InvalidRequestException):
        iot.cancel_job(jobId=job)


def test_a_reason_code_is_of_capitals_digits_and_underscores(iot, fresh):
    job = fresh.job(fresh.thing())
    with pytest.raises(iot.exceptions.InvalidRequestException):
        iot.cancel_job(jobId=job, reasonCode="not this")


def test_an_open_job_is_deleted_by_force_only(iot, fresh):
    job = fresh.job(fresh.thing())
    with pytest.raises(iot.exceptions.InvalidStateTransitionException):
        iot.delete_job(jobId=job)
    with pytest.raises(iot.exceptions.InvalidStateTransitionException):
        iot.delete_job(jobId=job, force=False)
    iot.delete_job(jobId=job, force=True)
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_job(jobId=job)


def test_a_job_that_is_over_is_deleted_without_force_and_its_id_is_free_again(iot, data, fresh):
    thing = fresh.thing()
    job = fresh.job(thing)
    data.update_job_execution(thingName=thing, jobId=job, status="SUCCEEDED")
    iot.delete_job(jobId=job)
    iot.create_job(jobId=job, targets=[thing_arn(thing)], document="{}")
    execution = iot.describe_job_execution(jobId=job, thingName=thing)["execution"]
    assert (execution["status"], execution["executionNumber"]) == ("QUEUED", 1)


def test_the_abort_criterion_cancels_what_is_queued_and_says_why(iot, data, fresh):
    things = [fresh.thing() for _ in range(4)]
    criterion = {"failureType": "FAILED", "action": "CANCEL", "thresholdPercentage": 30.0, "minNumberOfExecutedThings": 2}
    job = fresh.job(*things, abortConfig={"criteriaList": [criterion]})
    data.update_job_execution(thingName=things[0], jobId=job, status="FAILED")
    assert status(iot, job) == "IN_PROGRESS"
    data.update_job_execution(thingName=things[1], jobId=job, status="FAILED")
    described = iot.describe_job(jobId=job)["job"]
    assert (described["status"], described["reasonCode"]) == ("CANCELED", "ABORT_CANCEL")
    assert described["comment"] == (
        "Abort criteria for failure type FAILED with threshold 30.00% met. "
        "Total completed executions: 2, total FAILED executions: 2"
    )
    assert not described.get("forceCanceled")
    assert counters(iot, job) == {"numberOfFailedThings": 2, "numberOfCanceledThings": 2}


def test_a_failure_is_retried_as_an_execution_of_its_own(iot, data, fresh):
    thing = fresh.thing()
    retry = {"criteriaList": [{"failureType": "FAILED", "numberOfRetries": 1}]}
    job = fresh.job(thing, jobExecutionsRetryConfig=retry)
    data.update_job_execution(thingName=thing, jobId=job, status="FAILED")
    assert status(iot, job) == "IN_PROGRESS"
    execution = iot.describe_job_execution(jobId=job, thingName=thing)["execution"]
    assert (execution["status"], execution["executionNumber"]) == ("QUEUED", 2)
    data.update_job_execution(thingName=thing, jobId=job, status="FAILED")
    assert status(iot, job) == "COMPLETED"
    listed = iot.list_job_executions_for_job(jobId=job)["executionSummaries"]
    attempts = [entry["jobExecutionSummary"].get("retryAttempt", 0) for entry in listed]
    assert sorted(attempts) == [0, 1]


def test_targets_are_added_to_a_continuous_job_only(iot, fresh):
    thing, later = fresh.thing(), fresh.thing()
    job = fresh.job(groups=[fresh.group(thing)], targetSelection="CONTINUOUS", description="What for")
    group = fresh.group(later)
    added = iot.associate_targets_with_job(jobId=job, targets=[group_arn(group)], comment="more")
    assert (added["jobId"], added["jobArn"], added["description"]) == (job, f"{ARN}:job/{job}", "What for")
    described = iot.describe_job(jobId=job)["job"]
    assert group_arn(group) in described["targets"] and described["comment"] == "more"
    assert counters(iot, job) == {"numberOfQueuedThings": 2}
    with pytest.raises(iot.exceptions.InvalidRequestException):
        iot.associate_targets_with_job(jobId=fresh.job(thing), targets=[thing_arn(later)])


def test_jobs_are_listed_by_status_selection_and_group(iot, fresh):
    thing = fresh.thing()
    group = fresh.group(thing)
    snapshot = fresh.job(groups=[group])
    continuous = fresh.job(groups=[group], targetSelection="CONTINUOUS")
    cancelled = fresh.job(groups=[group])
    iot.cancel_job(jobId=cancelled)

    def listed(**wanted):
        return [job["jobId"] for job in iot.list_jobs(thingGroupName=group, **wanted)["jobs"]]

    assert set(listed()) == {snapshot, continuous, cancelled}
    assert listed(status="CANCELED") == [cancelled]
    assert listed(targetSelection="CONTINUOUS") == [continuous]
    assert listed(status="IN_PROGRESS", targetSelection="SNAPSHOT") == [snapshot]
    assert listed(status="COMPLETED") == []
    summary = iot.list_jobs(thingGroupName=group, status="CANCELED")["jobs"][0]
    assert summary["jobArn"] == f"{ARN}:job/{cancelled}"
    assert (summary["status"], summary["targetSelection"]) == ("CANCELED", "SNAPSHOT")
    assert summary["createdAt"] <= summary["lastUpdatedAt"]


def test_jobs_of_an_unknown_group_are_not_found(iot):
    with pytest.raises(iot.exceptions.ResourceNotFoundException) as refused:
        iot.list_jobs(thingGroupName="nobody")
    assert refused.value.response["Error"]["Message"] == "Thing Group nobody cannot be found."


@pytest.mark.parametrize(
    "call",
    [
        lambda iot: iot.describe_job(jobId="nothing"),
        lambda iot: iot.update_job(jobId="nothing", description="x"),
        lambda iot: iot.cancel_job(jobId="nothing"),
        lambda iot: iot.delete_job(jobId="nothing", force=True),
        lambda iot: iot.get_job_document(jobId="nothing"),
        lambda iot: iot.list_job_executions_for_job(jobId="nothing"),
        lambda iot: iot.associate_targets_with_job(jobId="nothing", targets=[thing_arn("interop")]),
    ],
    ids=["describe", "update", "cancel", "delete", "document", "executions", "associate"],
)
def test_an_unknown_job_is_not_found(iot, call):
    with pytest.raises(iot.exceptions.ResourceNotFoundException) as refused:
        call(iot)
    assert refused.value.response["Error"]["Message"] == "Job nothing cannot be found."
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


@pytest.mark.parametrize("job", ["a b", "a:b", "a.b", "é", "x" * 65])
def test_a_job_id_is_of_64_letters_digits_hyphens_and_underscores(iot, fresh, job):
    thing = fresh.thing()
    with pytest.raises(iot.exceptions.InvalidRequestException):
        iot.create_job(jobId=job, targets=[thing_arn(thing)], document="{}")


@pytest.mark.parametrize("job", ["x" * 64, "-", "_", "get", "start-next", "notify", "0"])
def test_every_id_that_the_pattern_allows_is_taken(iot, fresh, job):
    thing = fresh.thing()
    iot.create_job(jobId=job, targets=[thing_arn(thing)], document="{}")
    assert iot.describe_job_execution(jobId=job, thingName=thing)["execution"]["status"] == "QUEUED"
    iot.delete_job(jobId=job, force=True)

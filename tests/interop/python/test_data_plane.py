"""boto3, data plane over HTTP: `iot-jobs-data`, as a device without MQTT uses it."""

import json

import pytest


def test_pending_executions_are_listed_by_status(data, fresh):
    thing = fresh.thing()
    first, second = fresh.job(thing), fresh.job(thing)
    data.start_next_pending_job_execution(thingName=thing)
    pending = data.get_pending_job_executions(thingName=thing)
    assert [entry["jobId"] for entry in pending["inProgressJobs"]] == [first]
    assert [entry["jobId"] for entry in pending["queuedJobs"]] == [second]
    running, queued = pending["inProgressJobs"][0], pending["queuedJobs"][0]
    assert (running["versionNumber"], running["executionNumber"]) == (2, 1)
    assert running["queuedAt"] <= running["startedAt"] <= running["lastUpdatedAt"]
    assert "startedAt" not in queued and (queued["versionNumber"], queued["executionNumber"]) == (1, 1)


def test_a_thing_without_jobs_has_empty_lists_and_nothing_to_start(data, fresh):
    thing = fresh.thing()
    pending = data.get_pending_job_executions(thingName=thing)
    assert (pending["inProgressJobs"], pending["queuedJobs"]) == ([], [])
    assert "execution" not in data.start_next_pending_job_execution(thingName=thing)
    assert "execution" not in data.describe_job_execution(thingName=thing, jobId="$next")


def test_starting_takes_the_oldest_and_starting_again_changes_nothing(data, fresh):
    thing = fresh.thing()
    job = fresh.job(thing, document='{"operation":"a","n":null}')
    fresh.job(thing)
    started = data.start_next_pending_job_execution(thingName=thing, statusDetails={"a": "b"})["execution"]
    assert (started["jobId"], started["thingName"], started["status"]) == (job, thing, "IN_PROGRESS")
    assert (started["versionNumber"], started["executionNumber"]) == (2, 1)
    assert started["statusDetails"] == {"a": "b"}
    # A string here, and a member that is null is gone.
    assert started["jobDocument"] == '{"operation":"a"}'
    again = data.start_next_pending_job_execution(thingName=thing, statusDetails={"c": "d"})["execution"]
    assert again == started


def test_describing_next_starts_nothing(data, fresh):
    thing = fresh.thing()
    job = fresh.job(thing)
    described = data.describe_job_execution(thingName=thing, jobId="$next")["execution"]
    assert (described["jobId"], described["status"], described["versionNumber"]) == (job, "QUEUED", 1)
    assert "startedAt" not in described and "statusDetails" not in described
    by_name = data.describe_job_execution(thingName=thing, jobId=job, includeJobDocument=False, executionNumber=1)
    assert "jobDocument" not in by_name["execution"]


def test_an_update_answers_what_was_asked_for(data, fresh):
    thing = fresh.thing()
    job = fresh.job(thing, document='{"a":1}')

    def update(**more):
        answer = data.update_job_execution(thingName=thing, jobId=job, status="IN_PROGRESS", **more)
        return {name: value for name, value in answer.items() if name != "ResponseMetadata"}

    assert update(expectedVersion=1) == {}
    state = update(expectedVersion=2, includeJobExecutionState=True, statusDetails={"x": "y"})
    assert state == {"executionState": {"status": "IN_PROGRESS", "statusDetails": {"x": "y"}, "versionNumber": 3}}
    both = update(includeJobExecutionState=True, includeJobDocument=True, executionNumber=1, stepTimeoutInMinutes=5)
    assert json.loads(both["jobDocument"]) == {"a": 1}
    # Details that are not given stay.
    assert both["executionState"] == {"status": "IN_PROGRESS", "statusDetails": {"x": "y"}, "versionNumber": 4}


def test_details_that_are_given_replace_all_that_were_there(iot, data, fresh):
    thing = fresh.thing()
    job = fresh.job(thing)
    for details in [{"a": "1", "b": "2"}, {"c": "3"}, {}]:
        data.update_job_execution(thingName=thing, jobId=job, status="IN_PROGRESS", statusDetails=details)
        execution = data.describe_job_execution(thingName=thing, jobId=job)["execution"]
        assert execution["statusDetails"] == details


def refusal(call, **members):
    with pytest.raises(Exception) as refused:
        call(**members)
    response = refused.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Message"]


def test_another_version_than_the_one_expected_is_refused(data, fresh):
    thing = fresh.thing()
    job = fresh.job(thing)
    refused = refusal(data.update_job_execution, thingName=thing, jobId=job, status="FAILED", expectedVersion=5)
    assert refused == ("InvalidRequestException", 400, "Expected version 5 but found version 1")


@pytest.mark.parametrize("status", ["QUEUED", "CANCELED", "TIMED_OUT", "REMOVED"])
def test_a_status_that_is_not_the_devices_to_set_is_refused_before_anything_else(data, fresh, status):
    refused = refusal(data.update_job_execution, thingName=fresh.thing(), jobId="nothing", status=status)
    message = f"The status of job execution cannot be changed to be {status}"
    assert refused == ("InvalidStateTransitionException", 409, message)


def test_an_execution_that_is_over_is_neither_described_nor_updated(data, fresh):
    thing = fresh.thing()
    job = fresh.job(thing)
    data.update_job_execution(thingName=thing, jobId=job, status="REJECTED")
    assert refusal(data.describe_job_execution, thingName=thing, jobId=job) == (
        "TerminalStateException",
        410,
        "Job Execution has reached terminal state. It is neither IN_PROGRESS nor QUEUED",
    )
    assert refusal(data.update_job_execution, thingName=thing, jobId=job, status="SUCCEEDED") == (
        "InvalidStateTransitionException",
        409,
        f"Job {job} for {thing} has already finished with status REJECTED",
    )


def test_what_is_not_there_is_not_found(data, fresh):
    thing = fresh.thing()
    message = f"Job nothing not found for {thing}"
    wanted = ("ResourceNotFoundException", 404, message)
    assert refusal(data.update_job_execution, thingName=thing, jobId="nothing", status="FAILED") == wanted
    assert refusal(data.describe_job_execution, thingName=thing, jobId="nothing")[:2] == wanted[:2]
    job = fresh.job(thing)
    later = refusal(data.update_job_execution, thingName=thing, jobId=job, status="FAILED", executionNumber=2)
    assert later[:2] == wanted[:2]


@pytest.mark.parametrize(
    "details",
    [
        {"key with space": "x"},
        {"k" * 129: "x"},
        {"": "x"},
        {"k": ""},
        {"k": "x" * 1025},
        {"k": "a\x07b"},
        {f"k{n}": "x" for n in range(11)},
    ],
    ids=["key", "long key", "empty key", "empty value", "long value", "control character", "eleven"],
)
def test_details_beyond_the_limits_are_refused(data, fresh, details):
    thing = fresh.thing()
    job = fresh.job(thing)
    try:
        data.update_job_execution(thingName=thing, jobId=job, status="IN_PROGRESS", statusDetails=details)
    except Exception as refused:
        # botocore holds the lengths itself.
        code = getattr(refused, "response", {}).get("Error", {}).get("Code", type(refused).__name__)
        assert code in ("InvalidRequestException", "ParamValidationError"), refused
    else:
        pytest.fail("taken")


def test_details_at_the_limits_are_taken(data, fresh):
    thing = fresh.thing()
    job = fresh.job(thing)
    details = {f"{n}" + "k" * 127: "é" * 1024 for n in range(9)} | {"lines": "one\ntwo\r\n\tthree"}
    data.update_job_execution(thingName=thing, jobId=job, status="IN_PROGRESS", statusDetails=details)
    assert data.describe_job_execution(thingName=thing, jobId=job)["execution"]["statusDetails"] == details


def test_the_two_services_are_told_apart_by_their_signatures(iot, data, fresh):
    thing = fresh.thing()
    job = fresh.job(thing)
    assert "thingArn" in iot.describe_job_execution(thingName=thing, jobId=job)["execution"]
    assert "jobDocument" in data.describe_job_execution(thingName=thing, jobId=job)["execution"]

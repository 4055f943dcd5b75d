"""boto3, control plane: executions, as an operator sees them."""

import pytest

from support.local import thing_arn


def test_an_execution_is_described_from_queued_to_its_end(iot, data, fresh):
    thing = fresh.thing()
    job = fresh.job(thing)

    def described():
        return iot.describe_job_execution(jobId=job, thingName=thing)["execution"]

    queued = described()
    assert queued["jobId"] == job and queued["thingArn"] == thing_arn(thing)
    assert (queued["status"], queued["versionNumber"], queued["executionNumber"]) == ("QUEUED", 1, 1)
    assert queued["statusDetails"] == {} and "startedAt" not in queued and "forceCanceled" not in queued
    data.start_next_pending_job_execution(thingName=thing, statusDetails={"step": "1"})
    started = described()
    assert (started["status"], started["versionNumber"]) == ("IN_PROGRESS", 2)
    assert started["statusDetails"] == {"detailsMap": {"step": "1"}}
    assert started["startedAt"] >= started["queuedAt"]
    data.update_job_execution(thingName=thing, jobId=job, status="SUCCEEDED", statusDetails={"step": "2"})
    over = described()
    assert (over["status"], over["versionNumber"]) == ("SUCCEEDED", 3)
    assert over["statusDetails"] == {"detailsMap": {"step": "2"}}


def test_the_time_that_is_left_is_told_while_it_runs(iot, data, fresh):
    thing = fresh.thing()
    job = fresh.job(thing, timeoutConfig={"inProgressTimeoutInMinutes": 20})
    described = iot.describe_job_execution(jobId=job, thingName=thing)["execution"]
    assert "approximateSecondsBeforeTimedOut" not in described
    data.start_next_pending_job_execution(thingName=thing)
    described = iot.describe_job_execution(jobId=job, thingName=thing)["execution"]
    assert 1000 < described["approximateSecondsBeforeTimedOut"] <= 1200


def test_executions_are_listed_for_a_job_and_by_status(iot, data, fresh):
    done, queued = fresh.thing(), fresh.thing()
    job = fresh.job(done, queued)
    data.update_job_execution(thingName=done, jobId=job, status="SUCCEEDED")

    def listed(**wanted):
        entries = iot.list_job_executions_for_job(jobId=job, **wanted)["executionSummaries"]
        return {entry["thingArn"]: entry["jobExecutionSummary"]["status"] for entry in entries}

    assert listed() == {thing_arn(done): "SUCCEEDED", thing_arn(queued): "QUEUED"}
    assert listed(status="SUCCEEDED") == {thing_arn(done): "SUCCEEDED"}
    assert listed(status="IN_PROGRESS") == {}
    summary = iot.list_job_executions_for_job(jobId=job, status="SUCCEEDED")["executionSummaries"][0]
    summary = summary["jobExecutionSummary"]
    assert summary["executionNumber"] == 1 and summary["queuedAt"] <= summary["startedAt"] <= summary["lastUpdatedAt"]


def test_executions_are_listed_for_a_thing_newest_first(iot, data, fresh):
    thing = fresh.thing()
    jobs = [fresh.job(thing) for _ in range(3)]
    data.update_job_execution(thingName=thing, jobId=jobs[0], status="FAILED")

    def listed(**wanted):
        entries = iot.list_job_executions_for_thing(thingName=thing, **wanted)["executionSummaries"]
        return [entry["jobId"] for entry in entries]

    assert listed() == jobs[::-1]
    assert listed(status="FAILED") == [jobs[0]]
    assert listed(jobId=jobs[1]) == [jobs[1]]
    assert listed(status="FAILED", jobId=jobs[1]) == []


def test_an_unknown_thing_has_no_executions(iot):
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.list_job_executions_for_thing(thingName="nobody")


def test_a_queued_execution_is_cancelled(iot, fresh):
    thing = fresh.thing()
    job = fresh.job(thing, fresh.thing())
    iot.cancel_job_execution(jobId=job, thingName=thing, expectedVersion=1, statusDetails={"why": "because"})
    execution = iot.describe_job_execution(jobId=job, thingName=thing)["execution"]
    assert (execution["status"], execution["versionNumber"]) == ("CANCELED", 2)
    assert execution["statusDetails"] == {"detailsMap": {"why": "because"}}
    assert iot.describe_job(jobId=job)["job"]["status"] == "IN_PROGRESS"


def test_a_running_execution_is_cancelled_by_force_only(iot, data, fresh):
    thing = fresh.thing()
    job = fresh.job(thing)
    data.start_next_pending_job_execution(thingName=thing)
    with pytest.raises(iot.exceptions.InvalidStateTransitionException) as refused:
        iot.cancel_job_execution(jobId=job, thingName=thing)
    wanted = f"Job execution for thing {thing} within job {job} cannot be canceled."
    assert refused.value.response["Error"]["Message"] == wanted
    iot.cancel_job_execution(jobId=job, thingName=thing, force=True)
    execution = iot.describe_job_execution(jobId=job, thingName=thing)["execution"]
    assert (execution["status"], execution["forceCanceled"]) == ("CANCELED", True)


def test_an_execution_of_another_version_is_not_cancelled(iot, fresh):
    thing = fresh.thing()
    job = fresh.job(thing)
    with pytest.raises(iot.exceptions.VersionConflictException) as refused:
        iot.cancel_job_execution(jobId=job, thingName=thing, expectedVersion=7)
    assert refused.value.response["Error"]["Message"] == "Expected version 7 but found version 1"


@pytest.mark.parametrize("force", [True, False])
def test_an_execution_that_is_over_is_not_cancelled(iot, data, fresh, force):
    thing = fresh.thing()
    job = fresh.job(thing)
    data.update_job_execution(thingName=thing, jobId=job, status="SUCCEEDED")
    with pytest.raises(iot.exceptions.InvalidStateTransitionException):
        iot.cancel_job_execution(jobId=job, thingName=thing, force=force)


def test_a_running_execution_is_deleted_by_force_only(iot, data, fresh):
    thing = fresh.thing()
    job = fresh.job(thing)
    data.start_next_pending_job_execution(thingName=thing)
    with pytest.raises(iot.exceptions.InvalidStateTransitionException) as refused:
        iot.delete_job_execution(jobId=job, thingName=thing, executionNumber=1)
    assert refused.value.response["Error"]["Message"] == (
        f"Job execution for thing {thing} within job {job} in status IN_PROGRESS cannot be deleted without force flag."
    )
    iot.delete_job_execution(jobId=job, thingName=thing, executionNumber=1, force=True)
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_job_execution(jobId=job, thingName=thing)
    assert iot.describe_job(jobId=job)["job"]["status"] == "COMPLETED"


@pytest.mark.parametrize("end", [False, True])
def test_an_execution_that_does_not_run_is_deleted_without_force(iot, data, fresh, end):
    thing = fresh.thing()
    job = fresh.job(thing, fresh.thing())
    if end:
        data.update_job_execution(thingName=thing, jobId=job, status="SUCCEEDED")
    iot.delete_job_execution(jobId=job, thingName=thing, executionNumber=1)
    listed = iot.list_job_executions_for_job(jobId=job)["executionSummaries"]
    assert thing_arn(thing) not in [entry["thingArn"] for entry in listed]


@pytest.mark.parametrize("number", [0, -1])
def test_an_execution_number_is_at_least_1(iot, fresh, number):
    thing = fresh.thing()
    job = fresh.job(thing)
    with pytest.raises(iot.exceptions.InvalidRequestException) as refused:
        iot.delete_job_execution(jobId=job, thingName=thing, executionNumber=number)
    assert refused.value.response["Error"]["Message"] == "Execution number is invalid."


def test_what_is_not_there_is_not_found_in_the_services_words(iot, fresh):
    thing, other = fresh.thing(), fresh.thing()
    job = fresh.job(thing)
    calls = {
        "cancel": iot.cancel_job_execution,
        "describe": iot.describe_job_execution,
        "delete": lambda **names: iot.delete_job_execution(executionNumber=1, **names),
    }
    for name, call in calls.items():
        with pytest.raises(iot.exceptions.ResourceNotFoundException) as refused:
            call(jobId="nothing", thingName=thing)
        message = refused.value.response["Error"]["Message"]
        assert message == "Job execution cannot be found as the Job nothing does not exist.", name
        with pytest.raises(iot.exceptions.ResourceNotFoundException) as refused:
            call(jobId=job, thingName=other)
        message = refused.value.response["Error"]["Message"]
        assert message == f"Job execution for thing {other} cannot be found within job {job}.", name
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_job_execution(jobId=job, thingName=thing, executionNumber=2)

"""Events of jobs and executions: which come after which call, what they hold, and which do not come."""

import uuid

import pytest

from support.local import group_arn, thing_arn


def next_event(events, job):
    """The next event, which must be of this job: kind, operation and body."""
    message = events.next()
    kind, of, operation = message.topic.removeprefix("$aws/events/").split("/")
    assert of == job, message
    body = message.body
    assert (body["operation"], body["jobId"]) == (operation, job)
    assert body["eventType"] == {"job": "JOB", "jobExecution": "JOB_EXECUTION"}[kind]
    uuid.UUID(body["eventId"])
    assert isinstance(body["timestamp"], int) and body["timestamp"] < 10_000_000_000
    return kind, operation, body


def silent(events, iot, fresh):
    """Asserts that no event is on its way: the next one is of a job that is cancelled for this."""
    job = fresh.job(fresh.thing())
    message = events.nothing_before(lambda: iot.cancel_job(jobId=job))
    assert f"/{job}/" in message.topic, message
    seen = [message] + [events.next() for _ in range(2)]
    assert all(f"/{job}/" in message.topic for message in seen), seen


def of_job(body, iot_job, status):
    """What every event of a job holds."""
    assert body["status"] == status
    assert body["targetSelection"] == iot_job["targetSelection"]
    assert body["targets"] == iot_job["targets"]
    assert body["createdAt"] > 10**12 and body["lastUpdatedAt"] >= body["createdAt"]


def test_a_job_that_comes_to_its_end(events, iot, data, fresh):
    things = [fresh.thing() for _ in range(3)]
    job = fresh.job(*things, description="What for")
    data.start_next_pending_job_execution(thingName=things[0])
    silent(events, iot, fresh)
    outcomes = {"SUCCEEDED": {"step": "done"}, "FAILED": {}, "REJECTED": None}
    for thing, (status, details) in zip(things, outcomes.items(), strict=True):
        more = {} if details is None else {"statusDetails": details}
        data.update_job_execution(thingName=thing, jobId=job, status=status, **more)
        kind, operation, body = next_event(events, job)
        assert (kind, operation, body["status"]) == ("jobExecution", status.lower(), status)
        assert body["thingArn"] == thing_arn(thing)
        assert body.get("statusDetails") == (details or None)
    kind, operation, body = next_event(events, job)
    assert (kind, operation) == ("job", "completed")
    of_job(body, iot.describe_job(jobId=job)["job"], "COMPLETED")
    assert body["description"] == "What for" and body["completedAt"] >= body["createdAt"]
    assert body["jobProcessDetails"] == {
        "numberOfCanceledThings": 0,
        "numberOfRejectedThings": 1,
        "numberOfFailedThings": 1,
        "numberOfRemovedThings": 0,
        "numberOfSucceededThings": 1,
        "numberOfTimedOutThings": 0,
    }
    silent(events, iot, fresh)


@pytest.mark.parametrize("force", [False, True])
def test_a_job_that_is_cancelled(events, iot, data, fresh, force):
    queued, running = fresh.thing(), fresh.thing()
    job = fresh.job(queued, running)
    data.start_next_pending_job_execution(thingName=running)
    iot.cancel_job(jobId=job, force=force, reasonCode="WHY", comment="because")
    seen = [next_event(events, job) for _ in range(4 if force else 3)]
    kinds = [(kind, operation) for kind, operation, _ in seen]
    assert kinds[0] == ("job", "cancellation_in_progress") and kinds[-1] == ("job", "canceled")
    assert kinds[1:-1] == [("jobExecution", "canceled")] * (2 if force else 1)
    cancelled = {body["thingArn"] for _, _, body in seen[1:-1]}
    assert cancelled == {thing_arn(queued)} | ({thing_arn(running)} if force else set())
    described = iot.describe_job(jobId=job)["job"]
    for (_, operation, body), status in [(seen[0], "CANCELLATION_IN_PROGRESS"), (seen[-1], "CANCELED")]:
        of_job(body, described, status)
        assert body["comment"] == "because", operation
    data.update_job_execution(thingName=running, jobId=job, status="SUCCEEDED") if not force else None
    if not force:
        assert next_event(events, job)[:2] == ("jobExecution", "succeeded")
    silent(events, iot, fresh)


def test_a_job_that_is_deleted(events, iot, fresh):
    thing = fresh.thing()
    job = fresh.job(thing)
    described = iot.describe_job(jobId=job)["job"]
    iot.delete_job(jobId=job, force=True)
    seen = {}
    while ("job", "deleted") not in seen:
        kind, operation, body = next_event(events, job)
        seen[(kind, operation)] = body
    of_job(seen[("job", "deletion_in_progress")], described, "DELETION_IN_PROGRESS")
    of_job(seen[("job", "deleted")], described, "DELETED")
    assert ("job", "canceled") not in seen and ("job", "completed") not in seen
    silent(events, iot, fresh)


def test_executions_that_are_cancelled_removed_and_deleted(events, iot, fresh):
    thing, other = fresh.thing(), fresh.thing()
    group = fresh.group(thing)
    job = fresh.job(groups=[group], targetSelection="CONTINUOUS")
    iot.remove_thing_from_thing_group(thingGroupName=group, thingName=thing)
    kind, operation, body = next_event(events, job)
    assert (kind, operation, body["status"]) == ("jobExecution", "removed", "REMOVED")
    iot.add_thing_to_thing_group(thingGroupName=group, thingName=thing)
    iot.cancel_job_execution(jobId=job, thingName=thing, statusDetails={"a": "b"})
    kind, operation, body = next_event(events, job)
    assert (kind, operation, body["status"]) == ("jobExecution", "canceled", "CANCELED")
    assert body["statusDetails"] == {"a": "b"}
    iot.add_thing_to_thing_group(thingGroupName=group, thingName=other)
    iot.delete_job_execution(jobId=job, thingName=other, executionNumber=1)
    kind, operation, body = next_event(events, job)
    assert (kind, operation, body["thingArn"]) == ("jobExecution", "deleted", thing_arn(other))
    assert iot.describe_job(jobId=job)["job"]["targets"] == [group_arn(group)]
    silent(events, iot, fresh)


def test_each_failed_attempt_has_an_event(events, iot, data, fresh):
    thing = fresh.thing()
    retry = {"criteriaList": [{"failureType": "FAILED", "numberOfRetries": 1}]}
    job = fresh.job(thing, jobExecutionsRetryConfig=retry)
    data.update_job_execution(thingName=thing, jobId=job, status="FAILED")
    assert next_event(events, job)[:2] == ("jobExecution", "failed")
    silent(events, iot, fresh)
    data.update_job_execution(thingName=thing, jobId=job, status="SUCCEEDED")
    assert next_event(events, job)[:2] == ("jobExecution", "succeeded")
    assert next_event(events, job)[:2] == ("job", "completed")


def test_an_abort_is_a_cancellation(events, iot, data, fresh):
    things = [fresh.thing() for _ in range(2)]
    criterion = {"failureType": "ALL", "action": "CANCEL", "thresholdPercentage": 1.0, "minNumberOfExecutedThings": 1}
    job = fresh.job(*things, abortConfig={"criteriaList": [criterion]})
    data.update_job_execution(thingName=things[0], jobId=job, status="FAILED")
    operations = [next_event(events, job)[:2] for _ in range(4)]
    assert operations[0] == ("jobExecution", "failed")
    assert set(operations[1:]) == {
        ("job", "cancellation_in_progress"),
        ("jobExecution", "canceled"),
        ("job", "canceled"),
    }


@pytest.mark.parametrize("kind", ["JOB", "JOB_EXECUTION"])
def test_events_come_only_of_the_kind_that_is_on(events, iot, data, fresh, kind):
    other = {"JOB": "JOB_EXECUTION", "JOB_EXECUTION": "JOB"}[kind]
    iot.update_event_configurations(eventConfigurations={other: {"Enabled": False}})
    thing = fresh.thing()
    job = fresh.job(thing)
    data.update_job_execution(thingName=thing, jobId=job, status="SUCCEEDED")
    wanted = {"JOB": ("job", "completed"), "JOB_EXECUTION": ("jobExecution", "succeeded")}
    assert next_event(events, job)[:2] == wanted[kind]
    thing = fresh.thing()
    job = fresh.job(thing)
    data.update_job_execution(thingName=thing, jobId=job, status="SUCCEEDED")
    assert next_event(events, job)[:2] == wanted[kind]

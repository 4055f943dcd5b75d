"""boto3, control plane: rollouts and schedules."""

from datetime import UTC, datetime, timedelta

import pytest

from support.local import thing_arn


def counters(iot, job):
    details = iot.describe_job(jobId=job)["job"]["jobProcessDetails"]
    return {name: count for name, count in details.items() if name != "processingTargets" and count}


def test_a_rollout_reaches_so_many_things_at_first_and_tells_what_it_is_at(iot, fresh):
    things = [fresh.thing() for _ in range(5)]
    job = fresh.job(*things, jobExecutionsRolloutConfig={"maximumPerMinute": 2})
    described = iot.describe_job(jobId=job)["job"]
    assert described["jobExecutionsRolloutConfig"] == {"maximumPerMinute": 2}
    assert described["isConcurrent"] and described["status"] == "IN_PROGRESS"
    assert counters(iot, job) == {"numberOfQueuedThings": 2}
    waiting = described["jobProcessDetails"]["processingTargets"]
    assert waiting and set(waiting) <= {thing_arn(thing) for thing in things}
    # What has not been reached is not cancelled: it never was.
    iot.cancel_job(jobId=job)
    assert counters(iot, job) == {"numberOfCanceledThings": 2}


@pytest.mark.parametrize(
    "config",
    [
        {"maximumPerMinute": 0},
        {"exponentialRate": {"baseRatePerMinute": 1, "incrementFactor": 9.0, "rateIncreaseCriteria": {"numberOfNotifiedThings": 1}}},
    ],
    ids=["none", "factor"],
)
def test_a_rollout_out_of_range_is_refused(service, fresh, config):
    careless = service.client("iot", parameter_validation=False)
    with pytest.raises(careless.exceptions.InvalidRequestException):
        careless.create_job(
            jobId=fresh.name("job"), targets=[thing_arn(fresh.thing())], document="{}", jobExecutionsRolloutConfig=config
        )


def test_a_job_with_a_later_start_is_scheduled(iot, data, fresh):
    thing = fresh.thing()
    start = (datetime.now(UTC) + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M")
    job = fresh.job(thing, schedulingConfig={"startTime": start})
    described = iot.describe_job(jobId=job)["job"]
    assert (described["status"], described["schedulingConfig"]["startTime"]) == ("SCHEDULED", start)
    assert data.get_pending_job_executions(thingName=thing)["queuedJobs"] == []
    iot.cancel_job(jobId=job)
    assert iot.describe_job(jobId=job)["job"]["status"] == "CANCELED"


def test_a_job_with_maintenance_windows_waits_for_the_next_one(iot, data, fresh):
    thing = fresh.thing()
    opening = datetime.now(UTC) + timedelta(hours=2)
    window = {"startTime": f"cron({opening.minute} {opening.hour} ? * * *)", "durationInMinutes": 60}
    schedule = {"maintenanceWindows": [window]}
    with pytest.raises(iot.exceptions.InvalidRequestException):
        fresh.job(thing, schedulingConfig=schedule)
    job = fresh.job(thing, schedulingConfig=schedule, targetSelection="CONTINUOUS")
    described = iot.describe_job(jobId=job)["job"]
    assert (described["status"], described["schedulingConfig"]) == ("SCHEDULED", schedule)
    rollouts = [rollout["startTime"] for rollout in described["scheduledJobRollouts"]]
    assert rollouts[0] == opening.strftime("%Y-%m-%dT%H:%M") and len(rollouts) == 7
    assert data.get_pending_job_executions(thingName=thing)["queuedJobs"] == []
    iot.cancel_job(jobId=job)
    assert iot.describe_job(jobId=job)["job"]["status"] == "CANCELED"


def test_a_start_in_another_form_is_refused_in_the_services_words(iot, fresh):
    with pytest.raises(iot.exceptions.InvalidRequestException) as refused:
        fresh.job(fresh.thing(), schedulingConfig={"startTime": "2027-01-01T00:00:00Z"})
    message = refused.value.response["Error"]["Message"]
    assert "must follow the format YYYY-MM-DDThh:mm." in message, message


def test_a_placeholder_for_a_signed_address_needs_a_role(iot, fresh):
    document = '{"url":"${aws:iot:s3-presigned-url:https://s3.amazonaws.com/bucket/key}"}'
    with pytest.raises(iot.exceptions.InvalidRequestException):
        fresh.job(fresh.thing(), document=document)
    role = {"roleArn": "arn:aws:iam::123456789012:role/signer", "expiresInSec": 60}
    job = fresh.job(fresh.thing(), document=document, presignedUrlConfig=role)
    assert iot.get_job_document(jobId=job)["document"] == document
    assert iot.describe_job(jobId=job)["job"]["presignedUrlConfig"] == role

"""The AWS CLI, as an operator types it: every subcommand of the control plane and of the data plane."""

import json
import os
import subprocess

import pytest

from support.local import ARN, group_arn, thing_arn
from support.programs import on_path
from support.waiting import PATIENCE


@pytest.fixture
def aws(service):
    """Runs the CLI and returns what it prints: an object of JSON, or nothing. With `fails`, the error's name and
    text instead."""

    def run(*arguments, fails=False, endpoint=True, text=False):
        there = ["--endpoint-url", service.http] if endpoint else []
        outcome = subprocess.run(
            [on_path("aws"), *there, *arguments],
            env=service.environment(dict(os.environ)),
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
        )
        if fails:
            assert outcome.returncode in (254, 255), (outcome.returncode, outcome.stdout, outcome.stderr)
            _, _, rest = outcome.stderr.partition("An error occurred (")
            name, _, message = rest.partition(")")
            return name, message.partition("operation: ")[2].strip()
        assert outcome.returncode == 0, outcome.stderr
        assert outcome.stderr == ""
        if text:
            return outcome.stdout.strip()
        return json.loads(outcome.stdout) if outcome.stdout.strip() else None

    return run


def test_the_life_of_a_job(aws, fresh, tmp_path):
    thing, job = fresh.thing(), fresh.name("job")
    (tmp_path / "document.json").write_text('{ "operation": "greeting.sh" }\n')
    created = aws(
        "iot", "create-job", "--job-id", job, "--targets", thing_arn(thing), "--document",
        f"file://{tmp_path}/document.json", "--description", "What for", "--timeout-config",
        "inProgressTimeoutInMinutes=5", "--target-selection", "SNAPSHOT",
    )  # fmt: skip
    assert created == {"jobArn": f"{ARN}:job/{job}", "jobId": job, "description": "What for"}
    described = aws("iot", "describe-job", "--job-id", job)["job"]
    assert (described["status"], described["timeoutConfig"]) == ("IN_PROGRESS", {"inProgressTimeoutInMinutes": 5})
    assert aws("iot", "get-job-document", "--job-id", job)["document"] == '{ "operation": "greeting.sh" }\n'
    aws("iot", "update-job", "--job-id", job, "--description", "Something else")
    name = "job.description"
    assert aws("iot", "describe-job", "--job-id", job, "--query", name, "--output", "text", text=True) == "Something else"
    listed = aws("iot", "list-job-executions-for-job", "--job-id", job)["executionSummaries"]
    assert [(entry["thingArn"], entry["jobExecutionSummary"]["status"]) for entry in listed] == [(thing_arn(thing), "QUEUED")]
    pending = aws("iot-jobs-data", "get-pending-job-executions", "--thing-name", thing)
    assert [entry["jobId"] for entry in pending["queuedJobs"]] == [job]
    started = aws(
        "iot-jobs-data", "start-next-pending-job-execution", "--thing-name", thing, "--status-details", "step=1",
        "--step-timeout-in-minutes", "5",
    )["execution"]  # fmt: skip
    assert (started["jobId"], started["status"], started["versionNumber"]) == (job, "IN_PROGRESS", 2)
    described = aws("iot-jobs-data", "describe-job-execution", "--thing-name", thing, "--job-id", "$next")["execution"]
    assert described["statusDetails"] == {"step": "1"}
    updated = aws(
        "iot-jobs-data", "update-job-execution", "--thing-name", thing, "--job-id", job, "--status", "SUCCEEDED",
        "--expected-version", "2", "--status-details", "step=2", "--include-job-execution-state",
    )  # fmt: skip
    assert updated["executionState"] == {"status": "SUCCEEDED", "versionNumber": 3, "statusDetails": {"step": "2"}}
    execution = aws("iot", "describe-job-execution", "--thing-name", thing, "--job-id", job)["execution"]
    assert (execution["status"], execution["statusDetails"]) == ("SUCCEEDED", {"detailsMap": {"step": "2"}})
    executions = aws("iot", "list-job-executions-for-thing", "--thing-name", thing)["executionSummaries"]
    assert [entry["jobId"] for entry in executions] == [job]
    assert job in [entry["jobId"] for entry in aws("iot", "list-jobs", "--status", "COMPLETED")["jobs"]]
    aws(
        "iot", "delete-job-execution", "--thing-name", thing, "--job-id", job, "--execution-number", "1", "--no-force"
    )  # fmt: skip
    aws("iot", "delete-job", "--job-id", job)
    error = aws("iot", "describe-job", "--job-id", job, fails=True)
    assert error == ("ResourceNotFoundException", f"Job {job} cannot be found.")


def test_cancelling(aws, fresh):
    one, other = fresh.thing(), fresh.thing()
    job = fresh.job(one, other)
    aws("iot", "cancel-job-execution", "--job-id", job, "--thing-name", one, "--expected-version", "1", "--force")
    error = aws("iot", "cancel-job-execution", "--job-id", job, "--thing-name", one, fails=True)
    message = f"Job execution for thing {one} within job {job} cannot be canceled."
    assert error == ("InvalidStateTransitionException", message)
    cancelled = aws("iot", "cancel-job", "--job-id", job, "--reason-code", "WHY", "--comment", "because", "--force")
    assert cancelled == {"jobArn": f"{ARN}:job/{job}", "jobId": job}
    described = aws("iot", "describe-job", "--job-id", job)["job"]
    assert (described["status"], described["reasonCode"], described["comment"]) == ("CANCELED", "WHY", "because")
    aws("iot", "delete-job", "--job-id", job, "--force")


def test_a_job_from_a_file_of_input(aws, fresh, tmp_path):
    thing, job = fresh.thing(), fresh.name("job")
    members = {
        "jobId": job,
        "targets": [thing_arn(thing)],
        "document": '{"a":1}',
        "abortConfig": {
            "criteriaList": [
                {"failureType": "ALL", "action": "CANCEL", "thresholdPercentage": 20, "minNumberOfExecutedThings": 1}
            ]
        },
        "jobExecutionsRetryConfig": {"criteriaList": [{"failureType": "TIMED_OUT", "numberOfRetries": 3}]},
    }
    (tmp_path / "input.json").write_text(json.dumps(members))
    aws("iot", "create-job", "--cli-input-json", f"file://{tmp_path}/input.json")
    described = aws("iot", "describe-job", "--job-id", job)["job"]
    assert described["jobExecutionsRetryConfig"] == members["jobExecutionsRetryConfig"]
    assert described["abortConfig"]["criteriaList"][0]["thresholdPercentage"] == 20.0


def test_lists_are_cut_and_gone_on_with(aws, fresh):
    thing = fresh.thing()
    jobs = [fresh.job(thing) for _ in range(5)][::-1]
    command = ["iot", "list-job-executions-for-thing", "--thing-name", thing]
    first = aws(*command, "--max-items", "3")
    assert [entry["jobId"] for entry in first["executionSummaries"]] == jobs[:3]
    rest = aws(*command, "--starting-token", first["NextToken"])
    assert [entry["jobId"] for entry in rest["executionSummaries"]] == jobs[3:] and "NextToken" not in rest
    whole = aws(*command, "--page-size", "2")
    assert [entry["jobId"] for entry in whole["executionSummaries"]] == jobs
    assert len(aws(*command, "--no-paginate", "--max-results", "2")["executionSummaries"]) == 2


def test_templates(aws, fresh):
    template = fresh.name("template")
    arn = f"{ARN}:jobtemplate/{template}"
    created = aws(
        "iot", "create-job-template", "--job-template-id", template, "--description", "x", "--document", '{"a":1}'
    )
    assert created == {"jobTemplateArn": arn, "jobTemplateId": template}
    assert aws("iot", "describe-job-template", "--job-template-id", template)["document"] == '{"a":1}'
    assert template in [entry["jobTemplateId"] for entry in aws("iot", "list-job-templates")["jobTemplates"]]
    thing, job = fresh.thing(), fresh.name("job")
    aws("iot", "create-job", "--job-id", job, "--targets", thing_arn(thing), "--job-template-arn", arn)
    assert aws("iot", "get-job-document", "--job-id", job)["document"] == '{"a":1}'
    aws("iot", "delete-job-template", "--job-template-id", template)
    error = aws("iot", "describe-job-template", "--job-template-id", template, fails=True)
    assert error == ("ResourceNotFoundException", f"Job Template {template} cannot be found.")


def test_the_services_own_templates(aws, fresh):
    listed = aws("iot", "list-managed-job-templates")["managedJobTemplates"]
    assert len(listed) == 8
    described = aws("iot", "describe-managed-job-template", "--template-name", "AWS-Run-Command")
    assert described["documentParameters"][0]["key"] == "command"
    job = fresh.name("job")
    aws(
        "iot", "create-job", "--job-id", job, "--targets", thing_arn(fresh.thing()), "--job-template-arn",
        described["templateArn"], "--document-parameters", '{"command":"echo,Hello"}',
    )  # fmt: skip
    document = json.loads(aws("iot", "get-job-document", "--job-id", job)["document"])
    assert document["steps"][0]["action"]["input"]["command"] == "echo,Hello"


def test_things_and_groups(aws, fresh):
    thing, group = fresh.name("thing") + ":a", fresh.name("group")
    created = aws("iot", "create-thing", "--thing-name", thing, "--attribute-payload", '{"attributes":{"a":"b"}}')
    assert (created["thingName"], created["thingArn"]) == (thing, thing_arn(thing))
    assert aws("iot", "describe-thing", "--thing-name", thing)["attributes"] == {"a": "b"}
    assert thing in [entry["thingName"] for entry in aws("iot", "list-things")["things"]]
    created = aws("iot", "create-thing-group", "--thing-group-name", group)
    assert created["thingGroupArn"] == group_arn(group)
    aws("iot", "add-thing-to-thing-group", "--thing-group-name", group, "--thing-name", thing)
    assert aws("iot", "list-things-in-thing-group", "--thing-group-name", group)["things"] == [thing]
    assert aws("iot", "list-thing-groups-for-thing", "--thing-name", thing)["thingGroups"][0]["groupName"] == group
    assert group in [entry["groupName"] for entry in aws("iot", "list-thing-groups")["thingGroups"]]
    job = fresh.name("job")
    aws(
        "iot", "create-job", "--job-id", job, "--targets", group_arn(group), "--document", "{}", "--target-selection",
        "CONTINUOUS",
    )  # fmt: skip
    more = fresh.group(fresh.thing())
    added = aws("iot", "associate-targets-with-job", "--job-id", job, "--targets", group_arn(more))
    assert added["jobId"] == job
    assert len(aws("iot", "list-job-executions-for-job", "--job-id", job)["executionSummaries"]) == 2
    aws("iot", "remove-thing-from-thing-group", "--thing-group-name", group, "--thing-name", thing)
    removed = aws("iot", "list-job-executions-for-job", "--job-id", job, "--status", "REMOVED")["executionSummaries"]
    assert [entry["thingArn"] for entry in removed] == [thing_arn(thing)]
    assert aws("iot", "describe-thing-group", "--thing-group-name", group)["version"] >= 1
    aws("iot", "delete-thing-group", "--thing-group-name", group)
    aws("iot", "delete-thing", "--thing-name", thing)


def test_settings(aws):
    assert aws("iot", "describe-endpoint", "--endpoint-type", "iot:Data-ATS")["endpointAddress"] == "localhost"
    aws("iot", "update-event-configurations", "--event-configurations", '{"JOB":{"Enabled":true}}')
    configurations = aws("iot", "describe-event-configurations")["eventConfigurations"]
    assert (configurations["JOB"]["Enabled"], configurations["JOB_EXECUTION"]["Enabled"]) == (True, False)
    aws("iot", "update-event-configurations", "--event-configurations", '{"JOB":{"Enabled":false}}')


def test_the_endpoint_may_come_from_the_environment(aws, fresh):
    thing = fresh.thing()
    assert aws("iot", "describe-thing", "--thing-name", thing, endpoint=False)["thingName"] == thing
    pending = aws("iot-jobs-data", "get-pending-job-executions", "--thing-name", thing, endpoint=False)
    assert pending == {"inProgressJobs": [], "queuedJobs": []}


def test_what_is_not_there_says_so(aws):
    name, message = aws("iot", "list-ca-certificates", fails=True)
    assert name == "NotImplemented" and message


def test_the_steps_of_the_tutorials_before_a_job(aws, fresh, tmp_path):
    thing, policy = fresh.name("thing"), fresh.name("policy")
    aws("iot", "create-thing", "--thing-name", thing)
    made = aws(
        "iot", "create-keys-and-certificate", "--set-as-active", "--certificate-pem-outfile",
        str(tmp_path / "device.pem.crt"), "--public-key-outfile", str(tmp_path / "public.pem.key"),
        "--private-key-outfile", str(tmp_path / "private.pem.key"),
    )  # fmt: skip
    assert (tmp_path / "device.pem.crt").read_text() == made["certificatePem"]
    assert "PRIVATE KEY" in (tmp_path / "private.pem.key").read_text()
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}
    (tmp_path / "policy.json").write_text(json.dumps(document))
    aws("iot", "create-policy", "--policy-name", policy, "--policy-document", f"file://{tmp_path}/policy.json")
    aws("iot", "attach-policy", "--policy-name", policy, "--target", made["certificateArn"])
    aws("iot", "attach-thing-principal", "--thing-name", thing, "--principal", made["certificateArn"])
    assert aws("iot", "list-thing-principals", "--thing-name", thing) == {"principals": [made["certificateArn"]]}
    listed = aws("iot", "list-attached-policies", "--target", made["certificateArn"])["policies"]
    assert [entry["policyName"] for entry in listed] == [policy]

"""boto3, control plane: templates of the account and of the service."""

import json

import pytest

from support.local import ARN, thing_arn

# The parameters of the service's own templates that have to be given.
MANAGED = {
    "AWS-Download-File": {"downloadUrl": "https://h.example/a", "filePath": "/tmp/a"},
    "AWS-Install-Application": {"packages": "tree git"},
    "AWS-Reboot": {},
    "AWS-Remove-Application": {"packages": "tree"},
    "AWS-Restart-Application": {"services": "cron"},
    "AWS-Run-Command": {"command": "echo,a"},
    "AWS-Start-Application": {"services": "cron ssh"},
    "AWS-Stop-Application": {"services": "cron"},
}


def test_a_template_is_created_described_listed_and_deleted(iot, fresh):
    template = fresh.name("template")
    configuration = {"timeoutConfig": {"inProgressTimeoutInMinutes": 5}}
    created = iot.create_job_template(
        jobTemplateId=template, description="What for", document='{"a":1}', **configuration
    )
    arn = f"{ARN}:jobtemplate/{template}"
    assert (created["jobTemplateId"], created["jobTemplateArn"]) == (template, arn)
    described = iot.describe_job_template(jobTemplateId=template)
    assert (described["jobTemplateArn"], described["jobTemplateId"]) == (arn, template)
    assert (described["description"], described["document"]) == ("What for", '{"a":1}')
    assert described["timeoutConfig"] == configuration["timeoutConfig"]
    listed = {entry["jobTemplateId"]: entry for entry in iot.list_job_templates()["jobTemplates"]}
    assert listed[template] == {
        "jobTemplateArn": arn,
        "jobTemplateId": template,
        "description": "What for",
        "createdAt": described["createdAt"],
    }
    with pytest.raises(iot.exceptions.ConflictException) as refused:
        iot.create_job_template(jobTemplateId=template, description="x", document="{}")
    assert refused.value.response["resourceId"] == template
    assert refused.value.response["Error"]["Message"] == f"Job Template {template} already exists."
    iot.delete_job_template(jobTemplateId=template)
    for call in [iot.describe_job_template, iot.delete_job_template]:
        with pytest.raises(iot.exceptions.ResourceNotFoundException) as refused:
            call(jobTemplateId=template)
        assert refused.value.response["Error"]["Message"] == f"Job Template {template} cannot be found."


def test_a_job_takes_from_its_template_what_it_does_not_say_itself(iot, fresh):
    thing, template = fresh.thing(), fresh.name("template")
    retry = {"criteriaList": [{"failureType": "ALL", "numberOfRetries": 1}]}
    arn = iot.create_job_template(
        jobTemplateId=template,
        description="What for",
        document='{"a":1}',
        timeoutConfig={"inProgressTimeoutInMinutes": 5},
        jobExecutionsRetryConfig=retry,
    )["jobTemplateArn"]
    job = fresh.job(
        thing, document=None, jobTemplateArn=arn, timeoutConfig={"inProgressTimeoutInMinutes": 6}
    )
    described = iot.describe_job(jobId=job)["job"]
    assert described["jobTemplateArn"] == arn
    assert described["timeoutConfig"] == {"inProgressTimeoutInMinutes": 6}
    assert described["jobExecutionsRetryConfig"] == retry
    assert iot.get_job_document(jobId=job)["document"] == '{"a":1}'


def test_a_template_is_made_of_a_job(iot, fresh):
    job = fresh.job(fresh.thing(), document='{"b":2}', timeoutConfig={"inProgressTimeoutInMinutes": 9})
    template = fresh.name("template")
    iot.create_job_template(jobTemplateId=template, jobArn=f"{ARN}:job/{job}", description="Made of a job")
    described = iot.describe_job_template(jobTemplateId=template)
    assert described["document"] == '{"b":2}'
    assert described["timeoutConfig"] == {"inProgressTimeoutInMinutes": 9}
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.create_job_template(jobTemplateId=fresh.name("t"), jobArn=f"{ARN}:job/nothing", description="x")


def test_a_template_without_a_document_is_refused(iot, fresh):
    with pytest.raises(iot.exceptions.InvalidRequestException):
        iot.create_job_template(jobTemplateId=fresh.name("template"), description="x")


def test_a_job_of_an_unknown_template_is_not_found(iot, fresh):
    for arn in [f"{ARN}:jobtemplate/nothing", "arn:aws:iot:us-east-1::jobtemplate/AWS-Nothing:1.0"]:
        with pytest.raises(iot.exceptions.ResourceNotFoundException):
            fresh.job(fresh.thing(), document=None, jobTemplateArn=arn)


def test_the_services_own_templates_are_listed(iot):
    listed = iot.list_managed_job_templates()["managedJobTemplates"]
    assert {entry["templateName"] for entry in listed} == set(MANAGED)
    for entry in listed:
        assert entry["templateArn"] == f"arn:aws:iot:us-east-1::jobtemplate/{entry['templateName']}:1.0"
        assert (entry["templateVersion"], entry["environments"]) == ("1.0", ["LINUX"])
    one = iot.list_managed_job_templates(templateName="AWS-Reboot")["managedJobTemplates"]
    assert [entry["templateName"] for entry in one] == ["AWS-Reboot"]


@pytest.mark.parametrize("name", MANAGED)
def test_a_job_of_the_services_own_template_has_its_document(iot, data, fresh, name):
    described = iot.describe_managed_job_template(templateName=name)
    required = {entry["key"] for entry in described["documentParameters"] if not entry["optional"]}
    optional = {entry["key"] for entry in described["documentParameters"] if entry["optional"]}
    assert required == set(MANAGED[name])
    assert optional == ({"runAsUser"} if name == "AWS-Run-Command" else {"runAsUser", "pathToHandler"})
    for key in required | optional:
        assert f"${{aws:iot:parameter:{key}}}" in described["document"]
    thing = fresh.thing()
    job = fresh.job(
        thing,
        document=None,
        jobTemplateArn=described["templateArn"],
        documentParameters=MANAGED[name] | {"runAsUser": "user1"},
    )
    assert iot.describe_job(jobId=job)["job"]["documentParameters"] == MANAGED[name] | {"runAsUser": "user1"}
    document = json.loads(data.describe_job_execution(thingName=thing, jobId=job)["execution"]["jobDocument"])
    action = document["steps"][0]["action"]
    assert (document["version"], action["runAsUser"]) == ("1.0", "user1")
    values = list(MANAGED[name].values())
    if name == "AWS-Run-Command":
        assert (action["type"], action["input"]) == ("runCommand", {"command": "echo,a"})
    else:
        assert action["type"] == "runHandler" and action["input"].get("args", []) == values
        assert action["input"]["handler"].endswith(".sh") and action["input"]["path"] == ""


def test_a_template_of_the_service_has_one_version(iot):
    assert iot.describe_managed_job_template(templateName="AWS-Reboot", templateVersion="1.0")["templateVersion"] == "1.0"
    for wrong in [{"templateName": "AWS-Nothing"}, {"templateName": "AWS-Reboot", "templateVersion": "2.0"}]:
        with pytest.raises(iot.exceptions.ResourceNotFoundException):
            iot.describe_managed_job_template(**wrong)


ARN_OF_SERVICE = "arn:aws:iot:us-east-1::jobtemplate/AWS-Install-Application:1.0"


@pytest.mark.parametrize(
    "members",
    [
        {"jobTemplateArn": ARN_OF_SERVICE},
        {"jobTemplateArn": ARN_OF_SERVICE, "documentParameters": {"packages": "a", "other": "b"}},
        {"jobTemplateArn": ARN_OF_SERVICE, "documentParameters": {"packages": "a"}, "document": "{}"},
        {"document": "{}", "documentParameters": {"packages": "a"}},
    ],
    ids=["missing", "unknown", "document", "no template"],
)
def test_parameters_that_do_not_fit_are_refused(iot, fresh, members):
    with pytest.raises(iot.exceptions.InvalidRequestException):
        iot.create_job(jobId=fresh.name("job"), targets=[thing_arn(fresh.thing())], **members)


def test_a_parameter_cannot_break_out_of_its_text(iot, data, fresh):
    thing = fresh.thing()
    value = 'a","x":"\\ é'
    job = fresh.job(
        thing, document=None, jobTemplateArn=ARN_OF_SERVICE, documentParameters={"packages": value}
    )
    document = json.loads(data.describe_job_execution(thingName=thing, jobId=job)["execution"]["jobDocument"])
    assert document["steps"][0]["action"]["input"]["args"] == [value]

"""boto3, control plane: certificates and policies, and a device that connects with them."""

import json
from types import SimpleNamespace

import pytest

from support.device import Device
from support.local import ARN

ALL = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["iot:*"], "Resource": ["*"]}]}
)
NOBODY = f"{ARN}:cert/{'0' * 64}"


@pytest.fixture
def certificate(iot):
    made = []

    def make(active=True):
        made.append(iot.create_keys_and_certificate(setAsActive=active))
        return made[-1]

    return make


@pytest.fixture
def policy(iot, fresh):
    def make():
        name = fresh.name("policy")
        iot.create_policy(policyName=name, policyDocument=ALL)
        return name

    return make


def test_a_device_connects_with_a_certificate_that_was_made_by_the_api(iot, service, fresh, certificate, policy, connect, tmp_path):
    made, thing, name = certificate(), fresh.thing(), policy()
    iot.attach_policy(policyName=name, target=made["certificateArn"])
    iot.attach_thing_principal(thingName=thing, principal=made["certificateArn"])
    for file, text in [("certificate", made["certificatePem"]), ("key", made["keyPair"]["PrivateKey"])]:
        (tmp_path / file).write_text(text)
    job = fresh.job(thing)
    paths = {"root_ca": service.root_ca, "certificate": str(tmp_path / "certificate"), "key": str(tmp_path / "key")}
    shown = SimpleNamespace(mqtt_host=service.mqtt_host, mqtt_port=service.mqtt_port, **paths)
    device = Device(shown, thing)
    device.subscribe(f"$aws/things/{thing}/jobs/notify-next")
    iot.delete_job(jobId=job, force=True)
    device.close()


def test_a_certificate_is_described_listed_and_changed(iot, certificate):
    made = certificate(active=False)
    assert made["certificateArn"] == f"{ARN}:cert/{made['certificateId']}"
    assert made["keyPair"]["PublicKey"].startswith("-----BEGIN PUBLIC KEY-----")

    def described():
        return iot.describe_certificate(certificateId=made["certificateId"])["certificateDescription"]

    assert (described()["status"], described()["certificatePem"]) == ("INACTIVE", made["certificatePem"])
    for status in ["ACTIVE", "INACTIVE", "REVOKED"]:
        iot.update_certificate(certificateId=made["certificateId"], newStatus=status)
        assert described()["status"] == status
    pages = iot.get_paginator("list_certificates").paginate(PaginationConfig={"PageSize": 1})
    assert made["certificateId"] in [entry["certificateId"] for page in pages for entry in page["certificates"]]
    iot.delete_certificate(certificateId=made["certificateId"])
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        described()


def test_what_is_in_use_is_not_deleted(iot, fresh, certificate, policy):
    made, thing, name = certificate(), fresh.thing(), policy()
    identity, arn = made["certificateId"], made["certificateArn"]
    iot.attach_policy(policyName=name, target=arn)
    iot.attach_thing_principal(thingName=thing, principal=arn)
    with pytest.raises(iot.exceptions.CertificateStateException):
        iot.delete_certificate(certificateId=identity)
    iot.update_certificate(certificateId=identity, newStatus="INACTIVE")
    with pytest.raises(iot.exceptions.DeleteConflictException):
        iot.delete_certificate(certificateId=identity, forceDelete=True)
    with pytest.raises(iot.exceptions.InvalidRequestException):
        iot.delete_thing(thingName=thing)
    iot.detach_thing_principal(thingName=thing, principal=arn)
    iot.delete_thing(thingName=thing)
    with pytest.raises(iot.exceptions.DeleteConflictException):
        iot.delete_certificate(certificateId=identity)
    with pytest.raises(iot.exceptions.DeleteConflictException):
        iot.delete_policy(policyName=name)
    iot.delete_certificate(certificateId=identity, forceDelete=True)
    iot.delete_policy(policyName=name)


def test_things_and_certificates_name_each_other(iot, fresh, certificate):
    made, thing = certificate(), fresh.thing()
    arn = made["certificateArn"]
    iot.attach_thing_principal(thingName=thing, principal=arn)
    iot.attach_thing_principal(thingName=thing, principal=arn)
    assert iot.list_thing_principals(thingName=thing)["principals"] == [arn]
    assert iot.list_principal_things(principal=arn)["things"] == [thing]
    iot.detach_thing_principal(thingName=thing, principal=arn)
    assert iot.list_thing_principals(thingName=thing)["principals"] == []


def test_policies_and_certificates_name_each_other(iot, certificate, policy):
    made, name = certificate(), policy()
    arn = made["certificateArn"]
    created = iot.get_policy(policyName=name)
    assert (created["policyDocument"], created["policyArn"]) == (ALL, f"{ARN}:policy/{name}")
    assert name in [entry["policyName"] for entry in iot.list_policies()["policies"]]
    for attach, detach, member in [
        (iot.attach_policy, iot.detach_policy, "target"),
        (iot.attach_principal_policy, iot.detach_principal_policy, "principal"),
    ]:
        attach(policyName=name, **{member: arn})
        assert [entry["policyName"] for entry in iot.list_attached_policies(target=arn)["policies"]] == [name]
        assert iot.list_targets_for_policy(policyName=name)["targets"] == [arn]
        detach(policyName=name, **{member: arn})
        assert iot.list_attached_policies(target=arn)["policies"] == []


@pytest.mark.parametrize(
    "call",
    [
        lambda iot, thing, policy: iot.describe_certificate(certificateId="0" * 64),
        lambda iot, thing, policy: iot.update_certificate(certificateId="0" * 64, newStatus="ACTIVE"),
        lambda iot, thing, policy: iot.delete_certificate(certificateId="0" * 64),
        lambda iot, thing, policy: iot.attach_thing_principal(thingName=thing, principal=NOBODY),
        lambda iot, thing, policy: iot.detach_thing_principal(thingName=thing, principal=NOBODY),
        lambda iot, thing, policy: iot.list_thing_principals(thingName="nobody"),
        lambda iot, thing, policy: iot.list_principal_things(principal=NOBODY),
        lambda iot, thing, policy: iot.get_policy(policyName="none"),
        lambda iot, thing, policy: iot.delete_policy(policyName="none"),
        lambda iot, thing, policy: iot.attach_policy(policyName=policy, target=NOBODY),
        lambda iot, thing, policy: iot.attach_principal_policy(policyName="none", principal=NOBODY),
        lambda iot, thing, policy: iot.detach_principal_policy(policyName=policy, principal=NOBODY),
        lambda iot, thing, policy: iot.list_attached_policies(target=NOBODY),
        lambda iot, thing, policy: iot.list_targets_for_policy(policyName="none"),
    ],
)
def test_what_is_not_there_is_not_found(iot, fresh, policy, call):
    with pytest.raises(iot.exceptions.ResourceNotFoundException) as refused:
        call(iot, fresh.thing(), policy())
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


@pytest.mark.parametrize(
    "call",
    [
        lambda iot: iot.detach_policy(policyName="p", target="arn:aws:iot:us-east-1:123456789012:thing/x"),
        lambda iot: iot.list_certificates(marker="bm9ib2R5"),
        lambda iot: iot.list_policies(marker="bm9ib2R5"),
        lambda iot: iot.create_policy(policyName="a b", policyDocument=ALL),
    ],
)
def test_what_cannot_be_read_is_refused(iot, call):
    with pytest.raises(iot.exceptions.InvalidRequestException):
        call(iot)


def test_the_same_policy_again_is_refused(iot, policy):
    name = policy()
    with pytest.raises(iot.exceptions.ResourceAlreadyExistsException):
        iot.create_policy(policyName=name, policyDocument=ALL)


@pytest.mark.parametrize("document", ["{", "{}", '{"Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*","NotAction":"x"}]}'])
def test_a_policy_that_cannot_be_judged_is_refused(iot, fresh, document):
    with pytest.raises(iot.exceptions.MalformedPolicyException):
        iot.create_policy(policyName=fresh.name("policy"), policyDocument=document)


def test_whether_a_certificate_is_active_is_true_or_false(service):
    careless = service.client("iot", parameter_validation=False)
    with pytest.raises(careless.exceptions.InvalidRequestException):
        careless.create_keys_and_certificate(setAsActive="perhaps")

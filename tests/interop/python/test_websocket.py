"""MQTT over WebSocket, as browsers and hosts without a device's certificate connect to AWS IoT Core: paho on the plain
address and over TLS, and the AWS SDK's signing builders; the data plane over HTTPS by signature alone."""

import json
import threading

import boto3
import pytest
from awscrt import auth
from awsiot import mqtt5_client_builder, mqtt_connection_builder
from botocore.exceptions import SSLError
from paho.mqtt.client import CallbackAPIVersion, Client, MQTTv311

from support.device import BOTH, jobs_topic, name_of
from support.local import REGION
from support.waiting import PATIENCE

both = pytest.mark.parametrize("version", BOTH, ids=name_of)


def first_job(client, thing, connect):
    """What `$next/get` is answered with; `connect` connects."""
    answered, answers = threading.Event(), []
    client.on_connect = lambda c, *_: c.subscribe(jobs_topic(thing, "$next/get/+"), 1)
    client.on_subscribe = lambda c, *_: c.publish(jobs_topic(thing, "$next/get"), "{}", 1)
    client.on_message = lambda _c, _u, message: (answers.append(json.loads(message.payload)), answered.set())
    connect()
    client.loop_start()
    assert answered.wait(PATIENCE)
    client.disconnect()
    client.loop_stop()
    return answers[0]["execution"]["jobId"]


@both
def test_paho_speaks_to_the_plain_address(service, fresh, version):
    thing = fresh.thing()
    job = fresh.job(thing)
    client = Client(CallbackAPIVersion.VERSION2, fresh.name("ws"), protocol=version, transport="websockets")
    host, port = service.http.removeprefix("http://").rsplit(":", 1)
    assert first_job(client, thing, lambda: client.connect(host, int(port))) == job


@both
@pytest.mark.parametrize("certificate", [True, False], ids=["certificate", "signature"])
def test_paho_speaks_over_tls(service, fresh, version, certificate):
    thing = fresh.thing()
    job = fresh.job(thing)
    client = Client(CallbackAPIVersion.VERSION2, fresh.name("ws"), protocol=version, transport="websockets")
    if certificate:
        client.tls_set(service.root_ca, service.certificate, service.key)
    else:
        client.tls_set(service.root_ca)
        client.ws_set_options(path="/mqtt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0")
    assert first_job(client, thing, lambda: client.connect(service.mqtt_host, service.mqtt_port)) == job


def test_who_has_neither_certificate_nor_signature_is_refused(service, fresh):
    client = Client(CallbackAPIVersion.VERSION2, fresh.name("ws"), protocol=MQTTv311, transport="websockets")
    client.tls_set(service.root_ca)
    with pytest.raises(Exception, match="WebSocket handshake error"):
        client.connect(service.mqtt_host, service.mqtt_port)


def signed(service, client_id):
    """What both of the SDK's builders want."""
    return {
        "endpoint": service.mqtt_host,
        "port": service.mqtt_port,
        "region": REGION,
        "credentials_provider": auth.AwsCredentialsProvider.new_static("AKIDEXAMPLE", "secret"),
        "ca_filepath": service.root_ca,
        "client_id": client_id,
    }


def test_the_sdks_signing_builder_of_mqtt_5_connects(service, fresh):
    connected, stopped, settings = threading.Event(), threading.Event(), []
    client_id = fresh.name("ws")
    client = mqtt5_client_builder.websockets_with_default_aws_signing(
        **signed(service, client_id),
        on_lifecycle_connection_success=lambda data: (settings.append(data.negotiated_settings), connected.set()),
        on_lifecycle_stopped=lambda _: stopped.set(),
    )
    client.start()
    assert connected.wait(PATIENCE)
    assert settings[0].client_id == client_id
    client.stop()
    assert stopped.wait(PATIENCE)


def test_the_sdks_signing_builder_of_mqtt_3_1_1_connects(service, fresh):
    client = mqtt_connection_builder.websockets_with_default_aws_signing(
        **signed(service, fresh.name("ws")), clean_session=True, keep_alive_secs=30
    )
    assert client.connect().result(PATIENCE) == {"session_present": False}
    client.disconnect().result(PATIENCE)


def test_the_data_plane_is_served_over_https_to_who_signs(service, fresh):
    thing = fresh.thing()
    job = fresh.job(thing)

    def client(verify):
        url = f"https://{service.mqtt_host}:{service.mqtt_port}"
        keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
        return boto3.client("iot-jobs-data", endpoint_url=url, region_name=REGION, verify=verify, **keys)

    data = client(service.root_ca)
    assert data.get_pending_job_executions(thingName=thing)["queuedJobs"][0]["jobId"] == job
    data.update_job_execution(thingName=thing, jobId=job, status="SUCCEEDED")
    assert data.get_pending_job_executions(thingName=thing)["queuedJobs"] == []
    with pytest.raises(SSLError):
        client(None).get_pending_job_executions(thingName=thing)

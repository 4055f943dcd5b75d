"""The command-line clients of mosquitto: another MQTT library than everybody else's here."""

import json
import subprocess

import pytest

from support.device import jobs_topic
from support.programs import on_path
from support.waiting import PATIENCE

versions = pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])


@pytest.fixture
def mosquitto(service):
    """Runs one of the clients against the service; it must come to an end by itself."""

    def run(program, *arguments, check=True):
        command = [
            on_path(program), "-h", service.mqtt_host, "-p", str(service.mqtt_port), "--cafile", service.root_ca,
            "--cert", service.certificate, "--key", service.key, *arguments,
        ]  # fmt: skip
        outcome = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        assert not check or outcome.returncode == 0, (outcome.stdout[-2000:], outcome.stderr[-2000:])
        return outcome

    return run


@versions
def test_a_request_is_answered(mosquitto, fresh, version):
    thing = fresh.thing()
    job = fresh.job(thing)
    topics = ["-t", jobs_topic(thing, "get"), "-e", jobs_topic(thing, "get/accepted")]
    # AWS takes no empty client id from 3.1.1.
    name = ["-i", fresh.name("client")]
    answer = mosquitto("mosquitto_rr", "-V", version, *name, "-q", "1", *topics, "-m", '{"clientToken":"x"}')
    body = json.loads(answer.stdout)
    assert body["clientToken"] == "x" and [entry["jobId"] for entry in body["queuedJobs"]] == [job]


@versions
def test_a_kept_session_collects_what_happens_while_its_client_is_away(mosquitto, iot, fresh, version):
    thing, name = fresh.thing(), fresh.name("client")
    kept = ["-V", version, "-c", "-i", name, "-q", "1"] + (["-x", "3600"] if version == "mqttv5" else [])
    filters = ["-t", jobs_topic(thing, "notify"), "-t", jobs_topic(thing, "notify-next")]
    mosquitto("mosquitto_sub", *kept, *filters, "-E")
    job = fresh.job(thing)
    iot.cancel_job(jobId=job)
    heard = mosquitto("mosquitto_sub", *kept, *filters, "-C", "4", "-v").stdout.splitlines()
    bodies = [(line.split(" ", 1)[0].rsplit("/", 1)[1], json.loads(line.split(" ", 1)[1])) for line in heard]
    assert [kind for kind, _ in bodies] == ["notify", "notify-next"] * 2
    assert bodies[1][1]["execution"]["jobId"] == job
    assert bodies[2][1]["jobs"] == {} and "execution" not in bodies[3][1]


@versions
def test_publishing_on_a_reply_topic_is_an_error(mosquitto, fresh, version):
    topic = jobs_topic(fresh.thing(), "notify")
    name = fresh.name("client")
    publish = ["-V", version, "-i", name, "-q", "1", "-d", "-t", topic, "-m", "{}"]
    outcome = mosquitto("mosquitto_pub", *publish, check=False)
    if version == "mqttv5":
        assert "received PUBACK (Mid: 1, RC:144)" in outcome.stdout, outcome
    else:
        # How the client calls the loss depends on whether it was still writing when the connection was closed.
        assert outcome.returncode != 0 and "PUBACK" not in outcome.stdout, outcome


@versions
def test_the_largest_message_passes(mosquitto, fresh, version):
    topic, name = fresh.name("topic"), fresh.name("client")
    kept = ["-V", version, "-c", "-i", name, "-q", "1"] + (["-x", "3600"] if version == "mqttv5" else [])
    mosquitto("mosquitto_sub", *kept, "-t", topic, "-E")
    text = "x" * 120_000
    mosquitto("mosquitto_pub", "-V", version, "-i", fresh.name("client"), "-q", "1", "-t", topic, "-m", text)
    assert mosquitto("mosquitto_sub", *kept, "-t", topic, "-C", "1").stdout == text + "\n"

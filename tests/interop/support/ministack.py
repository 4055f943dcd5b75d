"""MiniStack, a Jobs service that is not ours, as a process of its own: MQTT with mutual TLS, and the control plane."""

import os
import socket
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config

from .programs import Process
from .waiting import eventually

ACCOUNT = "000000000000"
REGION = "us-east-1"


class Ministack:
    """A running service. It takes no port 0, so that free ports are looked for first, and others if those are taken
    in between."""

    def __init__(self, directory):
        self.directory = Path(directory)
        for _ in range(5):
            if self._start(*free_ports(2)):
                break
        else:
            raise AssertionError(f"ministack does not start; its log:\n{self.process.log[-4000:]}")
        self.mqtt_host = "127.0.0.1"
        self.root_ca = self._write("root-ca.pem", self._get("/_ministack/iot/ca.pem"))
        self.iot, self.data = self.client("iot"), self.client("iot-jobs-data")
        made = self.iot.create_keys_and_certificate(setAsActive=True)
        self.certificate = self._write("device.pem", made["certificatePem"])
        self.key = self._write("device.key", made["keyPair"]["PrivateKey"])
        everything = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}'
        self.iot.create_policy(policyName="everything", policyDocument=everything)
        self.iot.attach_policy(policyName="everything", target=made["certificateArn"])
        self.certificate_arn = made["certificateArn"]

    def _start(self, http, mqtt):
        self.http, self.mqtt_port = f"http://127.0.0.1:{http}", mqtt
        program = os.environ.get("FLEETHAND_MINISTACK")
        assert program, "FLEETHAND_MINISTACK does not name the program: start with `cargo xtask interop`"
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "TMPDIR": str(self.directory),
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(http),
            "IOT_MTLS_PORT": str(mqtt),
            "SERVICES": "iot,iot-data,iot-jobs-data,sts",
            "LOG_LEVEL": "INFO",
        }
        log = self.directory / "ministack.log"
        self.process = Process("ministack", [program], log, env=environment, stdout=open(log, "ab"), cwd=self.directory)

        def look():
            if self.process.child.poll() is not None:
                return "ended"
            try:
                self._get("/_ministack/health")
            except OSError:
                return None
            return "up" if "MQTT listening" in self.process.log or "failed to bind" in self.process.log else None

        up = eventually("an answer of ministack", look, lambda: self.process.log[-2000:]) == "up"
        if up and "failed to bind" not in self.process.log:
            return True
        self.process.kill()
        return False

    def _get(self, path):
        with urllib.request.urlopen(self.http + path, timeout=10) as answer:
            return answer.read().decode()

    def _write(self, name, content):
        path = self.directory / name
        path.write_text(content)
        path.chmod(0o600)
        return str(path)

    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.http,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=60, connect_timeout=60),
        )

    def create_thing(self, thing):
        self.iot.create_thing(thingName=thing)
        self.iot.attach_thing_principal(thingName=thing, principal=self.certificate_arn)

    @staticmethod
    def thing_arn(thing):
        return f"arn:aws:iot:{REGION}:{ACCOUNT}:thing/{thing}"

    @staticmethod
    def group_arn(group):
        return f"arn:aws:iot:{REGION}:{ACCOUNT}:thinggroup/{group}"

    def stop(self):
        self.process.check()
        # How it ends when it is asked to is nothing that we test.
        self.process.kill()


def free_ports(count):
    """Ports that nobody has at the moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [taken.getsockname()[1] for taken in sockets]
    for taken in sockets:
        taken.close()
    return ports

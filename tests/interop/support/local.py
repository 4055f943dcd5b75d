"""`fleethand-local` as a process of its own, and the clients of its two HTTP planes."""

import json
import subprocess
from pathlib import Path

import boto3
from botocore.config import Config

from .programs import Process, built
from .shapes import Checker

ACCOUNT = "123456789012"
REGION = "us-east-1"
ARN = f"arn:aws:iot:{REGION}:{ACCOUNT}"

# The thing whose certificate the tests use. A certificate acts for any thing as long as no policies are set.
DEVICE = "interop"


def thing_arn(thing):
    return f"{ARN}:thing/{thing}"


def group_arn(group):
    return f"{ARN}:thinggroup/{group}"


class LocalService:
    """A Jobs service with an authority of its own."""

    def __init__(self, directory, mqtt="127.0.0.1:0", hosts=(), arguments=()):
        self.directory = Path(directory)
        program = built("fleethand-local")
        names = [part for host in hosts for part in ("--host", host)]
        init = [program, "--log-level", "warn", "init", directory, "--thing", DEVICE, *names]
        subprocess.run(init, check=True, stdout=subprocess.DEVNULL)
        command = [program, "--log-level", "debug", "serve", directory, "--mqtt", mqtt, "--http", "127.0.0.1:0"]
        self.process = Process("fleethand-local", [*command, *arguments], self.directory / "log", stdout=subprocess.PIPE)
        line = self.process.child.stdout.readline()
        assert line, f"fleethand-local has not told its addresses; its log:\n{self.process.log}"
        addresses = json.loads(line)
        self.http = addresses["http"]
        self.mqtt_host, port = addresses["mqtt"].rsplit(":", 1)
        self.mqtt_port = int(port)
        # Every answer that any client of this suite gets is held against the API's own model.
        self.checker = Checker()
        self.iot = self.client("iot")
        self.data = self.client("iot-jobs-data")

    def client(self, service, **config):
        """A client of boto3 whose answers are checked. It does not try again: an error is an error."""
        client = boto3.client(
            service,
            endpoint_url=self.http,
            region_name=REGION,
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=60, connect_timeout=60, **config),
        )
        self.checker.watch(client)
        return client

    @property
    def root_ca(self):
        return str(self.directory / "agent" / "root-ca.pem")

    @property
    def certificate(self):
        return str(self.directory / "agent" / "device.pem")

    @property
    def key(self):
        return str(self.directory / "agent" / "device.key")

    def environment(self, base):
        """The variables by which unmodified AWS tools find this service."""
        return base | {
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL_IOT": self.http,
            "AWS_ENDPOINT_URL_IOT_JOBS_DATA_PLANE": self.http,
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
            # What the AWS Common Runtime reads instead of the system's list of authorities.
            "SSL_CERT_FILE": self.root_ca,
        }

    def stop(self):
        self.process.stop()
        self.process.child.stdout.close()

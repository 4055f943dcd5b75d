"""The daemon, and two services for it: MiniStack, and ours as its users start it."""

import itertools
import json

import pytest

from support.board import Board
from support.local import LocalService, group_arn, thing_arn
from support.ministack import Ministack
from support.wire import Wire


class Local(LocalService):
    """Ours, with what the tests ask of either service."""

    thing_arn = staticmethod(thing_arn)
    group_arn = staticmethod(group_arn)

    def create_thing(self, thing):
        self.iot.create_thing(thingName=thing)

    def stop(self):
        assert not self.checker.faults, self.checker.faults
        super().stop()


@pytest.fixture(scope="session", params=[Ministack, Local], ids=["ministack", "local"])
def service(request, tmp_path_factory):
    """Either service; each test runs against both."""
    made = request.param(tmp_path_factory.mktemp("service"))
    yield made
    made.stop()


_numbers = itertools.count(1)


@pytest.fixture
def wire(service):
    made = Wire(service.mqtt_host, service.mqtt_port)
    yield made
    made.close()


@pytest.fixture
def board(service, tmp_path_factory, wire):
    """A device that is known to the service and reaches it by the wire; the daemon does not run yet."""
    thing = f"board-{next(_numbers)}"
    service.create_thing(thing)
    made = Board(service, thing, tmp_path_factory.mktemp("board"), wire.port)
    yield made
    made.close()


@pytest.fixture
def job(service, board):
    """Creates a job for the board. A document is a handler's name with further members, or any text."""

    def create(document, targets=None, more=None, **members):
        name = f"job-{next(_numbers)}"
        if not document.startswith(("{", "[", '"')):
            document = json.dumps({"operation": document, "path": "default"} | members)
        targets = targets or [service.thing_arn(board.thing)]
        service.iot.create_job(jobId=name, targets=targets, document=document, **(more or {}))
        return name

    return create

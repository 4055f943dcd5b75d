"""One service for the whole run; each test has things, groups and jobs with names of its own."""

import itertools
from types import SimpleNamespace

import pytest

from support.device import Device
from support.local import LocalService, group_arn, thing_arn


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    """The local service; when the run ends it must still be there."""
    local = LocalService(tmp_path_factory.mktemp("local"))
    yield local
    local.process.check()
    local.stop()


@pytest.fixture(autouse=True)
def every_answer_is_as_the_model_says(request):
    """Whatever a test calls: the answers that it got must fit the API's model."""
    if "service" not in request.fixturenames:
        yield
        return
    checker = request.getfixturevalue("service").checker
    before = len(checker.faults)
    yield
    assert not checker.faults[before:], "\n".join(checker.faults[before:])


@pytest.fixture
def iot(service):
    """The control plane, by boto3."""
    return service.iot


@pytest.fixture
def data(service):
    """The data plane over HTTP, by boto3."""
    return service.data


_numbers = itertools.count(1)


@pytest.fixture
def fresh(iot):
    """Makes things, groups and jobs that no other test has."""

    def name(kind):
        return f"{kind}-{next(_numbers)}"

    def thing(name_=None):
        thing_name = name_ or name("thing")
        iot.create_thing(thingName=thing_name)
        return thing_name

    def group(*things, parent=None):
        group_name = name("group")
        more = {"parentGroupName": parent} if parent else {}
        iot.create_thing_group(thingGroupName=group_name, **more)
        for member in things:
            iot.add_thing_to_thing_group(thingGroupName=group_name, thingName=member)
        return group_name

    def job(*things, **more):
        return named_job(name("job"), *things, **more)

    def named_job(job_id, *things, groups=(), document='{"operation":"test"}', **more):
        targets = [thing_arn(thing) for thing in things] + [group_arn(group) for group in groups]
        if document is not None:
            more["document"] = document
        iot.create_job(jobId=job_id, targets=targets, **more)
        return job_id

    return SimpleNamespace(name=name, thing=thing, group=group, job=job, named_job=named_job)


def pytest_collection_modifyitems(items):
    """What looks back on the whole run comes last."""
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


@pytest.fixture
def connect(service, fresh):
    """Makes devices, whose connections end with the test."""
    made = []

    def device(client_id=None, **options):
        made.append(Device(service, fresh.name("client") if client_id is None else client_id, **options))
        return made[-1]

    yield device
    for device_ in made:
        device_.close()


@pytest.fixture
def events(iot, connect):
    """A connection that sees the events of the account, which are switched on for the test."""
    both = ["JOB", "JOB_EXECUTION"]
    iot.update_event_configurations(eventConfigurations={kind: {"Enabled": True} for kind in both})
    device = connect()
    assert device.subscribe("$aws/events/job/#", "$aws/events/jobExecution/#") == [1, 1]
    yield device
    iot.update_event_configurations(eventConfigurations={kind: {"Enabled": False} for kind in both})

"""That the suite has called everything that the service offers."""

import re
from pathlib import Path

import pytest

CRATES = Path(__file__).parents[3] / "crates"
ROUTE = re.compile(r'route\(\s*"(?:GET|PUT|POST|PATCH|DELETE)",\s*"/[^"]*",\s*"(\w+)"')
PERFORMED = re.compile(r'^\s*"(\w+)" =>', re.MULTILINE)

# What botocore does not let go wrong, and what has nothing that could be wrong with it.
UNFAILING = {"DescribeEventConfigurations", "GetPendingJobExecutions", "StartNextPendingJobExecution"}


def offered():
    """The operations that have a route and are performed; the others answer 501."""
    routes = (CRATES / "local-service" / "src" / "http" / "routes.rs").read_text()
    control = (CRATES / "service-core" / "src" / "control.rs").read_text()
    data = {"GetPendingJobExecutions", "StartNextPendingJobExecution", "DescribeJobExecution", "UpdateJobExecution"}
    found = set(ROUTE.findall(routes)) & (set(PERFORMED.findall(control)) | data)
    assert len(found) >= 37, sorted(found)
    return found


@pytest.mark.last
def test_every_operation_of_the_routes_was_called_with_success_and_with_an_error(request, service):
    here = Path(__file__).parent
    whole = {path.name for path in here.glob("test_*.py")}
    if {item.path.name for item in request.session.items} & whole != whole or request.config.option.keyword:
        pytest.skip("only part of the suite runs")
    called = {}
    for (_, name), statuses in service.checker.called.items():
        called.setdefault(name, set()).update(statuses)
    missing = {name for name in offered() if not any(status < 300 for status in called.get(name, []))}
    assert not missing, "never answered with success"
    missing = {name for name in offered() - UNFAILING if not any(status >= 400 for status in called.get(name, []))}
    assert not missing, "never answered with an error"

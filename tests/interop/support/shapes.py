"""Holds every answer against botocore's model of the API: what an SDK would pass over in silence is a fault here.

boto3 itself ignores members that it does not know, takes any type for them, and makes an untyped error of a code that
it does not know. A service that differs from AWS in one of these would go unnoticed, so each answer is looked at as it
came over the wire."""

import json

# Errors that every operation may answer with although its model does not list them.
COMMON_ERRORS = {"NotImplemented": 501, "SerializationException": 400, "RequestEntityTooLargeException": 413}


class Checker:
    """Collects the faults of all answers, and which operations were called."""

    def __init__(self):
        self.faults = []
        self.called = {}

    def watch(self, client):
        client.meta.events.register("before-parse", self._answered)

    def _answered(self, operation_model, response_dict, **_):
        name = operation_model.name
        service = operation_model.service_model.signing_name
        status = response_dict["status_code"]
        self.called.setdefault((service, name), set()).add(status)
        self.faults += [f"{name} ({status}): {fault}" for fault in faults_of(operation_model, response_dict)]


def faults_of(operation, response):
    """What is wrong with an answer."""
    headers = {name.lower(): value for name, value in response["headers"].items()}
    if len(headers.get("x-amzn-requestid", "")) != 36:
        yield "no request id"
    if headers.get("content-type") != "application/json":
        yield f"content type {headers.get('content-type')}"
    body = response["body"]
    try:
        body = json.loads(body) if body else {}
    except ValueError as error:
        yield f"the body is not JSON: {error}: {body[:200]}"
        return
    if response["status_code"] < 300:
        if "x-amzn-errortype" in headers:
            yield "a success that names an error"
        yield from faults_of_value(operation.output_shape, body, "")
    else:
        yield from faults_of_error(operation, response["status_code"], headers.get("x-amzn-errortype"), body)


def faults_of_error(operation, status, code, body):
    if not body.get("message"):
        yield f"{code}: no message"
    if code in COMMON_ERRORS:
        if status != COMMON_ERRORS[code]:
            yield f"{code}: not {COMMON_ERRORS[code]}"
        return
    for shape in operation.error_shapes:
        if shape.name == code:
            if shape.metadata["error"]["httpStatusCode"] != status:
                yield f"{code}: not {shape.metadata['error']['httpStatusCode']}"
            yield from faults_of_value(shape, body, "")
            return
    yield f"the operation has no error {code}"


def faults_of_value(shape, value, path):
    """What is wrong with a value of the wire. A null is a fault: what is not there is left out."""
    if shape is None:
        if value:
            yield f"a body, where the operation has none: {value}"
        return
    check = _CHECKS.get(shape.type_name)
    if check is None:
        yield f"{path}: a {shape.type_name} in the model, which this checker does not know"
        return
    yield from check(shape, value, path)


def _structure(shape, value, path):
    if not isinstance(value, dict):
        yield f"{path}: not an object: {value!r}"
        return
    names = {member.serialization.get("name", name): (name, member) for name, member in shape.members.items()}
    for name, item in value.items():
        if name not in names:
            yield f"{path}.{name}: the model has no such member"
        else:
            yield from faults_of_value(names[name][1], item, f"{path}.{name}")
    for name in shape.required_members:
        if name not in value:
            yield f"{path}.{name}: the model requires it"


def _list(shape, value, path):
    if not isinstance(value, list):
        yield f"{path}: not a list: {value!r}"
        return
    for index, item in enumerate(value):
        yield from faults_of_value(shape.member, item, f"{path}[{index}]")


def _map(shape, value, path):
    if not isinstance(value, dict):
        yield f"{path}: not a map: {value!r}"
        return
    for key, item in value.items():
        yield from faults_of_value(shape.key, key, f"{path} key")
        yield from faults_of_value(shape.value, item, f"{path}.{key}")


def _string(shape, value, path):
    if not isinstance(value, str):
        yield f"{path}: not a string: {value!r}"
    elif shape.enum and value not in shape.enum:
        yield f"{path}: not one of {shape.enum}: {value!r}"


def _whole(shape, value, path):
    if not isinstance(value, int) or isinstance(value, bool):
        yield f"{path}: not a whole number: {value!r}"


def _number(shape, value, path):
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        yield f"{path}: not a number: {value!r}"


def _timestamp(shape, value, path):
    yield from _number(shape, value, path)
    # Seconds, not milliseconds: before the year 2100.
    if isinstance(value, (int, float)) and not 1_500_000_000 < value < 4_102_444_800:
        yield f"{path}: not seconds since 1970: {value!r}"


def _boolean(shape, value, path):
    if not isinstance(value, bool):
        yield f"{path}: not true or false: {value!r}"


_CHECKS = {
    "structure": _structure,
    "list": _list,
    "map": _map,
    "string": _string,
    "integer": _whole,
    "long": _whole,
    "double": _number,
    "float": _number,
    "timestamp": _timestamp,
    "boolean": _boolean,
}

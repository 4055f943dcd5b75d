"""The Jobs topics over MQTT, byte by byte where it matters: paho, 3.1.1 and 5."""

import json
import time

import pytest

from support.device import BOTH, Jobs, jobs_topic, name_of


@pytest.fixture(params=BOTH, ids=name_of)
def board(request, connect, fresh):
    """A thing and a connection that acts for it."""
    return Jobs(connect(version=request.param), fresh.thing())


def recent(*stamps):
    """Whether these are whole seconds of about now."""
    return all(isinstance(stamp, int) and abs(stamp - time.time()) < 3600 for stamp in stamps)


def test_replies_have_the_members_of_the_service_in_its_order(board, fresh):
    job = fresh.job(board.thing, document='{ "operation": "a", "b": null }')
    kind, body = board.news()
    assert kind == "notify" and list(body) == ["timestamp", "jobs"]
    summary = body["jobs"]["QUEUED"][0]
    assert list(summary) == ["jobId", "queuedAt", "lastUpdatedAt", "executionNumber", "versionNumber"]
    assert recent(body["timestamp"], summary["queuedAt"], summary["lastUpdatedAt"])
    kind, body = board.news()
    assert kind == "notify-next" and list(body) == ["timestamp", "execution"]
    members = ["jobId", "status", "queuedAt", "lastUpdatedAt", "versionNumber", "executionNumber", "jobDocument"]
    assert list(body["execution"]) == members
    assert body["execution"]["jobDocument"] == {"operation": "a"}

    verdict, body = board.ask("get", {"clientToken": "a-token"})
    assert (verdict, list(body)) == ("accepted", ["clientToken", "timestamp", "inProgressJobs", "queuedJobs"])
    assert (body["clientToken"], body["inProgressJobs"], body["queuedJobs"]) == ("a-token", [], [summary])

    verdict, body = board.ask("start-next", {"statusDetails": {"a": "b"}, "stepTimeoutInMinutes": 5})
    assert (verdict, list(body)) == ("accepted", ["timestamp", "execution"])
    assert list(body["execution"]) == [
        "jobId", "status", "statusDetails", "queuedAt", "startedAt", "lastUpdatedAt", "versionNumber",
        "executionNumber", "approximateSecondsBeforeTimedOut", "jobDocument",
    ]  # fmt: skip
    assert (body["execution"]["status"], body["execution"]["versionNumber"]) == ("IN_PROGRESS", 2)
    assert 200 < body["execution"]["approximateSecondsBeforeTimedOut"] <= 300
    again = board.ask("start-next", {"statusDetails": {"c": "d"}})[1]["execution"]
    same = {"approximateSecondsBeforeTimedOut": 0}
    assert again | same == body["execution"] | same

    verdict, body = board.ask(f"{job}/update", {"status": "IN_PROGRESS", "clientToken": "t"})
    assert (verdict, list(body)) == ("accepted", ["clientToken", "timestamp"])
    request = {"status": "IN_PROGRESS", "includeJobExecutionState": True, "includeJobDocument": True}
    verdict, body = board.ask(f"{job}/update", request | {"expectedVersion": "3"})
    assert (verdict, list(body)) == ("accepted", ["timestamp", "executionState", "jobDocument"])
    assert body["executionState"] == {"status": "IN_PROGRESS", "statusDetails": {"a": "b"}, "versionNumber": 4}

    verdict, body = board.ask(f"{job}/update", {"status": "SUCCEEDED"})
    assert (verdict, list(body)) == ("accepted", ["timestamp"])
    kind, body = board.news()
    assert (kind, body["jobs"]) == ("notify", {})
    kind, body = board.news()
    assert (kind, list(body)) == ("notify-next", ["timestamp"])


def test_a_thing_without_jobs_gets_empty_answers(board):
    assert list(board.ask("start-next")[1]) == ["timestamp"]
    assert list(board.ask("$next/get")[1]) == ["timestamp"]
    verdict, body = board.ask("get", b"")
    assert (verdict, body["inProgressJobs"], body["queuedJobs"]) == ("accepted", [], [])


def test_next_is_described_by_name_and_by_next(board, fresh):
    job = fresh.job(board.thing)
    board.news(), board.news()
    by_next = board.ask("$next/get", {"clientToken": "x"})[1]
    assert list(by_next) == ["clientToken", "timestamp", "execution"]
    assert board.ask(f"{job}/get")[1]["execution"] == by_next["execution"]
    assert "jobDocument" not in board.ask(f"{job}/get", {"includeJobDocument": False, "executionNumber": 1})[1]["execution"]


def rejected(board, request, body):
    verdict, reply = board.ask(request, body)
    assert verdict == "rejected", reply
    assert recent(reply["timestamp"])
    return reply


def test_rejections_have_code_message_and_the_state_where_it_helps(board, fresh):
    job = fresh.job(board.thing)
    board.news(), board.news()
    reply = rejected(board, f"{job}/update", b"{nonsense")
    assert list(reply) == ["timestamp", "code", "message"]
    assert reply["code"] == "InvalidJson"
    assert reply["message"] == "The contents of the request could not be interpreted as valid UTF-8-encoded JSON"
    reply = rejected(board, f"{job}/update", {"status": "IN_PROGRESS", "expectedVersion": 5, "clientToken": "t"})
    assert list(reply) == ["clientToken", "timestamp", "executionState", "code", "message"]
    assert (reply["code"], reply["message"]) == ("VersionMismatch", "Expected version 5 but found version 1")
    assert reply["executionState"] == {"status": "QUEUED", "versionNumber": 1}
    for status in ["CANCELED", "QUEUED", "REMOVED", "TIMED_OUT"]:
        reply = rejected(board, f"{job}/update", {"status": status})
        assert list(reply) == ["timestamp", "code", "message"]
        message = f"The status of job execution cannot be changed to be {status}"
        assert (reply["code"], reply["message"]) == ("InvalidStateTransition", message)
    reply = rejected(board, "nothing/update", {"status": "FAILED"})
    message = f"Job nothing not found for {board.thing}"
    assert (reply["code"], reply["message"]) == ("ResourceNotFound", message)
    assert rejected(board, "nothing/get", {})["code"] == "ResourceNotFound"
    for members in [{}, {"status": "DONE"}, {"status": "FAILED", "statusDetails": {"a": 1}}, {"status": 7}]:
        assert rejected(board, f"{job}/update", members)["code"] == "InvalidRequest", members
    # Nothing of all this has changed anything.
    assert board.ask(f"{job}/get")[1]["execution"]["versionNumber"] == 1
    board.ask(f"{job}/update", {"status": "FAILED", "statusDetails": {"why": "x"}})
    board.news(), board.news()
    reply = rejected(board, f"{job}/update", {"status": "SUCCEEDED"})
    assert reply["code"] == "InvalidStateTransition"
    assert reply["message"] == f"Job {job} for {board.thing} has already finished with status FAILED"
    assert reply["executionState"] == {"status": "FAILED", "statusDetails": {"why": "x"}, "versionNumber": 2}
    reply = rejected(board, f"{job}/get", {})
    assert list(reply) == ["timestamp", "code", "message"] and reply["code"] == "TerminalStateReached"


def test_what_happens_to_the_queue_is_told_and_what_does_not_is_not(board, iot, fresh):
    first = fresh.job(board.thing)
    board.news(), board.news()
    # Behind a pending one: the queue has changed, its front has not.
    second = fresh.job(board.thing)
    kind, body = board.news()
    assert kind == "notify" and [entry["jobId"] for entry in body["jobs"]["QUEUED"]] == [first, second]
    board.silent()
    # Starting the front is no news, nor is progress.
    board.ask("start-next")
    board.ask(f"{first}/update", {"status": "IN_PROGRESS", "statusDetails": {"a": "b"}})
    board.silent()
    # One that is not the front ends: its end is news, the front is not.
    third = fresh.job(board.thing)
    assert board.news()[0] == "notify"
    board.ask(f"{third}/update", {"status": "REJECTED"})
    kind, body = board.news()
    assert kind == "notify" and set(body["jobs"]) == {"IN_PROGRESS", "QUEUED"}
    board.silent()
    # The front ends.
    board.ask(f"{first}/update", {"status": "SUCCEEDED"})
    assert board.news()[0] == "notify"
    kind, body = board.news()
    assert (kind, body["execution"]["jobId"], body["execution"]["status"]) == ("notify-next", second, "QUEUED")
    # A finished execution is deleted.
    iot.delete_job_execution(jobId=first, thingName=board.thing, executionNumber=1)
    board.silent()
    # The operator changes the job, and then takes it away.
    iot.update_job(jobId=second, description="x")
    board.silent()
    iot.cancel_job(jobId=second)
    assert board.news()[1]["jobs"] == {}
    assert list(board.news()[1]) == ["timestamp"]


def test_a_later_job_that_is_started_becomes_the_front(board, fresh):
    first, second = fresh.job(board.thing), fresh.job(board.thing)
    board.news(), board.news(), board.news()
    assert board.ask(f"{second}/update", {"status": "IN_PROGRESS"})[0] == "accepted"
    kind, body = board.news()
    assert (kind, body["execution"]["jobId"]) == ("notify-next", second)
    assert board.ask("start-next")[1]["execution"]["jobId"] == second
    board.ask(f"{second}/update", {"status": "SUCCEEDED"})
    assert board.news()[0] == "notify"
    assert board.news()[1]["execution"]["jobId"] == first


def test_an_execution_that_is_cancelled_by_force_rejects_the_next_update(board, iot, fresh):
    job = fresh.job(board.thing)
    board.news(), board.news()
    board.ask("start-next")
    iot.cancel_job_execution(jobId=job, thingName=board.thing, force=True)
    assert board.news()[1]["jobs"] == {}
    assert list(board.news()[1]) == ["timestamp"]
    reply = rejected(board, f"{job}/update", {"status": "SUCCEEDED"})
    assert (reply["code"], reply["executionState"]["status"]) == ("InvalidStateTransition", "CANCELED")


def test_an_execution_that_is_deleted_under_the_device_is_not_found(board, iot, fresh):
    job = fresh.job(board.thing)
    board.news(), board.news()
    board.ask("start-next")
    iot.delete_job(jobId=job, force=True)
    board.news(), board.news()
    assert rejected(board, f"{job}/update", {"status": "SUCCEEDED"})["code"] == "ResourceNotFound"


def test_a_document_arrives_rewritten_as_the_service_does(board, fresh):
    pairs = {
        '{"a":2.50}': {"a": 2.5},
        '{"a":{"b":null,"c":[null]}}': {"a": {"c": [None]}},
        '{"a":1,"b":2,"a":3}': {"a": 3, "b": 2},
        '{"a":"\\u00e9\\/"}': {"a": "é/"},
        '{"a":123456789012345678901234567890}': {"a": 123456789012345678901234567890},
        "[1,2]": [1, 2],
        '"text"': "text",
        "null": None,
    }
    for stored, received in pairs.items():
        job = fresh.job(board.thing, document=stored)
        board.news(), board.news()
        execution = board.ask(f"{job}/get")[1]["execution"]
        assert execution["jobDocument"] == received, stored
        board.ask(f"{job}/update", {"status": "SUCCEEDED"})
        board.news(), board.news()


def test_requests_of_one_connection_are_handled_in_order(board, iot, fresh):
    job = fresh.job(board.thing)
    board.news(), board.news()
    topic = jobs_topic(board.thing, f"{job}/update")
    for step in range(20):
        board.device.send(topic, {"status": "IN_PROGRESS", "expectedVersion": step + 1}, qos=step % 2)
    board.device.send(topic, {"status": "SUCCEEDED"}, qos=0)
    verdicts = [board.device.next().topic.rsplit("/", 1)[1] for _ in range(21)]
    assert verdicts == ["accepted"] * 21
    assert iot.describe_job_execution(jobId=job, thingName=board.thing)["execution"]["status"] == "SUCCEEDED"


def test_many_pending_executions_are_cut_short_in_notifications(board, fresh):
    jobs = []
    for number in range(12):
        jobs.append(fresh.job(board.thing))
        kind, body = board.news()
        assert kind == "notify"
        if number == 0:
            assert board.news()[0] == "notify-next"
    first = jobs[:10]
    assert [entry["jobId"] for entry in body["jobs"]["QUEUED"]] == first
    assert [entry["jobId"] for entry in board.ask("get")[1]["queuedJobs"]] == first


@pytest.mark.parametrize("token", ["x", "x" * 64, "a b", "é"])
def test_a_token_comes_back_as_it_was(board, token):
    assert board.ask("get", {"clientToken": token})[1]["clientToken"] == token


def test_a_huge_document_arrives_whole(board, fresh):
    text = "x" * 32_700
    fresh.job(board.thing, document=json.dumps({"a": text}))
    board.news()
    assert board.news()[1]["execution"]["jobDocument"] == {"a": text}

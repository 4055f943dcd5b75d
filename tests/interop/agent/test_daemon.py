"""The agent's scenarios from end to end, against a Jobs service that is not ours as well as against ours."""

import json

import pytest

from support.board import is_alive
from support.waiting import eventually


def test_a_handler_that_succeeds(board, job):
    board.handler("greet", 'echo "Hello $1"\n')
    board.start()
    status, details = board.wait_until_over(job("greet", args=["world"], includeStdOut=True))
    assert (status, details["stdout"]) == ("SUCCEEDED", "Hello world\n")


def test_a_handler_that_fails(board, job):
    board.handler("fail", "echo trouble >&2\nexit 3\n")
    board.start()
    status, details = board.wait_until_over(job("fail"))
    assert (status, details["reason"], details["stderr"]) == ("FAILED", "Job exited with status: 3", "trouble\n")


def test_a_handler_that_complains_more_than_it_may(board, job):
    board.handler("complain", "echo trouble >&2\n")
    board.start()
    assert board.wait_until_over(job("complain"))[0] == "FAILED"
    assert board.wait_until_over(job("complain", allowStdErr=1))[0] == "SUCCEEDED"


@pytest.mark.parametrize("document", ['{"operation":5}', '{"message":"hello"}', '{"version":"1.0","steps":[]}', "[1]"])
def test_a_document_that_cannot_be_run(board, job, document):
    board.start()
    status, details = board.wait_until_over(job(document))
    assert status == "REJECTED" and details["reason"]


def test_a_handler_that_is_not_there(board, job):
    board.start()
    status, details = board.wait_until_over(job("not-there.sh"))
    assert status == "REJECTED" and "not-there.sh" in details["reason"]


def test_a_handler_that_others_may_run(board, job):
    board.handler("open", "true\n", mode=0o755)
    board.start()
    status, details = board.wait_until_over(job("open"))
    assert status == "REJECTED" and "0755" in details["reason"]


def step(name, handler, *args, **more):
    return {"action": {"name": name, "type": "runHandler", "input": {"handler": handler, "args": list(args), "path": "default"}} | more}


def test_steps_run_one_after_the_other(board, job):
    board.handler("note", 'echo "$2" >>{}/notes\n')
    board.start()
    document = {"version": "1.0", "steps": [step("one", "note", "first"), step("two", "note", "second")]}
    assert board.wait_until_over(job(json.dumps(document)))[0] == "SUCCEEDED"
    assert board.notes() == ["first", "second"]


def test_a_step_that_fails_is_the_last_one(board, job):
    board.handler("note", 'echo "$2" >>{}/notes\n[ "$2" != bad ]\n')
    board.start()
    document = {"version": "1.0", "steps": [step(f"s{n}", "note", word) for n, word in enumerate(["good", "bad", "never"])]}
    assert board.wait_until_over(job(json.dumps(document)))[0] == "FAILED"
    assert board.notes() == ["good", "bad"]


def test_a_large_document_arrives(board, job):
    board.handler("count", 'printf %s "$1" | wc -c\n')
    board.start()
    status, details = board.wait_until_over(job("count", args=["x" * 30_000], includeStdOut=True))
    assert (status, details["stdout"].strip()) == ("SUCCEEDED", "30000")


def test_details_of_odd_characters_arrive(board, job):
    board.handler("odd", "printf 'a\\001b\\tc\\nd \\303\\251 \\360\\237\\230\\200\\n'\n")
    board.start()
    status, details = board.wait_until_over(job("odd", includeStdOut=True))
    assert status == "SUCCEEDED"
    assert "d é 😀" in details["stdout"] and "\x01" not in details["stdout"]


def test_a_job_that_waited_for_the_device(board, job):
    board.handler("greet", "true\n")
    name = job("greet")
    assert board.execution(name)["status"] == "QUEUED"
    board.start()
    assert board.wait_until_over(name)[0] == "SUCCEEDED"


def test_a_second_job_waits_for_the_first(board, job):
    board.patient_handler("first")
    board.patient_handler("second")
    board.start()
    one, two = job("first"), job("second")
    board.wait_for_note("first begins")
    assert board.execution(one)["status"] == "IN_PROGRESS"
    assert board.execution(two)["status"] == "QUEUED"
    board.let_go("second")
    board.let_go("first")
    assert board.wait_until_over(two)[0] == "SUCCEEDED"
    assert board.execution(one)["status"] == "SUCCEEDED"
    assert board.notes() == ["first begins", "first ends", "second begins", "second ends"]


def test_many_jobs_run_in_the_order_in_which_they_were_queued(board, job):
    board.handler("note", 'echo "$1" >>{}/notes\n')
    names = [job("note", args=[str(number)]) for number in range(12)]
    board.start()
    for name in names:
        assert board.wait_until_over(name)[0] == "SUCCEEDED"
    assert board.notes() == [str(number) for number in range(12)]


def test_a_cancel_by_force_ends_a_handler_that_ignores_it_and_the_next_job_runs(board, service, job):
    board.handler("stubborn", 'trap "" TERM\necho $$ >{}/pid\nwhile [ -d {} ]; do sleep 0.05; done\n')
    board.handler("next", "true\n")
    board.start()
    first, second = job("stubborn"), job("next")
    pid = eventually("a handler", lambda: (board.path / "pid").exists() and (board.path / "pid").read_text().strip(), board.log)
    assert is_alive(pid)
    service.iot.cancel_job(jobId=first, force=True)
    eventually("the end of the handler", lambda: not is_alive(pid), board.log)
    assert board.execution(first)["status"] == "CANCELED"
    assert board.wait_until_over(second)[0] == "SUCCEEDED"


def test_an_execution_that_is_cancelled_alone(board, service, job):
    board.patient_handler("patient")
    board.handler("next", "true\n")
    board.start()
    first, second = job("patient"), job("next")
    board.wait_for_note("patient begins")
    service.iot.cancel_job_execution(jobId=first, thingName=board.thing, force=True)
    assert board.wait_until_over(second)[0] == "SUCCEEDED"
    assert board.notes() == ["patient begins"]


def test_a_job_that_is_cancelled_without_force_runs_on(board, service, job):
    board.patient_handler("patient")
    board.start()
    name = job("patient")
    board.wait_for_note("patient begins")
    service.iot.cancel_job(jobId=name)
    board.let_go("patient")
    assert board.wait_until_over(name)[0] == "SUCCEEDED"
    assert service.iot.describe_job(jobId=name)["job"]["status"] == "CANCELED"


def test_a_job_that_is_deleted_under_its_handler(board, service, job):
    board.patient_handler("patient")
    board.handler("next", "true\n")
    board.start()
    first = job("patient")
    board.wait_for_note("patient begins")
    second = job("next")
    service.iot.delete_job(jobId=first, force=True)
    assert board.wait_until_over(second)[0] == "SUCCEEDED"
    assert board.notes() == ["patient begins"]


def test_a_queued_job_that_is_cancelled_does_not_run(board, service, job):
    board.patient_handler("patient")
    board.handler("note", "echo ran >>{}/notes\n")
    board.start()
    first, second = job("patient"), job("note")
    board.wait_for_note("patient begins")
    service.iot.cancel_job(jobId=second)
    board.let_go("patient")
    assert board.wait_until_over(first)[0] == "SUCCEEDED"
    third = job("note")
    assert board.wait_until_over(third)[0] == "SUCCEEDED"
    assert board.notes() == ["patient begins", "patient ends", "ran"]


def test_a_killed_agent_finds_its_handler_again_and_its_true_ending_arrives(board, job):
    board.patient_handler("patient")
    daemon = board.start()
    name = job("patient", includeStdOut=True)
    board.wait_for_note("patient begins")
    daemon.kill()
    board.start()
    board.let_go("patient")
    status, details = board.wait_until_over(name)
    assert (status, details["stdout"]) == ("SUCCEEDED", "done\n")
    assert board.notes() == ["patient begins", "patient ends"]


def test_an_ending_that_no_agent_saw_is_reported_by_the_next_one(board, job):
    board.handler(
        "fail",
        "echo begins >>{}/notes\nwhile [ -d {} ] && [ ! -e {}/fail.go ]; do sleep 0.05; done\n"
        "echo late >&2\necho $$ >{}/pid\nexit 9\n",
    )
    daemon = board.start()
    name = job("fail")
    board.wait_for_note("begins")
    daemon.kill()
    board.let_go("fail")
    pid = eventually("the handler's last deed", lambda: (board.path / "pid").exists() and (board.path / "pid").read_text().strip())
    eventually("the end of the handler", lambda: not is_alive(pid))
    board.start()
    status, details = board.wait_until_over(name)
    assert (status, details["reason"], details["stderr"]) == ("FAILED", "Job exited with status: 9", "late\n")
    assert board.notes() == ["begins"]


def test_an_agent_that_is_asked_to_end_leaves_its_handler_to_the_next_one(board, job):
    board.patient_handler("patient")
    daemon = board.start()
    name = job("patient")
    board.wait_for_note("patient begins")
    daemon.stop()
    assert daemon.child.returncode == 0
    assert board.execution(name)["status"] == "IN_PROGRESS"
    board.start()
    board.let_go("patient")
    assert board.wait_until_over(name)[0] == "SUCCEEDED"


def test_a_result_while_the_link_is_cut_arrives_when_it_is_mended(board, wire, job):
    board.patient_handler("patient")
    board.start()
    name = job("patient")
    board.wait_for_note("patient begins")
    wire.cut()
    board.let_go("patient")
    board.wait_for_note("patient ends")
    wire.mend()
    assert board.wait_until_over(name)[0] == "SUCCEEDED"
    assert board.notes() == ["patient begins", "patient ends"]


def test_a_job_that_is_created_while_the_link_is_cut(board, wire, job):
    board.handler("note", 'echo "$1" >>{}/notes\n')
    board.start()
    assert board.wait_until_over(job("note", args=["before"]))[0] == "SUCCEEDED"
    wire.cut()
    name = job("note", args=["meanwhile"])
    wire.mend()
    assert board.wait_until_over(name)[0] == "SUCCEEDED"
    assert board.notes() == ["before", "meanwhile"]


def test_a_job_that_is_cancelled_while_the_link_is_cut(board, service, wire, job):
    board.patient_handler("patient")
    board.handler("next", "true\n")
    board.start()
    name = job("patient")
    board.wait_for_note("patient begins")
    wire.cut()
    service.iot.cancel_job(jobId=name, force=True)
    second = job("next")
    wire.mend()
    assert board.wait_until_over(second)[0] == "SUCCEEDED"
    assert board.notes() == ["patient begins"]


def test_a_thing_that_joins_the_group_of_a_continuous_job_twice_runs_it_twice(board, service, job):
    board.handler("note", "echo ran >>{}/notes\n")
    group = f"group-of-{board.thing}"
    service.iot.create_thing_group(thingGroupName=group)
    board.start()
    name = job("note", targets=[service.group_arn(group)], more={"targetSelection": "CONTINUOUS"})
    member = {"thingGroupName": group, "thingName": board.thing}
    service.iot.add_thing_to_thing_group(**member)
    assert board.wait_until_over(name)[0] == "SUCCEEDED"
    service.iot.remove_thing_from_thing_group(**member)
    service.iot.add_thing_to_thing_group(**member)

    def second():
        execution = board.execution(name)
        return execution if (execution["executionNumber"], execution["status"]) == (2, "SUCCEEDED") else None

    eventually("the second execution", second, board.log)
    assert board.notes() == ["ran", "ran"]

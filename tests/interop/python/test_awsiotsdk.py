"""The AWS IoT device SDK for Python: its request-response Jobs client with its streams, and its older client, on
MQTT 5 and 3.1.1, through the walk-through of AWS's Jobs sandbox samples."""

import queue
import threading
import time

import pytest
from awscrt import mqtt, mqtt5, mqtt_request_response
from awsiot import ServiceStreamOptions, V2ServiceException, iotjobs, mqtt5_client_builder, mqtt_connection_builder

from support.waiting import PATIENCE


class Five:
    """A client of MQTT 5."""

    def __init__(self, service, client_id, **more):
        self.lifecycle = queue.Queue()
        connected = threading.Event()
        self.stopped = threading.Event()
        self.present = None

        def success(data):
            self.present = data.connack_packet.session_present
            connected.set()

        self.client = mqtt5_client_builder.mtls_from_path(
            endpoint=service.mqtt_host,
            port=service.mqtt_port,
            cert_filepath=service.certificate,
            pri_key_filepath=service.key,
            ca_filepath=service.root_ca,
            client_id=client_id,
            on_lifecycle_connection_success=success,
            on_lifecycle_disconnection=self.lifecycle.put,
            on_lifecycle_stopped=lambda _: self.stopped.set(),
            **more,
        )
        self.client.start()
        assert connected.wait(PATIENCE)

    is_stopped = False

    def stop(self):
        self.is_stopped = True
        self.client.stop()
        assert self.stopped.wait(PATIENCE)


class Three:
    """A client of MQTT 3.1.1."""

    def __init__(self, service, client_id, clean_session=True, on_message=None):
        self.interrupted = threading.Event()
        self.client = mqtt_connection_builder.mtls_from_path(
            endpoint=service.mqtt_host,
            port=service.mqtt_port,
            cert_filepath=service.certificate,
            pri_key_filepath=service.key,
            ca_filepath=service.root_ca,
            client_id=client_id,
            clean_session=clean_session,
            keep_alive_secs=30,
            on_connection_interrupted=lambda **_: self.interrupted.set(),
        )
        if on_message:
            self.client.on_message(on_message)
        self.present = self.client.connect().result(PATIENCE)["session_present"]

    is_stopped = False

    def stop(self):
        self.is_stopped = True
        self.client.disconnect().result(PATIENCE)


either = pytest.mark.parametrize("kind", [Three, Five], ids=["3.1.1", "5"])


@pytest.fixture
def link(service, fresh):
    """Makes connections, which end with the test."""
    made = []

    def connect(kind, client_id=None, **more):
        made.append(kind(service, client_id or fresh.name("client"), **more))
        return made[-1]

    yield connect
    for connection in made:
        if not connection.is_stopped:
            connection.stop()


def recent(*times):
    """Whether the SDK made times of about now of what came."""
    return all(abs(time.time() - found.timestamp()) < 3600 for found in times)


class Stream:
    """What comes on one of the SDK's streams."""

    def __init__(self, make, request):
        self.incoming = queue.Queue()
        ready = threading.Event()
        self.operation = make(
            request,
            ServiceStreamOptions(
                incoming_event_listener=self.incoming.put,
                subscription_status_listener=lambda event: (
                    event.type == mqtt_request_response.SubscriptionStatusEventType.SUBSCRIPTION_ESTABLISHED
                    and ready.set()
                ),
            ),
        )
        self.operation.open()
        assert ready.wait(PATIENCE), "the stream is not subscribed"

    def next(self):
        return self.incoming.get(timeout=PATIENCE)


class V2:
    """The request-response client, and its two streams, for one thing."""

    def __init__(self, connection, thing):
        options = mqtt_request_response.ClientOptions(
            max_request_response_subscriptions=2,
            max_streaming_subscriptions=2,
            operation_timeout_in_seconds=PATIENCE,
        )
        self.client = iotjobs.IotJobsClientV2(connection.client, options)
        self.thing = thing
        self.changed = Stream(
            self.client.create_job_executions_changed_stream,
            iotjobs.JobExecutionsChangedSubscriptionRequest(thing_name=thing),
        )
        self.next_changed = Stream(
            self.client.create_next_job_execution_changed_stream,
            iotjobs.NextJobExecutionChangedSubscriptionRequest(thing_name=thing),
        )

    def pending(self):
        request = iotjobs.GetPendingJobExecutionsRequest(thing_name=self.thing)
        return self.client.get_pending_job_executions(request).result(PATIENCE)

    def start_next(self, **more):
        request = iotjobs.StartNextPendingJobExecutionRequest(thing_name=self.thing, **more)
        return self.client.start_next_pending_job_execution(request).result(PATIENCE)

    def describe(self, job, **more):
        request = iotjobs.DescribeJobExecutionRequest(thing_name=self.thing, job_id=job, **more)
        return self.client.describe_job_execution(request).result(PATIENCE)

    def update(self, job, status, **more):
        request = iotjobs.UpdateJobExecutionRequest(thing_name=self.thing, job_id=job, status=status, **more)
        return self.client.update_job_execution(request).result(PATIENCE)


@either
def test_the_walk_through_with_the_request_response_client(link, iot, fresh, kind):
    device = V2(link(kind), fresh.thing())
    answer = device.pending()
    assert (answer.in_progress_jobs, answer.queued_jobs) == ([], []) and recent(answer.timestamp)
    assert device.start_next().execution is None

    # create-job twice
    first = fresh.job(device.thing, document='{"ToDo":"Reboot"}')
    event = device.changed.next()
    assert [entry.job_id for entry in event.jobs["QUEUED"]] == [first] and recent(event.timestamp)
    execution = device.next_changed.next().execution
    assert (execution.job_id, execution.status) == (first, iotjobs.JobStatus.QUEUED)
    assert execution.job_document == {"ToDo": "Reboot"} and recent(execution.queued_at, execution.last_updated_at)
    assert (execution.version_number, execution.execution_number) == (1, 1) and execution.started_at is None
    second = fresh.job(device.thing, document='{"ToDo":"Delete Root User"}')
    event = device.changed.next()
    assert [entry.job_id for entry in event.jobs["QUEUED"]] == [first, second]

    # get-pending-job-executions
    answer = device.pending()
    assert answer.in_progress_jobs == [] and [entry.job_id for entry in answer.queued_jobs] == [first, second]
    summary = answer.queued_jobs[0]
    assert (summary.version_number, summary.execution_number, summary.started_at) == (1, 1, None)
    assert recent(summary.queued_at, summary.last_updated_at)

    # start-next-pending-job-execution: no event
    execution = device.start_next(status_details={"step": "1"}, step_timeout_in_minutes=15).execution
    assert (execution.job_id, execution.status) == (first, iotjobs.JobStatus.IN_PROGRESS)
    assert execution.job_document == {"ToDo": "Reboot"} and execution.status_details == {"step": "1"}
    assert recent(execution.started_at) and execution.version_number == 2
    assert execution.thing_name is None

    # describe-job-execution, by id and as $next
    for name in [first, "$next"]:
        described = device.describe(name, include_job_document=True).execution
        assert (described.job_id, described.job_document) == (first, {"ToDo": "Reboot"})
    assert device.describe(first, include_job_document=False, execution_number=1).execution.job_document is None

    # update-job-execution: both events, the other job is next
    answer = device.update(
        first, iotjobs.JobStatus.SUCCEEDED, expected_version=2, include_job_execution_state=True,
        include_job_document=True, status_details={"step": "2"},
    )  # fmt: skip
    state = answer.execution_state
    assert (state.status, state.version_number, state.status_details) == ("SUCCEEDED", 3, {"step": "2"})
    assert answer.job_document == {"ToDo": "Reboot"} and recent(answer.timestamp)
    event = device.changed.next()
    assert list(event.jobs) == ["QUEUED"] and [entry.job_id for entry in event.jobs["QUEUED"]] == [second]
    execution = device.next_changed.next().execution
    assert (execution.job_id, execution.status) == (second, iotjobs.JobStatus.QUEUED)

    # the second one fails: nothing is left
    assert device.start_next().execution.job_id == second
    assert device.update(second, iotjobs.JobStatus.FAILED).execution_state is None
    assert device.changed.next().jobs == {}
    assert device.next_changed.next().execution is None
    assert device.start_next().execution is None
    assert device.changed.incoming.empty() and device.next_changed.incoming.empty()

    # delete-job
    for job in [first, second]:
        iot.delete_job(jobId=job)


@either
def test_refusals_are_the_clients_typed_errors(link, iot, fresh, kind):
    device = V2(link(kind), fresh.thing())
    job = fresh.job(device.thing)

    def refused(call):
        with pytest.raises(V2ServiceException) as error:
            call()
        assert isinstance(error.value.modeled_error, iotjobs.V2ErrorResponse)
        assert error.value.modeled_error.message and recent(error.value.modeled_error.timestamp)
        return error.value.modeled_error

    codes = iotjobs.RejectedErrorCode
    error = refused(lambda: device.update(job, iotjobs.JobStatus.IN_PROGRESS, expected_version=9))
    assert error.code == codes.VERSION_MISMATCH
    assert (error.execution_state.status, error.execution_state.version_number) == ("QUEUED", 1)
    error = refused(lambda: device.update(job, iotjobs.JobStatus.CANCELED))
    assert (error.code, error.execution_state) == (codes.INVALID_STATE_TRANSITION, None)
    error = refused(lambda: device.update("nothing", iotjobs.JobStatus.FAILED))
    assert error.code == codes.RESOURCE_NOT_FOUND
    error = refused(lambda: device.update(job, "NONSENSE"))
    assert error.code == codes.INVALID_REQUEST
    error = refused(lambda: device.update(job, iotjobs.JobStatus.FAILED, status_details={"key": "x" * 2000}))
    assert error.code == codes.INVALID_REQUEST
    assert refused(lambda: device.describe("nothing")).code == codes.RESOURCE_NOT_FOUND
    device.update(job, iotjobs.JobStatus.REJECTED)
    assert refused(lambda: device.describe(job)).code == codes.TERMINAL_STATE_REACHED
    error = refused(lambda: device.update(job, iotjobs.JobStatus.SUCCEEDED))
    assert (error.code, error.execution_state.status) == (codes.INVALID_STATE_TRANSITION, "REJECTED")


class Older:
    """The older client, with a subscription for each answer and each notification."""

    def __init__(self, connection, thing, job):
        self.client = iotjobs.IotJobsClient(connection.client)
        self.thing, self.job = thing, job
        self.answers = queue.Queue()
        requests = {
            "get_pending_job_executions": iotjobs.GetPendingJobExecutionsSubscriptionRequest(thing_name=thing),
            "start_next_pending_job_execution": iotjobs.StartNextPendingJobExecutionSubscriptionRequest(thing_name=thing),
            "describe_job_execution": iotjobs.DescribeJobExecutionSubscriptionRequest(thing_name=thing, job_id=job),
            "update_job_execution": iotjobs.UpdateJobExecutionSubscriptionRequest(thing_name=thing, job_id=job),
        }
        for operation, request in requests.items():
            for verdict in ["accepted", "rejected"]:
                self._subscribe(f"{operation}_{verdict}", request)
        self._subscribe("job_executions_changed_events", iotjobs.JobExecutionsChangedSubscriptionRequest(thing_name=thing))
        self._subscribe(
            "next_job_execution_changed_events", iotjobs.NextJobExecutionChangedSubscriptionRequest(thing_name=thing)
        )

    def _subscribe(self, what, request):
        subscribe = getattr(self.client, f"subscribe_to_{what}")
        done, _topic = subscribe(request, mqtt.QoS.AT_LEAST_ONCE, lambda answer: self.answers.put((what, answer)))
        done.result(PATIENCE)

    def publish(self, operation, request):
        getattr(self.client, f"publish_{operation}")(request, mqtt.QoS.AT_LEAST_ONCE).result(PATIENCE)

    def next(self, what):
        found, answer = self.answers.get(timeout=PATIENCE)
        assert found == what, answer
        return answer


@either
def test_the_walk_through_with_the_older_client(link, fresh, kind):
    thing, job = fresh.thing(), fresh.name("job")
    device = Older(link(kind), thing, job)
    names = {"thing_name": thing, "job_id": job}
    device.publish("start_next_pending_job_execution", iotjobs.StartNextPendingJobExecutionRequest(thing_name=thing))
    assert device.next("start_next_pending_job_execution_accepted").execution is None
    device.publish("describe_job_execution", iotjobs.DescribeJobExecutionRequest(**names, client_token="a"))
    error = device.next("describe_job_execution_rejected")
    assert (error.code, error.client_token) == (iotjobs.RejectedErrorCode.RESOURCE_NOT_FOUND, "a")

    fresh.named_job(job, thing)
    assert [entry.job_id for entry in device.next("job_executions_changed_events").jobs["QUEUED"]] == [job]
    assert device.next("next_job_execution_changed_events").execution.job_id == job
    device.publish(
        "get_pending_job_executions", iotjobs.GetPendingJobExecutionsRequest(thing_name=thing, client_token="b")
    )
    answer = device.next("get_pending_job_executions_accepted")
    assert ([entry.job_id for entry in answer.queued_jobs], answer.client_token) == ([job], "b")
    device.publish("describe_job_execution", iotjobs.DescribeJobExecutionRequest(**names, include_job_document=True))
    assert device.next("describe_job_execution_accepted").execution.job_document == {"operation": "test"}
    device.publish("start_next_pending_job_execution", iotjobs.StartNextPendingJobExecutionRequest(thing_name=thing))
    execution = device.next("start_next_pending_job_execution_accepted").execution
    assert (execution.job_id, execution.status) == (job, iotjobs.JobStatus.IN_PROGRESS)
    update = {"expected_version": execution.version_number, "execution_number": execution.execution_number}
    # Two at once, as AWS's own test does: the second expects what the first leaves.
    for number, status in enumerate([iotjobs.JobStatus.IN_PROGRESS, iotjobs.JobStatus.SUCCEEDED]):
        update["expected_version"] = execution.version_number + number
        device.publish("update_job_execution", iotjobs.UpdateJobExecutionRequest(**names, status=status, **update))
    device.next("update_job_execution_accepted")
    device.next("update_job_execution_accepted")
    assert device.next("job_executions_changed_events").jobs == {}
    assert device.next("next_job_execution_changed_events").execution is None
    device.publish("update_job_execution", iotjobs.UpdateJobExecutionRequest(**names, status=iotjobs.JobStatus.FAILED))
    error = device.next("update_job_execution_rejected")
    assert error.code == iotjobs.RejectedErrorCode.INVALID_STATE_TRANSITION
    assert error.execution_state.status == iotjobs.JobStatus.SUCCEEDED


def test_a_persistent_session_gets_what_it_has_missed_without_subscribing_again(link, fresh):
    thing, name = fresh.thing(), fresh.name("client")
    first = link(Three, name, clean_session=False)
    assert not first.present
    topic = f"$aws/things/{thing}/jobs/notify-next"
    first.client.subscribe(topic, mqtt.QoS.AT_LEAST_ONCE, lambda **_: None)[0].result(PATIENCE)
    first.stop()
    job = fresh.job(thing)
    heard = queue.Queue()
    again = link(Three, name, clean_session=False, on_message=lambda topic, payload, **_: heard.put((topic, payload)))
    assert again.present
    found, payload = heard.get(timeout=PATIENCE)
    assert found == topic and job.encode() in payload


def test_a_second_connection_of_the_same_name_takes_over(link, fresh):
    name = fresh.name("client")
    older = link(Five, name)
    newer = link(Five, name)
    reason = older.lifecycle.get(timeout=PATIENCE).disconnect_packet.reason_code
    assert reason == mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER
    # Both would now fight for the name, as the SDK connects again by itself.
    older.stop()
    newer.stop()
    three = link(Three, fresh.name("client"))
    other = link(Three, three.client.client_id)
    assert three.interrupted.wait(PATIENCE)
    three.stop()
    other.stop()


@either
def test_a_device_that_is_told_of_a_job_while_it_is_connecting_is_told_once(link, fresh, kind):
    thing = fresh.thing()
    job = fresh.job(thing)
    device = V2(link(kind), thing)
    assert [entry.job_id for entry in device.pending().queued_jobs] == [job]
    assert device.start_next().execution.job_id == job
    assert device.changed.incoming.empty() and device.next_changed.incoming.empty()

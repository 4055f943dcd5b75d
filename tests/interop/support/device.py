"""A device that speaks MQTT by paho, and shows what happens on the wire below the level of any SDK."""

import json
import queue
import threading
from collections import namedtuple

from paho.mqtt.client import CallbackAPIVersion, Client, MQTTv5, MQTTv311
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from .waiting import PATIENCE

Message = namedtuple("Message", "topic body qos retain")

BOTH = [MQTTv311, MQTTv5]


def name_of(version):
    """For the names of tests."""
    return "3.1.1" if version == MQTTv311 else "5"


class Device:
    """One connection. `clean` is for 3.1.1; with 5 a session is kept if `expiry` is not 0."""

    def __init__(self, service, client_id, version=MQTTv5, clean=True, expiry=0, will=None, setup=None):
        self.version = version
        self.incoming = queue.Queue()
        self.acknowledged = queue.Queue()
        self.answers = queue.Queue()
        self.closed = threading.Event()
        self.close_reason = None
        more = {"clean_session": clean} if version == MQTTv311 else {}
        self.client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=version, **more)
        self.client.tls_set(service.root_ca, service.certificate, service.key)
        self.client.reconnect_on_failure = False
        self.client._reconnect_on_failure = False
        self.client.on_connect = lambda _c, _u, flags, reason, properties: self.answers.put((flags, reason, properties))
        self.client.on_subscribe = lambda _c, _u, _mid, reasons, _p: self.answers.put(reasons)
        self.client.on_unsubscribe = lambda _c, _u, _mid, reasons, _p: self.answers.put(reasons)
        self.client.on_publish = lambda _c, _u, mid, reason, _p: self.acknowledged.put((mid, reason))
        self.client.on_message = self._message
        self.client.on_disconnect = self._disconnected
        if will:
            self.client.will_set(*will)
        if setup:
            setup(self.client)
        connect = {}
        if version == MQTTv5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = expiry
            connect = {"clean_start": clean, "properties": properties}
        self.client.connect(service.mqtt_host, service.mqtt_port, keepalive=60, **connect)
        self.client.loop_start()
        self.flags, self.reason, self.properties = self._answer("CONNACK")

    def _message(self, _client, _userdata, message):
        try:
            body = json.loads(message.payload)
        except ValueError:
            body = message.payload
        self.incoming.put(Message(message.topic, body, message.qos, message.retain))

    def _disconnected(self, _client, _userdata, _flags, reason, _properties):
        self.close_reason = reason
        self.closed.set()

    def _answer(self, what):
        try:
            return self.answers.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError(f"no {what} has come") from None

    def send_subscribe(self, *filters, qos=1, options=None):
        """Subscribes in one packet, without waiting for an answer."""
        if self.version == MQTTv5:
            self.client.subscribe([(filter_, options or SubscribeOptions(qos=qos)) for filter_ in filters])
        else:
            self.client.subscribe([(filter_, qos) for filter_ in filters])

    def subscribe(self, *filters, qos=1, options=None):
        """Subscribes in one packet and returns the codes of the SUBACK."""
        self.send_subscribe(*filters, qos=qos, options=options)
        return [reason.value for reason in self._answer("SUBACK")]

    def unsubscribe(self, filter_):
        self.client.unsubscribe(filter_)
        self._answer("UNSUBACK")

    def publish(self, topic, body=None, qos=1, retain=False):
        """Publishes; with QoS 1 it returns the code of the PUBACK."""
        payload = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body)
        sent = self.client.publish(topic, payload, qos, retain)
        if qos == 0:
            return None
        while True:
            try:
                mid, reason = self.acknowledged.get(timeout=PATIENCE)
            except queue.Empty:
                raise AssertionError(f"no PUBACK for {topic} has come; closed: {self.close_reason}") from None
            if mid == sent.mid:
                return reason.value

    def send(self, topic, body=None, qos=1):
        """Publishes without waiting for an acknowledgement."""
        self.client.publish(topic, b"" if body is None else json.dumps(body), qos)

    def next(self):
        """The next message, which must come."""
        try:
            return self.incoming.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError(f"no message has come; closed: {self.close_reason}") from None

    def nothing_before(self, probe):
        """Has `probe` cause a message for this device, and returns it; nothing else may come before it. So nothing
        was on the way: one connection's messages keep their order, and no time has to pass."""
        assert self.incoming.empty(), self.incoming.get()
        probe()
        return self.next()

    def wait_closed(self):
        """Waits until the service has closed the connection, and returns the reason that it gave, if any."""
        assert self.closed.wait(PATIENCE), "the connection is still open"
        return self.close_reason.value

    def cut(self):
        """Breaks the connection without a word."""
        self.client.socket().shutdown(2)
        assert self.closed.wait(PATIENCE)
        self.client.loop_stop()

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def jobs_topic(thing, rest):
    return f"$aws/things/{thing}/jobs/{rest}"


class Jobs:
    """The Jobs topics of one thing on a device's connection."""

    def __init__(self, device, thing):
        self.device = device
        self.thing = thing
        codes = device.subscribe(jobs_topic(thing, "#"))
        assert codes == [1], codes

    def ask(self, request, body=None, qos=1):
        """Sends a request and returns the last level of the reply's topic, and its body."""
        self.device.publish(jobs_topic(self.thing, request), {} if body is None else body, qos)
        topic, reply, *_ = self.device.next()
        request_of_reply, verdict = topic.rsplit("/", 1)
        assert request_of_reply == jobs_topic(self.thing, request), topic
        return verdict, reply

    def news(self):
        """The next message, which must be a notification: its kind and its body."""
        message = self.device.next()
        kind = message.topic.removeprefix(jobs_topic(self.thing, ""))
        assert kind in ("notify", "notify-next"), message
        return kind, message.body

    def silent(self):
        """Asserts that nothing has been sent to this thing since the last message that was looked at."""
        verdict, _ = self.ask("get")
        assert verdict == "accepted"

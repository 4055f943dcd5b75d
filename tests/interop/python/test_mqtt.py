"""MQTT as AWS IoT Core speaks it, where another client can notice: paho, 3.1.1 and 5."""

import ssl

import pytest
from paho.mqtt.client import CallbackAPIVersion, Client, MQTTv5, MQTTv311
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from support.device import BOTH, Jobs, jobs_topic, name_of
from support.waiting import PATIENCE

SUCCESS, FILTER_INVALID, TOPIC_INVALID = 0, 0x8F, 0x90
TAKEN_OVER, TOO_LARGE, QUOTA, QOS_NOT_SUPPORTED = 0x8E, 0x95, 0x97, 0x9B

both = pytest.mark.parametrize("version", BOTH, ids=name_of)


@both
@pytest.mark.parametrize("rest", ["notify", "notify-next", "get/accepted", "j/update/rejected", "start-next/accepted"])
@pytest.mark.parametrize("qos", [0, 1])
def test_a_reply_topic_is_not_the_clients_to_publish_on(connect, fresh, version, rest, qos):
    device = connect(version=version)
    topic = jobs_topic(fresh.thing(), rest)
    if version == MQTTv311:
        device.send(topic, {}, qos)
        device.wait_closed()
    elif qos == 1:
        assert device.publish(topic, {}) == TOPIC_INVALID
        assert device.subscribe("still/there") == [1]
    else:
        device.send(topic, {}, 0)
        assert device.wait_closed() == TOPIC_INVALID


@pytest.mark.parametrize("topic", ["$aws/events/job/j/completed", "$SYS/x", "$aws/x"])
def test_other_reserved_topics_are_not_either(connect, topic):
    assert connect().publish(topic, {}) == TOPIC_INVALID
    device = connect(version=MQTTv311)
    device.send(topic, {})
    device.wait_closed()


@pytest.mark.parametrize("filter_", ["$aws/#", "$aws/things", "$aws/rules/x", "$foo/x", "$SYS/#"])
def test_reserved_filters_are_refused_alone_or_with_the_connection(connect, filter_):
    device = connect()
    assert device.subscribe("good/one", filter_, "good/two") == [1, FILTER_INVALID, 1]
    device = connect(version=MQTTv311)
    device.send_subscribe("good/one", filter_)
    device.wait_closed()


@both
@pytest.mark.parametrize("rest", ["#", "+/get/+", "+/update/accepted", "$next/get/+", "notify"])
def test_every_filter_of_a_things_jobs_is_granted(connect, fresh, version, rest):
    assert connect(version=version).subscribe(jobs_topic(fresh.thing(), rest), jobs_topic("+", rest)) == [1, 1]


@both
def test_a_subscription_has_at_most_8_filters(connect, version):
    device = connect(version=version)
    assert device.subscribe(*[f"a/{n}" for n in range(8)]) == [1] * 8
    if version == MQTTv5:
        assert device.subscribe(*[f"b/{n}" for n in range(9)]) == [QUOTA] * 9
        return
    device.send_subscribe(*[f"b/{n}" for n in range(9)])
    device.wait_closed()


@both
def test_a_topic_has_at_most_8_levels_and_256_bytes(connect, version):
    device = connect(version=version)
    assert device.publish("/".join("12345678"), {}) == SUCCESS
    assert device.publish("x" * 256, {}) == SUCCESS
    for topic in ["/".join("123456789"), "x" * 257]:
        device = connect(version=version)
        device.send(topic, {}, 0)
        device.wait_closed()


def test_quality_of_service_2_is_not_served_to_5_and_it_is_told_so(connect):
    device = connect()
    assert device.properties.MaximumQoS == 1
    assert device.subscribe("two", qos=2) == [1]
    device.send("two", {}, qos=2)
    assert device.wait_closed() == QOS_NOT_SUPPORTED


def test_quality_of_service_2_is_not_answered_to_3(connect, fresh):
    device, topic = connect(version=MQTTv311), fresh.name("topic")
    device.send_subscribe(topic, qos=2)
    device.send(topic, "lost", qos=2)
    # The first answer is to what is asked after that, and the first message is what is said after that.
    assert device.subscribe(topic, qos=1) == [1]
    device.publish(topic, "heard")
    assert device.next().body == "heard"


@both
def test_messages_come_with_the_lower_quality_of_both_sides(connect, fresh, version):
    topic = fresh.name("topic")
    reader, writer = connect(version=version), connect(version=version)
    for subscribed, published, received in [(1, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, 0)]:
        assert reader.subscribe(topic, qos=subscribed) == [subscribed]
        writer.publish(topic, {"n": 1}, qos=published)
        message = reader.next()
        assert (message.body, message.qos, message.retain) == ({"n": 1}, received, False)


@both
def test_own_messages_come_back(connect, fresh, version):
    topic = fresh.name("topic")
    device = connect(version=version)
    options = SubscribeOptions(qos=1, noLocal=True) if version == MQTTv5 else None
    device.subscribe(topic, options=options)
    device.publish(topic, "mine")
    assert device.next().body == "mine"


def test_a_hash_does_not_stand_for_nothing(connect, fresh):
    topic = fresh.name("topic")
    device = connect()
    device.subscribe(f"{topic}/#")
    device.publish(topic, "the level above")
    device.publish(f"{topic}/a", "the level below")
    assert device.next().body == "the level below"


@both
def test_wildcards_in_front_do_not_see_what_begins_with_a_dollar(connect, fresh, version):
    device, thing, topic = connect(version=version), fresh.thing(), fresh.name("topic")
    device.subscribe("#", "+/things/#")
    fresh.job(thing)
    device.publish(topic, "plain")
    assert device.next().topic == topic


@both
def test_a_client_id_that_comes_again_takes_over(connect, fresh, version):
    name = fresh.name("client")
    first = connect(name, version=version)
    second = connect(name, version=version)
    reason = first.wait_closed()
    if version == MQTTv5:
        assert reason == TAKEN_OVER
    assert second.subscribe("x") == [1]


def test_the_will_of_who_is_taken_over_is_published(connect, fresh):
    topic, name = fresh.name("topic"), fresh.name("client")
    reader = connect()
    reader.subscribe(topic)
    connect(name, will=(topic, "\"taken over\"", 1))
    connect(name)
    assert reader.next().body == "taken over"


@both
def test_a_will_is_published_when_the_connection_breaks_and_not_after_a_goodbye(connect, fresh, version):
    topic = fresh.name("topic")
    reader = connect(version=version)
    reader.subscribe(topic)
    polite = connect(version=version, will=(topic, "\"polite\"", 1))
    polite.close()
    polite.wait_closed()
    rude = connect(version=version, will=(topic, "\"rude\"", 1))
    message = reader.nothing_before(rude.cut)
    assert message.body == "rude"


@both
def test_a_session_is_kept_with_its_subscriptions_and_what_was_missed(connect, iot, fresh, version):
    name, thing = fresh.name("client"), fresh.thing()
    kept = {"version": version, "clean": False, "expiry": 3600}
    device = connect(name, **kept)
    assert not device.flags.session_present
    device.subscribe(jobs_topic(thing, "notify"), jobs_topic(thing, "notify-next"))
    device.close()
    jobs = [fresh.job(thing) for _ in range(2)]
    again = connect(name, **kept)
    assert again.flags.session_present
    kinds = []
    for _ in range(3):
        message = again.next()
        kinds.append(message.topic.rsplit("/", 1)[1])
        assert message.qos == 1
    assert kinds == ["notify", "notify-next", "notify"]
    # The subscriptions stand without being made anew.
    iot.cancel_job(jobId=jobs[1])
    assert again.next().topic == jobs_topic(thing, "notify")


@both
def test_a_session_that_is_not_kept_is_gone(connect, fresh, version):
    name, topic = fresh.name("client"), fresh.name("topic")
    device = connect(name, version=version)
    device.subscribe(topic)
    device.close()
    again = connect(name, version=version, clean=False, expiry=10)
    assert not again.flags.session_present
    again.close()
    clean = connect(name, version=version, clean=True)
    assert not clean.flags.session_present


def test_what_is_not_acknowledged_comes_with_the_next_connection(connect, fresh):
    name, topic = fresh.name("client"), fresh.name("topic")
    kept = {"clean": False, "expiry": 3600}
    # Messages are taken and never acknowledged.
    device = connect(name, **kept, setup=lambda client: client.manual_ack_set(True))
    device.subscribe(topic)
    connect().publish(topic, "once")
    assert device.next().body == "once"
    device.cut()
    again = connect(name, **kept)
    assert again.flags.session_present
    # AWS sends it again when 30 s have passed, not at once.
    assert again.next().body == "once"


@both
def test_replies_reach_who_has_asked_subscribed_or_not_and_nobody_else(connect, fresh, version):
    thing = fresh.thing()
    asking, listening = connect(version=version), connect(version=version)
    listening.subscribe(jobs_topic(thing, "#"))
    asking.publish(jobs_topic(thing, "get"), {"clientToken": "mine"})
    reply = asking.next()
    assert (reply.topic, reply.body["clientToken"]) == (jobs_topic(thing, "get/accepted"), "mine")
    # The listener's own question is the first thing that it hears.
    listening.publish(jobs_topic(thing, "get"), {"clientToken": "other"})
    assert listening.next().body["clientToken"] == "other"


@both
def test_a_request_is_not_seen_by_subscribers(connect, fresh, version):
    thing = fresh.thing()
    listening = connect(version=version)
    listening.subscribe(jobs_topic(thing, "#"))
    connect(version=version).publish(jobs_topic(thing, "get"), {})
    fresh.job(thing)
    assert listening.next().topic == jobs_topic(thing, "notify")


@both
def test_unsubscribing_ends_the_messages(connect, fresh, version):
    device, topic, end = connect(version=version), fresh.name("topic"), fresh.name("topic")
    device.subscribe(topic, end)
    device.unsubscribe(topic)
    device.publish(topic, "unheard")
    device.publish(end, "heard")
    assert device.next().body == "heard"


@pytest.mark.parametrize("name", ["a", "a b:c/d", "日本", "x" * 128, "gen0123-?SDK=Test"])
@both
def test_unusual_client_ids_are_served(connect, fresh, name, version):
    board = Jobs(connect(name, version=version), fresh.thing())
    fresh.job(board.thing)
    assert board.news()[0] == "notify"


@both
def test_client_ids_beyond_the_limits_are_not(service, version):
    for name in ["x" * 129, "$x"]:
        client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=version, reconnect_on_failure=False)
        client.tls_set(service.root_ca, service.certificate, service.key)
        answers = []
        client.on_connect = lambda _c, _u, _flags, reason, _p, answers=answers: answers.append(reason.is_failure)
        client.connect(service.mqtt_host, service.mqtt_port)
        client.loop_forever()
        assert answers == [True]


def test_a_client_without_a_name_is_given_one(connect):
    device = connect("")
    assert device.properties.AssignedClientIdentifier
    assert device.subscribe("x") == [1]


def test_a_user_name_is_accepted_and_ignored(connect):
    name = "?SDK=IoTDeviceSDK/Python&Platform=x&Metadata=(a=b;c=d)"
    for version in BOTH:
        device = connect(version=version, setup=lambda client: client.username_pw_set(name))
        assert device.subscribe("x") == [1]


@both
def test_a_packet_has_at_most_128_kb(connect, fresh, version):
    topic = fresh.name("topic")
    device = connect(version=version)
    device.subscribe(topic)
    payload = b"x" * 131_072
    device.client.publish(topic, payload, 1)
    assert len(device.next().body) == len(payload)
    device.client.publish(topic, b"x" * 300_000, 0)
    reason = device.wait_closed()
    if version == MQTTv5:
        assert reason == TOO_LARGE


def test_what_5_adds_to_a_message_arrives(connect, fresh):
    topic = fresh.name("topic")
    reader, writer = connect(), connect()
    got = []
    reader.client.on_message = lambda _c, _u, message: (got.append(message), reader.incoming.put(message))
    reader.subscribe(topic)
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = [("a", "b"), ("a", "c")]
    properties.ResponseTopic = "reply/to"
    properties.CorrelationData = b"\x00\xff"
    properties.ContentType = "text/plain"
    properties.PayloadFormatIndicator = 1
    properties.MessageExpiryInterval = 600
    writer.client.publish(topic, "x", 1, properties=properties).wait_for_publish(PATIENCE)
    reader.next()
    found = got[0].properties
    assert found.UserProperty == [("a", "b"), ("a", "c")]
    assert (found.ResponseTopic, found.CorrelationData, found.ContentType) == ("reply/to", b"\x00\xff", "text/plain")
    assert found.PayloadFormatIndicator == 1 and 0 < found.MessageExpiryInterval <= 600
    # Devices of 3.1.1 get the message as well.
    old = connect(version=MQTTv311)
    old.subscribe(topic)
    writer.client.publish(topic, "y", 1, properties=properties)
    assert old.next().body == b"y"


def context(service, certificate=True, alpn=None, lowest=None, highest=None):
    made = ssl.create_default_context(cafile=service.root_ca)
    if certificate:
        made.load_cert_chain(service.certificate, service.key)
    if alpn:
        made.set_alpn_protocols(alpn)
    if lowest:
        made.minimum_version, made.maximum_version = lowest, highest
    return made


def served(service, made):
    """Whether MQTT is spoken over this TLS."""
    client = Client(CallbackAPIVersion.VERSION2, client_id="tls", protocol=MQTTv5, reconnect_on_failure=False)
    client.tls_set_context(made)
    answers = []
    client.on_connect = lambda c, _u, _f, reason, _p: (answers.append(not reason.is_failure), c.disconnect())
    client.connect(service.mqtt_host, service.mqtt_port)
    client.loop_forever()
    return answers == [True]


@pytest.mark.parametrize("alpn", [None, ["x-amzn-mqtt-ca"], ["mqtt", "x-amzn-mqtt-ca"]], ids=str)
def test_the_protocol_name_of_the_sdks_is_accepted_on_any_port_and_not_needed(service, alpn):
    assert served(service, context(service, alpn=alpn))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=str)
def test_both_versions_of_tls_are_spoken(service, version):
    assert served(service, context(service, lowest=version, highest=version))


def test_without_a_certificate_nobody_is_let_in(service):
    try:
        assert not served(service, context(service, certificate=False))
    except (ssl.SSLError, OSError):
        pass


@both
def test_of_a_shared_subscription_each_message_goes_to_one(connect, fresh, version):
    topic = fresh.name("topic")
    members = [connect(version=version) for _ in range(2)]
    for member in members:
        assert member.subscribe(f"$share/group/{topic}/+") == [1]
    for number in range(4):
        connect().publish(f"{topic}/{number}", str(number))
    heard = sorted(member.next().body for member in members for _ in range(2))
    assert heard == ["0", "1", "2", "3"]


def test_a_retained_message_is_not_sent_for_filters_with_wildcards(connect, fresh):
    topic = fresh.name("topic")
    writer, reader = connect(), connect()
    writer.publish(f"{topic}/a", "kept", retain=True)
    reader.subscribe(f"{topic}/+")
    writer.publish(f"{topic}/b", "live")
    assert reader.next().body == "live"
    writer.publish(f"{topic}/a", b"", retain=True)

"""What `Core.publish` takes, refuses and promises."""

from __future__ import annotations

import threading
import time

import pytest
from core_peer import CONNACK_OK_5, Peer, kind, packet, puback, pubcomp, pubrec

from karere import _core
from karere.paho.enums import MQTTErrorCode

ALIAS_3 = b"\x03\x23\x00\x03"


def put(core, topic="a/b", payload=None, qos=0, retain=False, properties=None, flush=False):
    return core.publish(topic, payload, qos, retain, properties, flush)


@pytest.mark.parametrize(
    "payload, sent",
    [
        (None, b""),
        ("ä", b"\xc3\xa4"),
        (b"x\x00", b"x\x00"),
        (bytearray(b"yz"), b"yz"),
        (5, b"5"),
        (-1.5, b"-1.5"),
        (True, b"True"),
        (10**30, b"1" + b"0" * 30),
    ],
)
def test_payloads_travel_as_their_bytes(payload, sent):
    peer = Peer()
    peer.connect()
    put(peer.core, payload=payload, flush=True)
    assert peer.read() == packet(0x30, b"\x00\x03a/b" + sent)


@pytest.mark.parametrize("payload", [[1], {}, memoryview(b"x"), object()])
def test_other_payloads_are_refused(payload):
    with pytest.raises(TypeError, match="^payload must be a string, bytearray, int, float or None.$"):
        put(Peer().core, payload=payload)


class Text(str):
    pass


@pytest.mark.parametrize(
    "topic, error, text",
    [
        ("", ValueError, "Invalid topic."),
        (None, ValueError, "Invalid topic."),
        (b"x", AttributeError, "'bytes' object has no attribute 'encode'"),
        (5, TypeError, "object of type 'int' has no len()"),
        ("a/+", ValueError, "Publish topic cannot contain wildcards."),
        ("a/#", ValueError, "Publish topic cannot contain wildcards."),
        ("x" * 65536, ValueError, "Publish topic is too long."),
        ("#" * 65536, ValueError, "Publish topic cannot contain wildcards."),
        (Text("+"), ValueError, "Publish topic cannot contain wildcards."),
        ("\ud800", UnicodeEncodeError, "surrogates not allowed"),
    ],
)
def test_topics_that_are_none_are_refused(topic, error, text):
    with pytest.raises(error) as caught:
        put(Peer().core, topic=topic)
    assert text in str(caught.value)


def test_without_a_topic_5_says_something_else():
    core = Peer(5).core
    assert put(core, topic="").rc == 4
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'encode'"):
        put(core, topic=None)


@pytest.mark.parametrize("qos", [3, -1, 300, 10**30])
def test_a_qos_that_is_none_is_refused(qos):
    with pytest.raises(ValueError, match="^Invalid QoS level.$"):
        put(Peer().core, qos=qos)


def test_a_qos_that_is_no_number_is_pythons_error():
    with pytest.raises(TypeError, match="'<' not supported between instances of 'str' and 'int'"):
        put(Peer().core, qos="1")


def test_the_topic_is_asked_first_then_qos_then_payload():
    core = Peer().core
    with pytest.raises(ValueError, match="wildcards"):
        put(core, topic="#", qos=9, payload=[])
    with pytest.raises(ValueError, match="QoS"):
        put(core, qos=9, payload=[])


def test_a_topic_that_was_seen_is_the_same_as_one_that_was_not():
    peer = Peer()
    peer.connect()
    seen = "site/ä"
    for topic in (seen, seen, Text(seen), "".join(["site", "/ä"])):
        put(peer.core, topic=topic, flush=True)
        assert peer.read() == packet(0x30, b"\x00\x07site/\xc3\xa4")


def test_one_counter_for_everything():
    peer = Peer()
    peer.connect()
    core = peer.core
    mids = [put(core).mid, put(core, qos=1).mid, core.subscribe([("a", 0)], None), core.unsubscribe(["a"], None)]
    assert mids == [1, 2, 3, 4]
    assert core.last_mid() == 4
    assert put(core, qos=2).mid == 5


def test_the_counter_goes_around_and_a_mid_in_use_is_refused():
    peer = Peer()
    peer.connect()
    core = peer.core
    first = put(core, qos=1)
    for _ in range(65534):
        put(core)
    again = put(core, qos=1)
    assert (again.mid, again.rc) == (first.mid, MQTTErrorCode.MQTT_ERR_QUEUE_SIZE)
    assert put(core, qos=1).mid == 2
    core.turn(0)
    assert peer.read()[:1] == b"\x32"
    peer.write(puback(1))
    while core.out_len() > 1:
        core.turn(0.1)
    assert first.is_published()


def test_the_queue_has_a_limit_that_counts_what_is_in_flight():
    peer = Peer()
    peer.core.limit(inflight=1, queued=2)
    peer.connect()
    infos = [put(peer.core, qos=1) for _ in range(3)]
    assert [info.rc for info in infos] == [0, 0, 15]
    with pytest.raises(ValueError, match="^Message is not queued due to ERR_QUEUE_SIZE$"):
        infos[2].wait_for_publish()
    assert put(peer.core).rc == 0, "QoS 0 is not counted"


def test_offline_qos_0_is_dropped_and_others_are_kept_and_mended():
    peer = Peer()
    lost, kept = put(peer.core), put(peer.core, qos=1)
    assert (lost.rc, kept.rc) == (4, 4)
    for info in (lost, kept):
        with pytest.raises(RuntimeError, match="^Message publish failed: The client is not currently connected.$"):
            info.wait_for_publish(1)
    assert peer.core.out_len() == 1
    peer.connect()
    assert (lost.rc, kept.rc) == (4, 0)
    peer.core.turn(0)
    assert peer.read() == packet(0x32, b"\x00\x03a/b\x00\x02")
    peer.write(puback(2))
    peer.turn(0.1)
    kept.wait_for_publish(1)
    assert kept.is_published()
    assert peer.core.out_len() == 0


def test_qos_0_that_was_not_written_is_lost_with_its_connection():
    peer = Peer()
    peer.open()
    info = put(peer.core)
    assert (info.rc, info.is_published()) == (0, False)
    waiting = []

    def wait():
        try:
            info.wait_for_publish(10)
        except RuntimeError as error:
            waiting.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.05)
    peer.core.abandon()
    thread.join(2)
    assert waiting == ["Message publish failed: The connection was lost."]
    assert info.rc == MQTTErrorCode.MQTT_ERR_CONN_LOST
    peer.connect()
    assert peer.silent()


def test_a_lost_connection_sends_again_with_dup_and_within_the_limit():
    peer = Peer()
    peer.core.limit(inflight=2, queued=0)
    peer.connect()
    infos = [put(peer.core, topic=f"t{n}", qos=2) for n in range(4)]
    peer.turn()
    assert [peer.read()[:1] for _ in range(2)] == [b"\x34", b"\x34"]
    peer.write(pubrec(1))
    peer.turn(0.1)
    assert peer.read() == b"\x62\x02\x00\x01"
    assert peer.core.inflight() == 2
    peer.connect()
    peer.turn()
    assert peer.read() == b"\x62\x02\x00\x01", "what the server has is released"
    assert peer.read() == packet(0x3C, b"\x00\x02t1\x00\x02"), "what it may have is sent with DUP"
    assert peer.read() == packet(0x34, b"\x00\x02t2\x00\x03"), "and what it has not without"
    assert peer.silent(), "that is two messages on this connection"
    peer.write(pubcomp(1) + pubrec(2) + pubcomp(2))
    peer.turn(0.1)
    assert [peer.read(), peer.read()] == [b"\x62\x02\x00\x02", packet(0x34, b"\x00\x02t3\x00\x04")]
    assert [info.is_published() for info in infos] == [True, True, False, False]


def test_what_became_of_it_is_told_when_asked_for():
    peer = Peer()
    peer.connect()
    put(peer.core, qos=0)
    peer.turn()
    peer.core.tell_published(True)
    put(peer.core, qos=0)
    put(peer.core, qos=1)
    assert peer.until(lambda event: kind(event) == _core.PUBLISHED) == [(_core.PUBLISHED, 2, 0, None, 0, 4)]
    peer.write(puback(3))
    assert peer.until(lambda event: kind(event) == _core.PUBLISHED) == [(_core.PUBLISHED, 3, 0, None, 0, 4)]


def test_a_refusal_is_told_with_its_code():
    peer = Peer(5)
    peer.connect()
    peer.core.tell_published(True)
    info = put(peer.core, qos=2)
    peer.turn()
    peer.read()
    peer.write(b"\x50\x07\x00\x01\x97\x03\x1f\x00\x00")
    assert peer.until(lambda event: kind(event) == _core.PUBLISHED)[-1] == (
        _core.PUBLISHED,
        1,
        0x97,
        b"\x03\x1f\x00\x00",
        1,
        5,
    )
    assert info.is_published() and info.rc == 0


@pytest.mark.parametrize(
    "limit, arguments, rc",
    [
        (b"\x05\x27\x00\x00\x00\x40", {"payload": b"x" * 64}, MQTTErrorCode.MQTT_ERR_PAYLOAD_SIZE),
        (b"\x02\x24\x00", {"qos": 1}, MQTTErrorCode.MQTT_ERR_NOT_SUPPORTED),
        (b"\x02\x25\x00", {"retain": True}, MQTTErrorCode.MQTT_ERR_NOT_SUPPORTED),
    ],
)
def test_what_the_server_does_not_take_is_not_sent(limit, arguments, rc):
    peer = Peer(5)
    peer.connect(packet(0x20, b"\x00\x00" + limit))
    peer.core.tell_packets(True)
    info = put(peer.core, **arguments)
    assert info.rc is rc
    assert peer.core.out_len() == 0
    (log,) = peer.turn()
    assert log[:2] == (_core.LOG, 4) and "not published" in log[2]
    with pytest.raises(RuntimeError):
        info.wait_for_publish()
    put(peer.core, payload=b"fits", flush=True)
    assert peer.read()[:1] == b"\x30"


def test_aliases_of_the_application_name_topics_on_their_connection():
    peer = Peer(5)
    peer.connect()
    put(peer.core, topic="a/b", properties=ALIAS_3, flush=True)
    put(peer.core, topic="", payload="x", properties=ALIAS_3, flush=True)
    assert [peer.read(), peer.read()] == [packet(0x30, b"\x00\x03a/b\x00"), packet(0x30, b"\x00\x03a/b\x00x")]
    with pytest.raises(ValueError, match="Topic alias 4 stands for no topic"):
        put(peer.core, topic="", properties=b"\x03\x23\x00\x04")
    with pytest.raises(ValueError, match="Invalid topic."):
        put(peer.core, topic="")
    peer.connect()
    with pytest.raises(ValueError, match="Topic alias 3"):
        put(peer.core, topic="", properties=ALIAS_3)


def test_properties_that_no_message_may_have_are_refused():
    core = Peer(5).core
    for properties in (b"\x02\x0b\x01", b"\x05\x11\x00\x00\x00\x01", b"\x01", b"\x02\x01\x07"):
        with pytest.raises(ValueError):
            put(core, qos=1, properties=properties)
    assert core.out_len() == 0


def test_what_is_out_is_listed_in_order_and_can_be_dropped():
    peer = Peer()
    peer.connect()
    infos = [put(peer.core, topic=f"t{n}", payload=str(n), qos=n % 2 + 1) for n in range(4)]
    listed = peer.core.out_messages()
    assert [(mid, message.topic, message.payload, message.qos) for mid, message in listed] == [
        (n + 1, f"t{n}", str(n).encode(), n % 2 + 1) for n in range(4)
    ]
    assert listed[0][1].info.rc == 0
    peer.core.drop_out_messages()
    assert peer.core.out_len() == 0
    for info in infos:
        with pytest.raises(RuntimeError):
            info.wait_for_publish(1)


def test_reset_begins_again_and_lets_waiters_go():
    peer = Peer()
    info = put(peer.core, qos=1)
    peer.connect()
    peer.core.reset()
    assert not peer.core.has_transport()
    assert (peer.core.out_len(), peer.core.last_mid()) == (0, 0)
    with pytest.raises(RuntimeError):
        info.wait_for_publish(1)
    peer.connect()
    assert put(peer.core, qos=1).mid == 1


def test_unsent_qos_0_can_be_given_up():
    peer = Peer()
    peer.open()
    large = peer.core.publish("t", b"x" * 200_000, 0, False, None, False)
    waits = put(peer.core)
    peer.core.drop_unsent()
    assert (large.rc, waits.rc) == (0, 7), "only what is not on its way yet can be taken back"


def test_packets_leave_before_connack():
    """Many programs connect, publish and disconnect, and never run a loop."""
    peer = Peer()
    peer.open()
    put(peer.core)
    put(peer.core, qos=1)
    peer.core.disconnect(None, None)
    peer.turn()
    assert [peer.read()[0] >> 4 for _ in range(4)] == [1, 3, 3, 14]


def test_what_left_before_connack_is_not_sent_again_on_its_connection():
    peer = Peer()
    peer.open()
    info = put(peer.core, qos=1)
    peer.turn()
    assert [peer.read()[0] for _ in range(2)] == [0x10, 0x32]
    peer.write(b"\x20\x02\x00\x00")
    peer.until(lambda event: kind(event) == _core.CONNACK)
    assert peer.silent()
    peer.write(puback(1))
    peer.turn()
    assert info.is_published()


def test_an_info_is_a_pair():
    info = _core.MQTTMessageInfo(7)
    assert (str(info), tuple(info), list(info), info[0], info[1]) == ("(0, 7)", (0, 7), [0, 7], 0, 7)
    rc, mid = info
    assert rc is MQTTErrorCode.MQTT_ERR_SUCCESS and mid == 7
    for index in (2, -1):
        with pytest.raises(IndexError, match="^index out of range$"):
            info[index]
    iter(info)
    assert [info.next(), next(info)] == [0, 7]
    with pytest.raises(StopIteration):
        info.next()
    assert info.wait_for_publish(0.01) is None
    assert not info.is_published()
    info.rc, info.mid = MQTTErrorCode.MQTT_ERR_AGAIN, 9
    assert info.rc == -1 and info.mid == 9
    assert info.wait_for_publish(0.01) is None


def test_the_connack_of_5_has_all_its_parts():
    peer = Peer(5)
    peer.open()
    peer.turn()
    peer.read()
    peer.write(CONNACK_OK_5)
    assert peer.until(lambda event: kind(event) == _core.CONNACK) == [(_core.CONNACK, True, False, 0, None, False)]

"""What a connection says and hears: the events of the native part, and messages."""

from __future__ import annotations

import gc
import time
import weakref

import pytest
from core_peer import (
    CONNACK_OK,
    DISCONNECT,
    Peer,
    field,
    kind,
    packet,
    puback,
    publish,
    pubrel,
)

from karere import _core
from karere.paho.properties import Properties

NO_PROPERTIES = b"\x00"


@pytest.mark.parametrize(
    "protocol, name",
    [(3, b"\x00\x06MQIsdp\x03"), (4, b"\x00\x04MQTT\x04"), (5, b"\x00\x04MQTT\x05")],
)
def test_connect_says_what_was_configured(protocol, name):
    will = (b"w/t", b"gone", 1, True, b"\x00" if protocol == 5 else None)
    peer = Peer(
        protocol,
        client_id=b"core-with-a-name-of-more-than-23-bytes",
        keepalive=7,
        username=b"u",
        password=b"p",
        will=will,
    )
    none = NO_PROPERTIES if protocol == 5 else b""
    tail = field(b"core-with-a-name-of-more-than-23-bytes") + none + field(b"w/t") + field(b"gone") + field(b"u") + field(b"p")
    assert peer.connect() == packet(0x10, name + b"\xee\x00\x07" + none + tail)


def test_a_bridge_says_so():
    assert Peer(4, bridge=True).connect()[2:9] == b"\x00\x04MQTT\x84"


def test_a_session_that_is_kept():
    assert Peer(4, clean=False).connect()[9] == 0
    expiry = b"\x05\x11\x00\x00\x00\x0a"
    connect = Peer(5, clean=False, properties=expiry).connect()
    assert connect[9] == 0 and connect[12:18] == expiry


@pytest.mark.parametrize(
    "settings",
    [
        {"protocol": 7},
        {"client_id": b"\xff"},
        {"client_id": b"", "clean": False},
        {"will": (b"a/#", b"", 0, False, None)},
        {"will": (b"a", b"", 3, False, None)},
        {"protocol": 5, "properties": b"\x01"},
    ],
)
def test_what_cannot_be_said_is_refused_and_changes_nothing(settings):
    peer = Peer()
    with pytest.raises(ValueError):
        peer.configure(**settings)
    assert peer.connect()[2:9] == b"\x00\x04MQTT\x04"


@pytest.mark.parametrize(
    "protocol, connack, told",
    [
        (4, b"\x20\x02\x00\x05", (False, False, 5, None, False)),
        (4, b"\x20\x02\x00\x01", (False, False, 1, None, False)),
        (5, b"\x20\x02\x00\x01", (False, False, 1, None, True)),
        (5, b"\x20\x03\x00\x87\x00", (False, False, 0x87, None, False)),
        (5, b"\x20\x06\x00\x87\x03\x1f\x00\x00", (False, False, 0x87, b"\x03\x1f\x00\x00", False)),
    ],
)
def test_a_refusal_is_told_and_ends_the_connection(protocol, connack, told):
    peer = Peer(protocol)
    peer.open()
    peer.turn()
    peer.read()
    peer.write(connack)
    events = peer.until(lambda event: kind(event) == _core.DISCONNECTED)
    assert events[0] == (_core.CONNACK, *told)
    assert events[1][:4] == (_core.DISCONNECTED, _core.REFUSED, told[2], told[3])
    assert not peer.core.has_transport()


def test_session_present_is_told():
    peer = Peer(4, clean=False)
    peer.open()
    peer.turn()
    peer.read()
    peer.write(b"\x20\x02\x01\x00")
    assert peer.until(lambda event: kind(event) == _core.CONNACK)[-1] == (_core.CONNACK, True, True, 0, None, False)


@pytest.mark.parametrize(
    "disconnect, code, properties",
    [
        (b"\xe0\x00", None, None),
        (b"\xe0\x01\x8b", 0x8B, None),
        (b"\xe0\x02\x8b\x00", 0x8B, b"\x00"),
        (b"\xe0\x07\x8b\x05\x1f\x00\x02up", 0x8B, b"\x05\x1f\x00\x02up"),
    ],
)
def test_a_server_may_say_why_it_goes(disconnect, code, properties):
    peer = Peer(5)
    peer.connect()
    peer.write(disconnect)
    assert peer.ended()[:4] == (_core.DISCONNECTED, _core.DISCONNECTED_BY_SERVER, code, properties)


def test_a_disconnect_is_the_last_word():
    peer = Peer()
    peer.connect()
    peer.core.publish("a", "x", 0, False, None, False)
    peer.core.disconnect(None, None)
    peer.core.publish("a", "late", 0, False, None, False)
    assert peer.ended()[:4] == (_core.DISCONNECTED, _core.REQUESTED, None, None)
    assert peer.read()[:1] == b"\x30"
    assert peer.read() == DISCONNECT
    assert peer.far.recv(10) == b""


def test_a_disconnect_may_come_before_connack_and_have_a_reason():
    peer = Peer()
    peer.open()
    peer.core.disconnect(None, None)
    assert peer.ended()[1] == _core.REQUESTED
    assert (peer.read()[:1], peer.read()) == (b"\x10", DISCONNECT)
    peer = Peer(5)
    peer.connect()
    with pytest.raises(ValueError):
        peer.core.disconnect(0x83, b"\x02\x24\x01")
    peer.core.disconnect(4, None)
    peer.ended()
    assert peer.read()[:3] == b"\xe0\x01\x04"


@pytest.mark.parametrize("data", [b"\x00\x00", b"\x36\x03\x00\x01a", b"\x20\x02\x00\x00", b"\x40\x01\x00"])
def test_a_broken_protocol_is_told_with_its_rule(data):
    peer = Peer()
    peer.connect()
    peer.write(data)
    ended = peer.ended()
    assert ended[:4] == (_core.DISCONNECTED, _core.PROTOCOL, None, None)
    assert len(ended[4]) > 10


def test_silence_is_noticed():
    peer = Peer(keepalive=1)
    peer.connect()
    before = time.monotonic()
    assert peer.core.deadline() <= 1
    assert peer.ended()[1] == _core.KEEPALIVE
    assert 1.5 < time.monotonic() - before < 4
    assert peer.read() == b"\xc0\x00"
    peer = Peer(connack_timeout=0.2)
    peer.open()
    assert peer.ended()[1] == _core.TIMED_OUT
    peer = Peer(connack_timeout=0.0)
    peer.open()
    peer.turn(0.3)
    assert peer.core.has_transport()


def test_an_outer_loop_notices_it_by_misc():
    peer = Peer(keepalive=1)
    peer.connect()
    time.sleep(peer.core.deadline() + 0.01)
    assert peer.core.misc() == []
    assert peer.core.want_write()
    peer.core.write()
    assert peer.read() == b"\xc0\x00"
    events = []
    while not events:
        time.sleep(peer.core.deadline() + 0.01)
        events = peer.core.misc()
    assert events[-1][:2] == (_core.DISCONNECTED, _core.KEEPALIVE)


def test_close_says_why_and_once():
    peer = Peer()
    peer.connect()
    peer.core.close("out of paper")
    peer.core.close("again")
    (ended,) = peer.core.events()
    assert ended[:2] == (_core.DISCONNECTED, _core.LOST)
    assert "out of paper" in ended[4]
    peer.core.abandon()
    assert peer.core.events() == []


def test_subscriptions_are_asked_for_and_answered():
    peer = Peer(5)
    peer.connect()
    assert peer.core.subscribe([("a/+", 0b101), ("b", 0)], b"\x02\x0b\x07") == 1
    peer.turn()
    assert peer.read() == packet(0x82, b"\x00\x01\x02\x0b\x07" + field(b"a/+") + b"\x05" + field(b"b") + b"\x00")
    peer.write(packet(0x90, b"\x00\x01\x00\x01\x87"))
    assert peer.until(lambda event: kind(event) == _core.SUBACK) == [(_core.SUBACK, 1, (1, 0x87), None)]
    assert peer.core.unsubscribe(["a/+"], None) == 2
    peer.turn()
    assert peer.read() == packet(0xA2, b"\x00\x02\x00" + field(b"a/+"))
    peer.write(packet(0xB0, b"\x00\x02\x00\x11"))
    assert peer.until(lambda event: kind(event) == _core.UNSUBACK) == [(_core.UNSUBACK, 2, (0x11,), None)]
    for wrong in ([], [("a/#/b", 0)], [("", 0)], [("a", 3)], [("$share//a", 0)]):
        with pytest.raises(ValueError):
            peer.core.subscribe(wrong, None)


def test_before_5_there_are_no_codes_of_unsubscribe():
    peer = Peer(4)
    peer.connect()
    peer.core.unsubscribe(["a"], None)
    peer.turn()
    peer.read()
    peer.write(b"\xb0\x02\x00\x01")
    assert peer.until(lambda event: kind(event) == _core.UNSUBACK) == [(_core.UNSUBACK, 1, (), None)]


def test_acknowledgements_leave_when_the_application_is_done():
    peer = Peer()
    peer.connect()
    peer.write(publish(b"a", b"1", 1, 1) + publish(b"a", b"2", 2, 2) + publish(b"a", b"3", 3, 1))
    got = []
    while len(got) < 3:
        got += peer.turn(1)
    peer.turn()
    assert peer.silent()
    assert peer.core.in_messages() == [1, 2, 3]
    peer.core.done(got[2])
    peer.core.done(got[1])
    peer.turn()
    assert [peer.read(), peer.read()] == [b"\x40\x02\x00\x03", b"\x50\x02\x00\x02"], "the first holds none back"
    assert peer.silent()
    peer.core.done(got[0])
    peer.core.done(got[0])
    peer.turn()
    assert peer.read() == b"\x40\x02\x00\x01"
    assert peer.silent()
    assert peer.core.in_messages() == []
    peer.write(pubrel(2))
    peer.turn(0.1)
    assert peer.read() == b"\x70\x02\x00\x02"


def test_a_message_can_be_acknowledged_by_its_mid():
    peer = Peer()
    peer.connect()
    peer.write(publish(b"a", b"1", 9, 1))
    peer.message()
    assert not peer.core.ack(9, 2) and not peer.core.ack(8, 1)
    assert peer.core.ack(9, 1)
    assert not peer.core.ack(9, 1)
    peer.turn()
    assert peer.read() == b"\x40\x02\x00\x09"


def test_forgetting_what_came_answers_it():
    peer = Peer()
    peer.connect()
    peer.write(publish(b"a", b"1", 1, 1) + publish(b"a", b"2", 2, 2))
    peer.message()
    while len(peer.core.in_messages()) < 2:
        peer.turn(0.1)
    peer.core.clear_in_messages()
    peer.turn()
    assert {peer.read(), peer.read()} == {b"\x40\x02\x00\x01", b"\x50\x02\x00\x02"}


def test_a_message_of_qos_2_comes_once_over_a_reconnection():
    peer = Peer(clean=False)
    peer.connect()
    peer.write(publish(b"a", b"1", 5, 2))
    message = peer.message()
    peer.core.done(message)
    peer.turn()
    assert peer.read() == b"\x50\x02\x00\x05"
    peer.connect(b"\x20\x02\x01\x00")
    peer.write(publish(b"a", b"1", 5, 2, dup=True))
    assert peer.turn(0.2) == []
    assert peer.read() == b"\x50\x02\x00\x05"


def test_a_received_message_has_all_of_pahos_attributes():
    peer = Peer(5)
    peer.connect()
    properties = b"\x07\x26\x00\x01k\x00\x01v"
    peer.write(publish(b"a/\xc3\xa4", b"\x00\xff", 7, 1, dup=True, retain=True, properties=properties))
    message = peer.message()
    assert (message.topic, message.payload, message.qos, message.mid) == ("a/ä", b"\x00\xff", 1, 7)
    assert (message.dup, message.retain, message.state) == (True, True, 0)
    assert isinstance(message.properties, Properties)
    assert message.properties.UserProperty == [("k", "v")]
    assert message.properties is message.properties
    assert message.info.rc == 0 and message.info is message.info
    peer.write(publish(b"a", b"", properties=NO_PROPERTIES))
    assert peer.message().properties.isEmpty()
    before_5 = Peer(4)
    before_5.connect()
    before_5.write(publish(b"a"))
    assert before_5.message().properties is None


def test_topics_are_one_object_while_they_are_known():
    peer = Peer()
    peer.connect()
    peer.write(publish(b"one/topic") + publish(b"one/topic") + publish(b"x" * 300))
    first, second, third = peer.message(), peer.message(), peer.message()
    assert first.topic is second.topic
    assert third.topic == "x" * 300


def test_a_topic_that_is_no_text_is_told_all_the_same():
    peer = Peer()
    peer.connect()
    peer.write(publish(b"a/\xff", b"x", 3, 1))
    message = peer.message()
    with pytest.raises(UnicodeDecodeError):
        message.topic  # noqa: B018
    assert message.payload == b"x"
    peer.core.done(message)
    peer.turn()
    assert peer.read() == b"\x40\x02\x00\x03"


def test_a_message_behaves_as_an_object_of_pahos():
    message = _core.MQTTMessage(7, b"a/b")
    assert (message.mid, message.topic, message.payload, message.qos) == (7, "a/b", b"", 0)
    assert _core.MQTTMessage().topic == ""
    assert message == _core.MQTTMessage(7) and message != _core.MQTTMessage(8) and message != 7
    with pytest.raises(TypeError, match="unhashable"):
        hash(message)
    with pytest.raises(AttributeError):
        message.foo = 1
    message.topic = "text"
    with pytest.raises(AttributeError, match="'str' object has no attribute 'decode'"):
        message.topic  # noqa: B018
    for name, value in [
        ("timestamp", 1.5),
        ("state", 3),
        ("dup", True),
        ("mid", 70000),
        ("payload", "anything"),
        ("qos", 2),
        ("retain", True),
        ("info", _core.MQTTMessageInfo(1)),
        ("properties", object()),
    ]:
        setattr(message, name, value)
        assert getattr(message, name) == value
    message.properties = None
    assert message.properties is None
    reference = weakref.ref(message)
    del message
    gc.collect()
    assert reference() is None


def test_packets_are_told_in_pahos_words():
    peer = Peer()
    peer.core.tell_packets(True)
    peer.open()
    peer.core.publish("a/b", "hello", 0, False, None, False)
    events = peer.turn()
    peer.write(CONNACK_OK + publish(b"a/b", b"hello", 4, 1))
    events += peer.until(lambda event: isinstance(event, _core.MQTTMessage))
    lines = [event[2] for event in events if kind(event) == _core.LOG]
    assert lines == [
        "Sending CONNECT (u0, p0, wr0, wq0, wf0, c1, k60) client_id=b'core'",
        "Sending PUBLISH (d0, q0, r0, m1), 'b'a/b'', ... (5 bytes)",
        "Received CONNACK (0, 0)",
        "Received PUBLISH (d0, q1, r0, m4), 'a/b', ...  (5 bytes)",
    ]
    assert all(event[1] == 16 for event in events if kind(event) == _core.LOG)
    peer.core.tell_packets(False)
    peer.core.done(events[-1])
    assert peer.turn() == []


def test_answers_to_nothing_are_told_or_ignored():
    peer = Peer()
    peer.connect()
    peer.write(puback(9) + b"\x90\x03\x00\x07\x01" + b"\xb0\x02\x00\x08")
    told = peer.until(lambda event: kind(event) == _core.UNSUBACK)
    assert told == [(_core.SUBACK, 7, (1,), None), (_core.UNSUBACK, 8, (), None)]
    assert peer.core.is_connected()


def test_enhanced_authentication_passes_both_ways():
    method = b"\x15\x00\x01m"
    peer = Peer(5, properties=b"\x04" + method)
    peer.open()
    peer.turn()
    peer.read()
    peer.write(packet(0xF0, b"\x18\x04" + method))
    assert peer.until(lambda event: kind(event) == _core.AUTH) == [(_core.AUTH, 0x18, b"\x04" + method)]
    peer.core.auth(0x18, b"\x04" + method)
    peer.turn()
    assert peer.read() == packet(0xF0, b"\x18\x04" + method)
    peer.write(packet(0x20, b"\x00\x00\x04" + method))
    assert peer.until(lambda event: kind(event) == _core.CONNACK)[-1][:2] == (_core.CONNACK, True)
    with pytest.raises(ValueError):
        peer.core.auth(0x01, None)


def test_filters_match_as_pahos_do():
    assert _core.matches("a/#", "a") and _core.matches("+/b", "a/b") and _core.matches("", "")
    assert not _core.matches("#", "$SYS/a") and not _core.matches("a/+", "a")


def test_an_abandoned_connection_tells_nothing_of_its_course():
    peer = Peer()
    peer.open()
    peer.turn()
    peer.write(CONNACK_OK + publish(b"a", b"x"))
    time.sleep(0.05)
    peer.core.abandon()
    assert peer.core.events() == []
    peer.connect()
    assert peer.core.is_connected()


def test_connack_5_with_properties_is_told():
    peer = Peer(5)
    peer.open()
    peer.turn()
    peer.read()
    peer.write(packet(0x20, b"\x00\x00\x03\x21\x00\x05"))
    assert peer.until(lambda event: kind(event) == _core.CONNACK)[-1] == (
        _core.CONNACK,
        True,
        False,
        0,
        b"\x03\x21\x00\x05",
        False,
    )

"""`publish` and `subscribe`: what they send, what they return, what they raise."""

from __future__ import annotations

import collections
from typing import Any, Callable, Optional

import pytest
from modules_broker import CONNECT, DISCONNECT, PUBLISH, PUBREL, SUBSCRIBE, Broker
from modules_broker import publish as packet

from karere.paho import MQTTException, publish, subscribe
from karere.paho.client import MQTTv5, MQTTv31, MQTTv311

pytestmark = pytest.mark.timeout(30)

HELLO = bytes.fromhex("00044d5154540402003c000178")
"""CONNECT of 3.1.1 with a clean session, a keep alive of 60 and the client identifier x."""


def single(broker: Broker, **options: Any) -> None:
    publish.single("a", "b", port=broker.port, client_id="x", **options)


@pytest.mark.parametrize(
    ("options", "hello", "sent"),
    [
        ({}, HELLO, [(0x30, b"\x00\x01ab")]),
        ({"retain": True}, HELLO, [(0x31, b"\x00\x01ab")]),
        ({"qos": 1}, HELLO, [(0x32, b"\x00\x01a\x00\x01b")]),
        ({"qos": 2}, HELLO, [(0x34, b"\x00\x01a\x00\x01b")]),
        ({"keepalive": 5}, bytes.fromhex("00044d51545404020005000178"), [(0x30, b"\x00\x01ab")]),
        ({"protocol": MQTTv31}, bytes.fromhex("00064d51497364700302003c000178"), [(0x30, b"\x00\x01ab")]),
        ({"protocol": MQTTv5}, bytes.fromhex("00044d5154540502003c00000178"), [(0x30, b"\x00\x01a\x00b")]),
        (
            {"auth": {"username": "u", "password": "p"}},
            bytes.fromhex("00044d51545404c2003c000178000175000170"),
            [(0x30, b"\x00\x01ab")],
        ),
        ({"auth": {"username": "u"}}, bytes.fromhex("00044d5154540482003c000178000175"), [(0x30, b"\x00\x01ab")]),
        ({"auth": {}}, HELLO, [(0x30, b"\x00\x01ab")]),
        (
            {"will": {"topic": "w", "payload": "p", "qos": 1, "retain": True}},
            bytes.fromhex("00044d515454042e003c000178000177000170"),
            [(0x30, b"\x00\x01ab")],
        ),
        ({"will": {"topic": "w"}}, bytes.fromhex("00044d5154540406003c0001780001770000"), [(0x30, b"\x00\x01ab")]),
    ],
    ids=str,
)
def test_single_sends(options: dict[str, Any], hello: bytes, sent: list[tuple[int, bytes]]) -> None:
    with Broker(v5=options.get("protocol") == MQTTv5) as broker:
        single(broker, **options)
        assert broker.ended()
        assert broker.of(CONNECT) == [(0x10, hello)]
        assert broker.of(PUBLISH) == sent
        assert broker.packets[-1] == (0xE0, b"")


@pytest.mark.parametrize(
    "msgs",
    [
        [{"topic": "a", "payload": "1"}, {"topic": "b", "payload": "2", "qos": 1}],
        [("a", "1"), ("b", "2", 1)],
        (["a", "1"], ["b", "2", 1, False]),
        collections.deque([("a", "1"), {"topic": "b", "payload": "2", "qos": 1}]),
    ],
    ids=["dicts", "tuples", "lists", "deque"],
)
def test_multiple_takes_messages_as_mappings_and_as_sequences(msgs: Any) -> None:
    with Broker() as broker:
        publish.multiple(msgs, port=broker.port, client_id="x")
        assert broker.ended()
        assert broker.of(PUBLISH) == [(0x30, b"\x00\x01a1"), (0x32, b"\x00\x01b\x00\x022")]


@pytest.mark.parametrize("receive_maximum", [None, 1, 5, 100])
def test_multiple_keeps_the_order_of_many_messages(receive_maximum: Optional[int]) -> None:
    msgs = [("t", f"{number}", number % 3) for number in range(1000)]
    v5 = receive_maximum is not None
    with Broker(v5=v5, receive_maximum=receive_maximum) as broker:
        publish.multiple(msgs, port=broker.port, client_id="x", protocol=MQTTv5 if v5 else MQTTv311)
        assert broker.ended()
        payloads = [body[(3 if first & 0x06 == 0 else 5) + v5 :] for first, body in broker.of(PUBLISH)]
        assert payloads == [f"{number}".encode() for number in range(1000)]
        assert len(broker.of(PUBREL)) == 333
        assert len(broker.of(DISCONNECT)) == 1


@pytest.mark.parametrize(
    ("msgs", "kind", "text"),
    [
        ([5], TypeError, "message must be a dict, tuple, or list"),
        (["ab"], TypeError, "message must be a dict, tuple, or list"),
        ([{"payload": "x"}], TypeError, "missing 1 required positional argument: 'topic'"),
        ([{"topic": "a", "foo": 1}], TypeError, "unexpected keyword argument 'foo'"),
        ([("a/+", "b")], ValueError, "Publish topic cannot contain wildcards."),
        ([("a", "b", 3)], ValueError, "Invalid QoS level."),
    ],
    ids=str,
)
def test_what_cannot_be_published_is_refused_after_what_came_before(msgs: list[Any], kind: type[Exception], text: str) -> None:
    with Broker() as broker:
        with pytest.raises(kind, match=text.replace("(", r"\(")):
            publish.multiple([("first", "x", 1), *msgs, ("never", "x")], port=broker.port, client_id="x")
        assert broker.of(PUBLISH) == [(0x32, b"\x00\x05first\x00\x01x")]


def refused_at_once(call: Callable[[], Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: publish.multiple([]), ValueError, "msgs is empty"),
        (lambda: publish.multiple(5), TypeError, "msgs must be an iterable"),  # type: ignore[arg-type]
        (lambda: publish.multiple(one for one in [("a",)]), TypeError, "object of type 'generator' has no len()"),
        (
            lambda: publish.single("a", auth={"password": "p"}),
            KeyError,
            "The 'username' key was not found, this is required for auth",
        ),
        (
            lambda: publish.single("a", auth={"username": ""}),
            KeyError,
            "The 'username' key was not found, this is required for auth",
        ),
        (lambda: publish.single("a", will={"payload": "w"}), TypeError, "missing 1 required positional argument: 'topic'"),
        (lambda: publish.single("a", tls={"ca_certs": "/nowhere"}), FileNotFoundError, "No such file or directory"),
        (lambda: publish.single("a", tls={"foo": 1}), TypeError, "unexpected keyword argument 'foo'"),  # type: ignore[typeddict-unknown-key]
        (lambda: publish.single("a", proxy_args={}), ValueError, "proxy_type and/or proxy_addr are invalid."),
        (lambda: publish.single("a", transport="foo"), ValueError, 'transport must be "websockets", "tcp" or "unix", not foo'),  # type: ignore[arg-type]
        (lambda: publish.single("a", port=1), ConnectionRefusedError, "Connection refused"),
        (lambda: publish.single("a", port=1, auth={}), ConnectionRefusedError, "Connection refused"),
        (lambda: subscribe.simple("a", msg_count=0), ValueError, "msg_count must be > 0"),
        (lambda: subscribe.simple("a", msg_count=-1), ValueError, "msg_count must be > 0"),
        (lambda: subscribe.simple([]), ValueError, "topics is empty"),
        (lambda: subscribe.callback(print, "a", qos=3), ValueError, "qos must be in the range 0-2"),
        (lambda: subscribe.callback(print, "a", qos=-1), ValueError, "qos must be in the range 0-2"),
        (lambda: subscribe.callback(print, "a", protocol=MQTTv5), ValueError, "Clean session is not used for MQTT 5.0"),
        (lambda: subscribe.simple("a", port=1, protocol=MQTTv5), ConnectionRefusedError, "Connection refused"),
        (
            lambda: subscribe.simple("a", clean_session=False),
            ValueError,
            "A client id must be provided if clean session is False.",
        ),
    ],
    ids=str,
)
def test_refused_before_anything_is_sent(call: Callable[[], Any], kind: type[Exception], text: str) -> None:
    refused_at_once(call, kind, text)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (2, "Client identifier not valid"),
        (3, "Server unavailable"),
        (4, "Bad user name or password"),
        (5, "Not authorized"),
        (6, "Unspecified error"),
    ],
)
def test_a_refused_connection_raises_its_reason(code: int, reason: str) -> None:
    for call in (publish.single, subscribe.simple):
        with Broker(refuse=code) as broker, pytest.raises(MQTTException, match=f"^{reason}$"):
            call("a", port=broker.port, client_id="x")


def test_a_refused_connection_raises_its_reason_in_5_0() -> None:
    for call in (publish.single, subscribe.simple):
        with Broker(refuse=135, v5=True) as broker, pytest.raises(MQTTException, match="^Not authorized$"):
            call("a", port=broker.port, client_id="x", protocol=MQTTv5)


def test_a_version_that_the_server_refuses_is_lowered_once() -> None:
    with Broker(refuse=1) as broker:
        with pytest.raises(MQTTException, match="^Unsupported protocol version$"):
            single(broker)
        assert [body[:8] for _, body in broker.of(CONNECT)] == [b"\x00\x04MQTT\x04\x02", b"\x00\x06MQIsdp"]


def test_a_message_that_was_not_acknowledged_is_sent_again() -> None:
    with Broker(lose=(1,)) as broker:
        single(broker, qos=1)
        assert broker.ended()
        assert broker.of(PUBLISH) == [(0x32, b"\x00\x01a\x00\x01b"), (0x3A, b"\x00\x01a\x00\x01b")]
        assert broker.connections == 2


def test_no_message_is_lost_over_reconnections() -> None:
    # Whatever a connection was lost with: QoS 1 arrives at least once, QoS 2 exactly once in terms of PUBREL.
    msgs = [("t", f"{number}", 1 + number % 2) for number in range(50)]
    with Broker(lose=(7, 11)) as broker:
        publish.multiple(msgs, port=broker.port, client_id="x")
        assert broker.ended()
        assert {body[5:] for _, body in broker.of(PUBLISH)} == {f"{number}".encode() for number in range(50)}
        assert broker.connections == 3


THREE = (packet(b"t", b"kept", retain=True), packet(b"t", b"1"), packet(b"t", b"2"))


@pytest.mark.parametrize(
    ("topics", "options", "subscribed", "found"),
    [
        ("t", {}, [b"\x00\x01\x00\x01t\x00"], b"kept"),
        ("t", {"qos": 1}, [b"\x00\x01\x00\x01t\x01"], b"kept"),
        ("t", {"msg_count": 2}, [b"\x00\x01\x00\x01t\x00"], [b"kept", b"1"]),
        ("t", {"retained": False}, [b"\x00\x01\x00\x01t\x00"], b"1"),
        ("t", {"retained": False, "msg_count": 2}, [b"\x00\x01\x00\x01t\x00"], [b"1", b"2"]),
        (["t", "u"], {}, [b"\x00\x01\x00\x01t\x00", b"\x00\x02\x00\x01u\x00"], b"kept"),
        ([("t", 1)], {}, [b"\x00\x01\x00\x01t\x01"], b"kept"),
    ],
    ids=str,
)
def test_simple_returns_messages(topics: Any, options: dict[str, Any], subscribed: list[bytes], found: Any) -> None:
    with Broker(deliver=THREE) as broker:
        result = subscribe.simple(topics, port=broker.port, client_id="x", **options)
        payloads = [one.payload for one in result] if isinstance(result, list) else result.payload
        assert payloads == found
        assert [body for _, body in broker.of(SUBSCRIBE)] == subscribed


def test_simple_ignores_clean_session_in_5_0() -> None:
    for clean in (True, False, None):
        with Broker(deliver=(packet(b"t", b"1", v5=True),), v5=True) as broker:
            result = subscribe.simple("t", port=broker.port, client_id="x", protocol=MQTTv5, clean_session=clean)
            assert not isinstance(result, list)
            assert result.payload == b"1"


def test_simple_keeps_what_it_has_over_a_loss() -> None:
    # The first connection ends when the third packet comes: the ping, which the keep alive of 1 second makes come soon.
    with Broker(deliver=THREE[1:2], lose=(2,)) as broker:
        result = subscribe.simple("t", msg_count=2, keepalive=1, port=broker.port, client_id="x")
        assert isinstance(result, list)
        assert [one.payload for one in result] == [b"1", b"1"]
        assert broker.connections == 2


def test_callback_is_called_with_client_userdata_and_message_until_it_disconnects() -> None:
    seen: list[Any] = []

    def collect(client: Any, userdata: Any, message: Any) -> None:
        seen.append((userdata, message.topic, message.payload))
        if len(seen) == 2:
            client.disconnect()

    with Broker(deliver=THREE[:2]) as broker:
        subscribe.callback(collect, "t", userdata="mine", port=broker.port, client_id="x")
    assert seen == [("mine", "t", b"kept"), ("mine", "t", b"1")]


def test_an_exception_of_the_callback_comes_out() -> None:
    def fail(client: Any, userdata: Any, message: Any) -> None:
        raise LookupError("mine")

    with Broker(deliver=THREE) as broker, pytest.raises(LookupError, match="mine"):
        subscribe.callback(fail, "t", port=broker.port, client_id="x")


def test_a_subscription_that_is_refused_does_not_wait_for_ever() -> None:
    # paho waits for messages that cannot come.
    with Broker(granted=b"\x80") as broker, pytest.raises(MQTTException, match="Subscription refused: Unspecified error"):
        subscribe.simple("t", port=broker.port, client_id="x")
    with Broker(granted=b"\x87", v5=True) as broker, pytest.raises(MQTTException, match="Not authorized"):
        subscribe.simple(["t", "u"], port=broker.port, client_id="x", protocol=MQTTv5)

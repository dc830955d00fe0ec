"""What callbacks are called with, in each version of callbacks and of MQTT."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from client_peer import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, SUBSCRIBE, UNSUBACK, Server, connack, packet, publish, server
from karere.paho import client as mqtt
from karere.paho.properties import Properties
from karere.paho.reasoncodes import ReasonCode

V1, V2 = mqtt.CallbackAPIVersion

pytestmark = pytest.mark.filterwarnings("ignore:Callback API version 1")


@pytest.fixture
def broker() -> Iterator[Server]:
    with server() as one:
        yield one


class Told:
    """Attaches to all callbacks and keeps what they are called with, but for client and userdata."""

    NAMES = (
        "on_connect on_connect_fail on_pre_connect on_disconnect on_message on_publish on_subscribe on_unsubscribe "
        "on_socket_open on_socket_close"
    ).split()

    def __init__(self, client: mqtt.Client) -> None:
        self.calls: list[tuple[Any, ...]] = []
        for name in self.NAMES:
            setattr(client, name, self._listener(name, client))

    def _listener(self, name: str, client: mqtt.Client) -> Any:
        def listen(caller: Any, userdata: Any, *args: Any) -> None:
            assert caller is client
            assert userdata == "mine"
            self.calls.append((name, *args))

        return listen

    def of(self, name: str) -> list[tuple[Any, ...]]:
        return [args for found, *args in self.calls if found == name]  # type: ignore[misc]


def shape(value: Any) -> Any:
    """Something to compare: types, and what of the value counts."""
    if isinstance(value, ReasonCode):
        return f"ReasonCode {value}"
    if isinstance(value, Properties):
        return f"Properties {value}"
    if isinstance(value, list):
        return [shape(each) for each in value]
    return value


def shapes(calls: list[Any]) -> Any:
    return [[shape(value) for value in args] for args in calls]


def connected(broker: Server, api: Any, version: int, **options: Any) -> tuple[mqtt.Client, Told, Any]:
    if version < 5:
        options["clean_session"] = False
    client = mqtt.Client(api, "x", userdata="mine", protocol=version, **options)
    told = Told(client)
    client.connect("127.0.0.1", broker.port, clean_start=False if version == 5 else 3)
    peer = broker.accept()
    properties = b"\x12\x00\x03new" if version == 5 else b""
    peer.accept(flags=1, properties=properties)
    assert client.loop(5) == 0
    return client, told, peer


EVERY = pytest.mark.parametrize("api, version", [(V1, 3), (V1, 4), (V1, 5), (V2, 3), (V2, 4), (V2, 5)])


@EVERY
def test_on_connect(broker: Server, api: Any, version: int) -> None:
    _, told, _ = connected(broker, api, version)
    present = version != 3  # 3.1 has no such flag
    flags: Any = {"session present": int(present)} if api is V1 else mqtt.ConnectFlags(present)
    if api is V1 and version < 5:
        assert told.of("on_connect") == [[flags, 0]]
    else:
        named = "[AssignedClientIdentifier : new]" if version == 5 else "[]"
        assert shapes(told.of("on_connect")) == [[flags, "ReasonCode Success", f"Properties {named}"]]
    assert [call[0] for call in told.calls] == ["on_pre_connect", "on_socket_open", "on_connect"]


@pytest.mark.parametrize("api", [V1, V2])
@pytest.mark.parametrize(
    "version, code, before, name, rc",
    [
        (3, 1, 1, "Unsupported protocol version", 5),
        (3, 4, 4, "Bad user name or password", 5),
        (4, 2, 2, "Client identifier not valid", 5),
        (4, 3, 3, "Server unavailable", 5),
        (4, 5, 5, "Not authorized", 5),
        (4, 6, 6, "Unspecified error", 2),
        (5, 0x87, None, "Not authorized", 2),
    ],
)
def test_on_connect_when_refused(
    broker: Server, api: Any, version: int, code: int, before: Any, name: str, rc: int
) -> None:
    client = mqtt.Client(api, "x", userdata="mine", protocol=version)
    told = Told(client)
    client.connect("127.0.0.1", broker.port)
    peer = broker.accept()
    peer.read()
    peer.send(connack(version, code))
    assert client.loop(5) == rc
    assert [call[0] for call in told.calls[2:]] == ["on_connect", "on_socket_close", "on_disconnect"]
    connects, disconnects = shapes(told.of("on_connect")), shapes(told.of("on_disconnect"))
    assert connects[0][1] == (before if api is V1 and version < 5 else f"ReasonCode {name}")
    why = "Unspecified error" if rc == 5 else "Protocol error"
    if api is V2:
        assert disconnects == [[mqtt.DisconnectFlags(False), f"ReasonCode {why}", "Properties []"]]
    else:
        assert disconnects == [[rc, None] if version == 5 else [rc]]
    assert not client.is_connected()
    assert client.socket() is None


@EVERY
def test_on_disconnect_when_asked_for(broker: Server, api: Any, version: int) -> None:
    client, told, peer = connected(broker, api, version)
    assert client.disconnect() == 0
    assert peer.read() == (0xE0, b"")
    assert [call[0] for call in told.calls[3:]] == ["on_disconnect", "on_socket_close"]
    if api is V2:
        wanted: Any = [[mqtt.DisconnectFlags(False), "ReasonCode Normal disconnection", "Properties []"]]
    else:
        wanted = [[0, None] if version == 5 else [0]]
    assert shapes(told.of("on_disconnect")) == wanted
    assert client.loop(0.1) == mqtt.MQTT_ERR_NO_CONN
    assert len(told.of("on_disconnect")) == 1


@EVERY
def test_on_disconnect_when_lost(broker: Server, api: Any, version: int) -> None:
    client, told, peer = connected(broker, api, version)
    peer.close()
    assert client.loop(5) == mqtt.MQTT_ERR_CONN_LOST
    assert [call[0] for call in told.calls[3:]] == ["on_socket_close", "on_disconnect"]
    if api is V2:
        wanted: Any = [[mqtt.DisconnectFlags(False), "ReasonCode Unspecified error", "Properties []"]]
    else:
        wanted = [[7, None] if version == 5 else [7]]
    assert shapes(told.of("on_disconnect")) == wanted
    assert not client.is_connected()


@pytest.mark.parametrize("api", [V1, V2])
@pytest.mark.parametrize(
    "body, reason, properties",
    [
        (b"", None, None),
        (b"\x8b", "ReasonCode Server shutting down", None),
        (b"\x8b\x00", "ReasonCode Server shutting down", "Properties []"),
        (b"\x8b\x06\x1f\x00\x03bye", "ReasonCode Server shutting down", "Properties [ReasonString : bye]"),
    ],
)
def test_on_disconnect_by_the_server(broker: Server, api: Any, body: bytes, reason: Any, properties: Any) -> None:
    client, told, peer = connected(broker, api, 5)
    peer.send(packet(0xE0, body))
    client.loop(5)
    if api is V2:
        wanted = [mqtt.DisconnectFlags(True), reason or "ReasonCode Normal disconnection", properties or "Properties []"]
    else:
        wanted = [reason, properties]
    assert shapes(told.of("on_disconnect")) == [wanted]
    assert not client.is_connected()


@EVERY
def test_on_message(broker: Server, api: Any, version: int) -> None:
    _, told, peer = client, told, peer = connected(broker, api, version)
    for qos in range(3):
        peer.send(publish("tö/pic", b"payload", qos, 10 + qos, version, first=1))
    while len(told.of("on_message")) < 3:
        assert client.loop(5) == 0
    for qos, (message,) in enumerate(told.of("on_message")):
        assert type(message) is mqtt.MQTTMessage
        assert (message.topic, message.payload, message.qos, message.retain, message.dup) == ("tö/pic", b"payload", qos, True, False)
        assert message.mid == (10 + qos if qos else 0)
        assert shape(message.properties) == ("Properties []" if version == 5 else None)
    assert peer.expect(PUBACK) == b"\x00\x0b"
    assert peer.expect(PUBREC) == b"\x00\x0c"
    peer.send(packet(0x62, b"\x00\x0c"))
    assert client.loop(5) == 0
    client.loop(0)
    assert peer.expect(PUBCOMP) == b"\x00\x0c"
    assert len(told.of("on_message")) == 3


@EVERY
def test_on_publish(broker: Server, api: Any, version: int) -> None:
    client, told, peer = connected(broker, api, version)
    client.publish("a", "0")
    # Nobody else would call it.
    assert shapes(told.of("on_publish")) == [[1] if api is V1 else [1, "ReasonCode Success", "Properties []"]]
    peer.expect(PUBLISH)
    assert client.publish("a", "1", 1).mid == 2
    peer.expect(PUBLISH)
    code = b"\x10\x07\x1f\x00\x04none" if version == 5 else b""
    peer.send(packet(PUBACK << 4, b"\x00\x02" + code))
    client.loop(5)
    assert client.publish("a", "2", 2).mid == 3
    peer.expect(PUBLISH)
    peer.send(packet(PUBREC << 4, b"\x00\x03"))
    client.loop(0.5)
    assert peer.expect(PUBREL) == b"\x00\x03"
    peer.send(packet(PUBCOMP << 4, b"\x00\x03"))
    client.loop(5)
    found = told.of("on_publish")
    assert [args[0] for args in found] == [1, 2, 3]
    if api is V1:
        assert all(len(args) == 1 for args in found)
        return
    why = ["No matching subscribers", "Properties [ReasonString : none]"] if version == 5 else ["Success", "Properties []"]
    assert shapes(found)[1:] == [[2, f"ReasonCode {why[0]}", why[1]], [3, "ReasonCode Success", "Properties []"]]
    assert [args[1].packetType for args in found] == [4, 4, 7]


def test_on_publish_of_a_refused_message(broker: Server) -> None:
    client, told, peer = connected(broker, V2, 5)
    info = client.publish("a", "2", 2)
    peer.expect(PUBLISH)
    peer.send(packet(PUBREC << 4, b"\x00\x01\x87"))
    client.loop(5)
    assert shapes(told.of("on_publish")) == [[1, "ReasonCode Not authorized", "Properties []"]]
    assert told.of("on_publish")[0][1].packetType == 5
    assert info.is_published()
    assert len(client._out_messages) == 0


@EVERY
def test_on_subscribe(broker: Server, api: Any, version: int) -> None:
    client, told, peer = connected(broker, api, version)
    assert client.subscribe([("a", 1), ("b", 2)] if version < 5 else [("a", mqtt.SubscribeOptions(1)), ("b", 2)]) == (0, 1)
    peer.expect(SUBSCRIBE)
    refused = {3: 2, 4: 0x80, 5: 0x87}[version]  # 3.1 cannot refuse
    peer.send(packet(SUBACK << 4, b"\x00\x01" + (b"\x00" if version == 5 else b"") + bytes([1, refused])))
    client.loop(5)
    if api is V1 and version < 5:
        assert told.of("on_subscribe") == [[1, (1, refused)]]
    else:
        no = {3: "Granted QoS 2", 4: "Unspecified error", 5: "Not authorized"}[version]
        assert shapes(told.of("on_subscribe")) == [[1, ["ReasonCode Granted QoS 1", f"ReasonCode {no}"], "Properties []"]]


@EVERY
@pytest.mark.parametrize("count", [1, 2])
def test_on_unsubscribe(broker: Server, api: Any, version: int, count: int) -> None:
    client, told, peer = connected(broker, api, version)
    assert client.unsubscribe(["a", "b"][:count]) == (0, 1)
    peer.expect(10)
    peer.send(packet(UNSUBACK << 4, b"\x00\x01" + (b"\x00\x00\x11"[: 1 + count] if version == 5 else b"")))
    client.loop(5)
    reasons = ["ReasonCode Success", "ReasonCode No subscription found"][:count] if version == 5 else []
    if api is V2:
        assert shapes(told.of("on_unsubscribe")) == [[1, reasons, "Properties []"]]
    elif version == 5:
        assert shapes(told.of("on_unsubscribe")) == [[1, "Properties []", reasons[0] if count == 1 else reasons]]
    else:
        assert told.of("on_unsubscribe") == [[1]]


def test_on_connect_of_a_server_that_knows_no_5(broker: Server) -> None:
    for api in (V1, V2):
        client = mqtt.Client(api, "x", userdata="mine", protocol=5)
        told = Told(client)
        client.connect("127.0.0.1", broker.port)
        peer = broker.accept()
        peer.read()
        peer.send(connack(4, 1))
        assert client.loop(5) == mqtt.MQTT_ERR_CONN_REFUSED
        ((_, reason, properties),) = shapes(told.of("on_connect"))
        assert reason == "ReasonCode Unsupported protocol version"
        assert properties == (None if api is V1 else "Properties []")
        assert len(told.of("on_disconnect")) == 1


def test_a_server_that_only_knows_3_1_gets_3_1(broker: Server) -> None:
    client = mqtt.Client(V2, "x", userdata="mine")
    told = Told(client)
    client.connect("127.0.0.1", broker.port)
    peer = broker.accept()
    assert peer.expect(1).startswith(b"\x00\x04MQTT\x04")
    peer.send(connack(4, 1))
    assert client.loop(5) == 0
    peer = broker.accept()
    assert peer.accept().startswith(b"\x00\x06MQIsdp\x03")
    assert client.loop(5) == 0
    assert client.protocol == mqtt.MQTTv31
    assert client.is_connected()
    assert (len(told.of("on_connect")), len(told.of("on_disconnect"))) == (1, 0)


def test_a_server_that_wants_an_id_gets_one(broker: Server) -> None:
    client = mqtt.Client(V2)
    client.connect("127.0.0.1", broker.port)
    peer = broker.accept()
    peer.expect(1)
    peer.send(connack(4, 2))
    assert client.loop(5) == 0
    assert broker.accept().accept().endswith(b"\x00\x16" + client._client_id)
    assert len(client._client_id) == 22


def test_a_callback_is_looked_up_when_there_is_something_to_tell(broker: Server) -> None:
    calls = []

    class Mine(mqtt.Client):
        def on_connect(self, client: Any, *args: Any) -> None:  # type: ignore[override]
            calls.append(("on_connect", client is self))

        def on_message(self, client: Any, userdata: Any, message: Any) -> None:  # type: ignore[override]
            calls.append(("on_message", message.payload))

        def on_publish(self, client: Any, userdata: Any, mid: int, *args: Any) -> None:  # type: ignore[override]
            calls.append(("on_publish", mid))

        def on_log(self, client: Any, userdata: Any, level: int, text: str) -> None:  # type: ignore[override]
            lines.append((level, text))

    lines: list[Any] = []
    client = Mine(V2, "x")
    client.connect("127.0.0.1", broker.port)
    peer = broker.accept()
    peer.accept()
    client.loop(5)
    peer.send(publish("a", b"1"))
    client.loop(5)
    client.publish("a")
    assert calls == [("on_connect", True), ("on_message", b"1"), ("on_publish", 1)]
    assert (mqtt.MQTT_LOG_DEBUG, "Received CONNACK (0, 0)") in lines


def test_decorators_set_the_callbacks() -> None:
    client = mqtt.Client(V2)
    for name in (
        "connect connect_fail pre_connect disconnect message publish subscribe unsubscribe log socket_open socket_close "
        "socket_register_write socket_unregister_write"
    ).split():

        def callback(*args: Any) -> None: ...

        assert getattr(client, f"{name}_callback")()(callback) is callback
        assert getattr(client, f"on_{name}") is callback
        assert getattr(client, f"_on_{name}") is callback
        setattr(client, f"on_{name}", None)
        assert getattr(client, f"on_{name}") is None


def test_messages_go_to_each_filter_that_matches_and_to_on_message_if_none_does(broker: Server) -> None:
    client, told, peer = connected(broker, V2, 4)
    calls: list[Any] = []
    for filter in ("a/b", "a/+", "#", "b/#"):
        client.message_callback_add(filter, lambda _, __, message, filter=filter: calls.append(filter))

    @client.topic_callback("a/b")
    def replaces(client: Any, userdata: Any, message: Any) -> None:
        calls.append("replaced")

    def send(topic: Any) -> list[Any]:
        calls.clear()
        peer.send(publish(topic))
        client.loop(5)
        return list(calls)

    assert send("a/b") == ["replaced", "a/+", "#"]
    assert send("c") == ["#"]
    assert send("$SYS/x") == []
    client.message_callback_remove("#")
    assert send("c") == []
    assert send(b"\xff") == []
    for filter in ("a/b", "a/+", "b/#"):
        client.message_callback_remove(filter)
    assert not client._filtered
    assert send("a/b") == []
    assert len(told.of("on_message")) == 4
    with pytest.raises(UnicodeDecodeError):
        _ = told.of("on_message")[2][0].topic


@pytest.mark.parametrize("suppress", [False, True])
def test_what_a_callback_raises_is_logged_and_raised_unless_suppressed(
    broker: Server, suppress: bool, caplog: pytest.LogCaptureFixture
) -> None:
    client, told, peer = connected(broker, V2, 4)
    client.suppress_exceptions = suppress
    client.enable_logger()
    seen = []

    def on_message(_: Any, __: Any, message: Any) -> None:
        seen.append(message.payload)
        if message.payload == b"bad":
            raise KeyError("hm")

    client.on_message = on_message
    peer.send(publish("a", b"bad", 1, 7) + publish("a", b"good"))
    with caplog.at_level(logging.ERROR):
        if suppress:
            client.loop(5)
        else:
            with pytest.raises(KeyError, match="hm"):
                client.loop(5)
            # What came with it is not lost.
            assert seen == [b"bad"]
            assert client.loop(5) == 0
    assert seen == [b"bad", b"good"]
    assert [record.getMessage() for record in caplog.records] == ["Caught exception in on_message: 'hm'"]
    client.publish("b")
    if suppress:
        assert peer.expect(PUBACK) == b"\x00\x07"
    # Otherwise nobody has had it, and the server keeps it.
    assert list(client._in_messages) == ([] if suppress else [7])
    peer.expect(PUBLISH)


def test_system_exit_leaves_the_loop_even_where_exceptions_are_suppressed(broker: Server) -> None:
    client, _, peer = connected(broker, V2, 4)
    client.suppress_exceptions = True

    def on_message(*args: Any) -> None:
        raise SystemExit(3)

    client.on_message = on_message
    peer.send(publish("a"))
    with pytest.raises(SystemExit):
        client.loop_forever()


def test_what_on_log_raises_is_lost(broker: Server) -> None:
    client = mqtt.Client(V2, "x")

    def on_log(*args: Any) -> None:
        raise ValueError("of no interest")

    client.on_log = on_log
    client.connect("127.0.0.1", broker.port)
    broker.accept().accept()
    assert client.loop(5) == 0


def test_log_lines(broker: Server) -> None:
    client = mqtt.Client(V2, "x")
    lines: list[str] = []
    client.on_log = lambda _, __, level, text: lines.append(text) if level == mqtt.MQTT_LOG_DEBUG else None
    client.will_set("w", "x", 1, True)
    client.username_pw_set("u", "p")
    client.connect("127.0.0.1", broker.port)
    peer = broker.accept()
    peer.accept()
    client.loop(5)
    client.subscribe([("a", 1), ("b", 0)])
    client.unsubscribe(["a", "b"])
    client.publish("t")
    client.publish("té", "xyz", 1, True)
    peer.send(publish("in", b"12", 1, 9))
    client.loop(5)
    client.loop(0)
    client.disconnect()
    assert lines == [
        "Sending CONNECT (u1, p1, wr1, wq1, wf1, c1, k60) client_id=b'x'",
        "Received CONNACK (0, 0)",
        "Sending SUBSCRIBE (d0, m1) [(b'a', 1), (b'b', 0)]",
        "Sending UNSUBSCRIBE (d0, m2) [b'a', b'b']",
        "Sending PUBLISH (d0, q0, r0, m3), 'b't'' (NULL payload)",
        "Sending PUBLISH (d0, q1, r1, m4), 'b't\\xc3\\xa9'', ... (3 bytes)",
        "Received PUBLISH (d0, q1, r0, m9), 'in', ...  (2 bytes)",
        "Sending PUBACK (Mid: 9)",
        "Sending DISCONNECT",
    ]


def test_a_logger_whose_level_changes_is_told_from_then_on(broker: Server, caplog: pytest.LogCaptureFixture) -> None:
    client, _, peer = connected(broker, V2, 4)
    logger = logging.getLogger("test.client")
    logger.setLevel(logging.WARNING)
    client.enable_logger(logger)
    peer.send(publish("a", b"1"))
    client.loop(5)
    assert caplog.records == []
    logger.setLevel(logging.DEBUG)
    peer.send(publish("a", b"1"))
    client.loop(5)
    assert [record.getMessage() for record in caplog.records] == ["Received PUBLISH (d0, q0, r0, m0), 'a', ...  (1 bytes)"]
    client.disable_logger()
    client.disconnect()
    assert len(caplog.records) == 1


def test_manual_acknowledgement(broker: Server) -> None:
    client, told, peer = connected(broker, V2, 4, manual_ack=True)
    peer.send(publish("a", b"1", 1, 5) + publish("a", b"2", 2, 6))
    while len(told.of("on_message")) < 2:
        client.loop(5)
    assert list(client._in_messages) == [5, 6]
    assert client.ack(77, 1) == 0
    assert client.ack(6, 2) == 0
    assert client.ack(5, 1) == 0
    assert peer.expect(PUBREC) == b"\x00\x06"
    assert peer.expect(PUBACK) == b"\x00\x05"
    client.manual_ack_set(False)
    peer.send(publish("a", b"1", 1, 7))
    client.loop(5)
    assert peer.expect(PUBACK) == b"\x00\x07"

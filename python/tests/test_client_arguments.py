"""What each call makes of arguments that are odd or wrong: paho-mqtt 2.2.0's answers, call by call."""

from __future__ import annotations

import copy
import pickle
import socket
import ssl
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from karere.paho import client as mqtt

V2 = mqtt.CallbackAPIVersion.VERSION2
NO_CONN = mqtt.MQTT_ERR_NO_CONN


def make(**options: Any) -> mqtt.Client:
    return mqtt.Client(V2, **options)


def v5(**options: Any) -> mqtt.Client:
    return make(protocol=mqtt.MQTTv5, **options)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def connect(*args: Any, client: Any = None, **options: Any) -> Any:
    return (client or make()).connect(*(args or ("127.0.0.1",)), **options)


def old(*args: Any, **options: Any) -> mqtt.Client:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return mqtt.Client(*args, **options)


def tell(client: Any, name: str, value: Any) -> Any:
    setattr(client, name, value)
    return getattr(client, name)


def published(client: mqtt.Client, *args: Any, **options: Any) -> Any:
    return client.publish(*args, **options).rc


def full() -> Any:
    client = make()
    client.max_queued_messages_set(1)
    client.publish("a", qos=1)
    return client.publish("a", qos=1)


def message(**values: Any) -> mqtt.MQTTMessage:
    one = mqtt.MQTTMessage()
    for name, value in values.items():
        setattr(one, name, value)
    return one


VALUES: list[tuple[str, Callable[[], Any], Any]] = [
    ("Client()", lambda: old().callback_api_version, mqtt.CallbackAPIVersion.VERSION1),
    ("Client(1)", lambda: old(1).callback_api_version, mqtt.CallbackAPIVersion.VERSION1),
    ("Client(transport='TCP')", lambda: make(transport="TCP").transport, "tcp"),
    ("Client(transport='unix')", lambda: make(transport="unix").transport, "unix"),
    ("Client(client_id=b'x')", lambda: make(client_id=b"x")._client_id, b"x"),
    ("Client(client_id=5)", lambda: make(client_id=5)._client_id, 5),
    ("Client(protocol=99)", lambda: make(protocol=99).protocol, 99),
    ("Client(v31)", lambda: len(make(protocol=mqtt.MQTTv31)._client_id), 22),
    ("Client(client_id=None)", lambda: make(client_id=None)._client_id, b""),
    ("loop()", lambda: make().loop(), NO_CONN),
    ("loop_read()", lambda: make().loop_read(), NO_CONN),
    ("loop_write()", lambda: make().loop_write(), NO_CONN),
    ("loop_misc()", lambda: make().loop_misc(), NO_CONN),
    ("loop_stop()", lambda: make().loop_stop(), mqtt.MQTT_ERR_INVAL),
    ("disconnect()", lambda: make().disconnect(), NO_CONN),
    ("connect_async with a host of another type", lambda: make().connect_async(5), None),
    ("publish('') v5", lambda: published(v5(), ""), NO_CONN),
    ("publish(True)", lambda: published(make(), "a", True), NO_CONN),
    ("publish qos 0", lambda: published(make(), "a"), NO_CONN),
    ("publish qos 1", lambda: published(make(), "a", qos=1), NO_CONN),
    ("publish over max_queued", lambda: full().rc, mqtt.MQTT_ERR_QUEUE_SIZE),
    ("info", lambda: (str(mqtt.MQTTMessageInfo(1)), tuple(mqtt.MQTTMessageInfo(1))), ("(0, 1)", (0, 1))),
    ("info[1]", lambda: mqtt.MQTTMessageInfo(7)[1], 7),
    ("info.is_published()", lambda: mqtt.MQTTMessageInfo(1).is_published(), False),
    ("info.wait_for_publish(0.01)", lambda: mqtt.MQTTMessageInfo(1).wait_for_publish(0.01), None),
    ("subscribe('$share//a')", lambda: make().subscribe("$share//a"), (NO_CONN, None)),
    ("subscribe('+/+/#')", lambda: make().subscribe("+/+/#"), (NO_CONN, None)),
    ("subscribe(('a', 1))", lambda: make().subscribe(("a", 1)), (NO_CONN, None)),
    ("subscribe([('a', 1)]) v5", lambda: v5().subscribe([("a", 1)]), (NO_CONN, None)),
    ("subscribe(('a', options)) v5", lambda: v5().subscribe(("a", mqtt.SubscribeOptions(1))), (NO_CONN, None)),
    ("subscribe('a', options=…) v5", lambda: v5().subscribe("a", options=mqtt.SubscribeOptions(2)), (NO_CONN, None)),
    ("unsubscribe([])", lambda: make().unsubscribe([]), (NO_CONN, None)),
    ("unsubscribe('a')", lambda: make().unsubscribe("a"), (NO_CONN, None)),
    ("unsubscribe(['a', 'b'])", lambda: make().unsubscribe(["a", "b"]), (NO_CONN, None)),
    ("will_set('a/+')", lambda: make().will_set("a/+"), None),
    ("username_pw_set(None, 'p')", lambda: make().username_pw_set(None, "p"), None),
    ("username_pw_set('u', b'p')", lambda: make().username_pw_set("u", b"p"), None),
    ("username_pw_set('u', 5)", lambda: make().username_pw_set("u", 5), None),
    ("max_queued_messages_set(5)", lambda: type(make().max_queued_messages_set(5)), mqtt.Client),
    ("message_callback_remove('nope')", lambda: make().message_callback_remove("nope"), None),
    ("tls_set_context(None)", lambda: make().tls_set_context(None), None),
    ("tls_set(keyfile='x')", lambda: make().tls_set(keyfile="x"), None),
    ("user_data_get()", lambda: make().user_data_get(), None),
    ("ack(1, 1)", lambda: make().ack(1, 1), mqtt.MQTT_ERR_SUCCESS),
    ("ack(1, 1), manual", lambda: make(manual_ack=True).ack(1, 1), NO_CONN),
    ("ack(1, 0), manual", lambda: make(manual_ack=True).ack(1, 0), mqtt.MQTT_ERR_SUCCESS),
    ("reinitialise()", lambda: make().reinitialise(), None),
    ("reinitialise() v5", lambda: v5().reinitialise(), None),
    ("message == message", lambda: message(mid=4) == message(mid=4, payload=b"x"), True),
    ("message != message", lambda: message(mid=4) != message(mid=5), True),
    ("message's types", lambda: (message().dup, message().retain, message().payload, message().topic), (False, False, b"", "")),
    ("Client().foo", lambda: tell(make(), "foo", 1), 1),
    ("weakref", lambda: weakref.ref(make())(), None),
    ("copy", lambda: type(copy.copy(make())), mqtt.Client),
    ("error_string(7)", lambda: mqtt.error_string(7), "The connection was lost."),
    ("error_string(-1)", lambda: mqtt.error_string(-1), "Unknown error."),
    ("connack_string(5)", lambda: mqtt.connack_string(5), "Connection Refused: not authorised."),
    ("connack_string(99)", lambda: mqtt.connack_string(99), "Connection Refused: unknown reason."),
    ("connack_string(ReasonCode)", lambda: mqtt.connack_string(mqtt.ReasonCode(2, "Banned")), "Banned"),
    ("topic_matches_sub('#', '$SYS/a')", lambda: mqtt.topic_matches_sub("#", "$SYS/a"), False),
    ("topic_matches_sub('a/#', 'a')", lambda: mqtt.topic_matches_sub("a/#", "a"), True),
    ("topic_matches_sub('', '')", lambda: mqtt.topic_matches_sub("", ""), True),
    ("transport = 'foo'", lambda: tell(make(), "transport", "foo"), "foo"),
    ("username = None", lambda: tell(make(), "username", None), None),
    ("username = 'u'", lambda: tell(make(), "username", "u"), "u"),
    ("password = 'p'", lambda: tell(make(), "password", "p"), "p"),
    ("will_topic", lambda: (make().will_topic, make().will_payload), ("", b"")),
    ("on_message = 'x'", lambda: tell(make(), "on_message", "x"), "x"),
    ("enable_logger()", lambda: (make().enable_logger(), make().logger), (None, None)),
    ("reconnect_delay_set('x')", lambda: make().reconnect_delay_set("x"), None),
    ("host = b'x'", lambda: tell(make(), "host", b"x"), b"x"),
    (
        "defaults",
        lambda: [
            (c.host, c.port, c.keepalive, c.transport, c.protocol, c.connect_timeout, c.max_inflight_messages)
            for c in [make()]
        ],
        [("", 1883, 60, "tcp", 4, 5.0, 20)],
    ),
]


@pytest.mark.parametrize("ask, answer", [row[1:] for row in VALUES], ids=[row[0] for row in VALUES])
def test_answers(ask: Callable[[], Any], answer: Any) -> None:
    found = ask()
    assert found == answer
    assert type(found) is type(answer)


FILTER = "Invalid subscription filter."
PAYLOAD = "payload must be a string, bytearray, int, float or None."
OPTIONS = "Subscribe options must be instance of SubscribeOptions class."

ERRORS: list[tuple[str, Callable[[], Any], Any, str]] = [
    ("Client('id')", lambda: mqtt.Client("id"), TypeError, "Unsupported callback API version: version 2.0 added a callback_api"),
    ("Client(99)", lambda: mqtt.Client(99), ValueError, "Unsupported callback API version"),
    ("Client(None)", lambda: mqtt.Client(None), ValueError, "Unsupported callback API version"),
    ("transport='foo'", lambda: make(transport="foo"), ValueError, 'transport must be "websockets", "tcp" or "unix", not foo'),
    ("no id", lambda: make(clean_session=False), ValueError, "A client id must be provided if clean session is False."),
    ("v5 clean_session", lambda: v5(clean_session=True), ValueError, "Clean session is not used for MQTT 5.0"),
    ("connect('')", lambda: connect(""), ValueError, "Invalid host."),
    ("connect(None)", lambda: connect(None), ValueError, "Invalid host."),
    ("connect(port=0)", lambda: connect(port=0), ValueError, "Invalid port number."),
    ("connect(port=-1)", lambda: connect(port=-1), ValueError, "Invalid port number."),
    ("connect(keepalive=-1)", lambda: connect(keepalive=-1), ValueError, "Keepalive must be >=0."),
    ("connect(bind_port=-1)", lambda: connect(bind_port=-1), ValueError, "Invalid bind port number."),
    ("connect(refused)", lambda: connect(port=closed_port()), ConnectionRefusedError, "Connection refused"),
    ("connect(unknown)", lambda: connect("no.such.host.invalid"), socket.gaierror, ""),
    ("connect(clean_start)", lambda: connect(clean_start=True), ValueError, "Clean start only applies to MQTT V5"),
    (
        "connect(properties)",
        lambda: connect(properties=mqtt.Properties(mqtt.PacketTypes.CONNECT)),
        ValueError,
        "Properties only apply to MQTT V5",
    ),
    ("connect_srv()", lambda: make().connect_srv("invalid.invalid"), ValueError, "No answer/NXDOMAIN for SRV in invalid.invalid"),
    ("reconnect()", lambda: make().reconnect(), ValueError, "Invalid host."),
    ("loop(-1)", lambda: make().loop(-1), ValueError, "Invalid timeout."),
    ("publish('')", lambda: make().publish(""), ValueError, "Invalid topic."),
    ("publish(None)", lambda: make().publish(None), ValueError, "Invalid topic."),
    ("publish(None) v5", lambda: v5().publish(None), AttributeError, "'NoneType' object has no attribute 'encode'"),
    ("publish(b'x')", lambda: make().publish(b"x"), AttributeError, "'bytes' object has no attribute 'encode'"),
    ("publish('a/+')", lambda: make().publish("a/+"), ValueError, "Publish topic cannot contain wildcards."),
    ("publish('a/#')", lambda: make().publish("a/#"), ValueError, "Publish topic cannot contain wildcards."),
    ("publish(long)", lambda: make().publish("x" * 65536), ValueError, "Publish topic is too long."),
    ("publish(qos=3)", lambda: make().publish("a", qos=3), ValueError, "Invalid QoS level."),
    ("publish(qos=-1)", lambda: make().publish("a", qos=-1), ValueError, "Invalid QoS level."),
    ("publish(qos='1')", lambda: make().publish("a", qos="1"), TypeError, ""),
    ("publish([1])", lambda: make().publish("a", [1]), TypeError, PAYLOAD),
    ("publish({})", lambda: make().publish("a", {}), TypeError, PAYLOAD),
    ("publish(memoryview)", lambda: make().publish("a", memoryview(b"")), TypeError, PAYLOAD),
    ("publish(256 MiB)", lambda: make().publish("a", b"x" * 268435456), ValueError, "Payload too large."),
    ("wait, queue full", lambda: full().wait_for_publish(), ValueError, "Message is not queued due to ERR_QUEUE_SIZE"),
    (
        "wait, no connection",
        lambda: make().publish("a").wait_for_publish(),
        RuntimeError,
        "Message publish failed: The client is not currently connected.",
    ),
    (
        "is_published, no connection",
        lambda: make().publish("a").is_published(),
        RuntimeError,
        "Message publish failed: The client is not currently connected.",
    ),
    ("info[2]", lambda: mqtt.MQTTMessageInfo(1)[2], IndexError, "index out of range"),
    ("subscribe('')", lambda: make().subscribe(""), ValueError, "Invalid topic."),
    ("subscribe('') v5", lambda: v5().subscribe(""), ValueError, FILTER),
    ("subscribe(None)", lambda: make().subscribe(None), ValueError, "No topic specified, or incorrect topic type."),
    ("subscribe([])", lambda: make().subscribe([]), ValueError, "Empty topic list"),
    ("subscribe('a', 3)", lambda: make().subscribe("a", 3), ValueError, "Invalid QoS level."),
    ("subscribe(b'a')", lambda: make().subscribe(b"a"), AttributeError, "'bytes' object has no attribute 'encode'"),
    ("subscribe('a+b')", lambda: make().subscribe("a+b"), ValueError, FILTER),
    ("subscribe('a/#/b')", lambda: make().subscribe("a/#/b"), ValueError, FILTER),
    ("subscribe('a#')", lambda: make().subscribe("a#"), ValueError, FILTER),
    ("subscribe(5)", lambda: make().subscribe(5), ValueError, "No topic specified, or incorrect topic type."),
    ("subscribe(('a',))", lambda: make().subscribe(("a",)), ValueError, "not enough values to unpack (expected 2, got 1)"),
    ("subscribe(['a'])", lambda: make().subscribe(["a"]), ValueError, "not enough values to unpack (expected 2, got 1)"),
    ("subscribe([('a', 3)])", lambda: make().subscribe([("a", 3)]), ValueError, "Invalid QoS level."),
    ("subscribe([('', 0)])", lambda: make().subscribe([("", 0)]), ValueError, "Invalid topic."),
    ("subscribe([('', 0)]) v5", lambda: v5().subscribe([("", 0)]), ValueError, FILTER),
    (
        "subscribe([('a', options)])",
        lambda: make().subscribe([("a", mqtt.SubscribeOptions())]),
        ValueError,
        "Invalid QoS level.",
    ),
    ("subscribe(('a', 1)) v5", lambda: v5().subscribe(("a", 1)), ValueError, OPTIONS),
    (
        "subscribe('a', 1, options) v5",
        lambda: v5().subscribe("a", 1, options=mqtt.SubscribeOptions()),
        ValueError,
        "Subscribe options and qos parameters cannot be combined.",
    ),
    ("subscribe('a', options=5) v5", lambda: v5().subscribe("a", options=5), ValueError, OPTIONS),
    ("unsubscribe('')", lambda: make().unsubscribe(""), ValueError, "Invalid topic."),
    ("unsubscribe(None)", lambda: make().unsubscribe(None), ValueError, "Invalid topic."),
    ("unsubscribe([''])", lambda: make().unsubscribe([""]), ValueError, "Invalid topic."),
    ("unsubscribe(5)", lambda: make().unsubscribe(5), ValueError, "No topic specified, or incorrect topic type."),
    ("unsubscribe(b'a')", lambda: make().unsubscribe(b"a"), AttributeError, "'bytes' object has no attribute 'encode'"),
    ("will_set('')", lambda: make().will_set(""), ValueError, "Invalid topic."),
    ("will_set(None)", lambda: make().will_set(None), ValueError, "Invalid topic."),
    ("will_set(qos=3)", lambda: make().will_set("a", qos=3), ValueError, "Invalid QoS level."),
    ("will_set([])", lambda: make().will_set("a", []), TypeError, PAYLOAD),
    (
        "will_set(properties=5)",
        lambda: make().will_set("a", properties=5),
        ValueError,
        "The properties argument must be an instance of the Properties class.",
    ),
    ("username_pw_set(b'u')", lambda: make().username_pw_set(b"u"), AttributeError, "'bytes' object has no attribute 'encode'"),
    ("max_inflight_messages_set(-1)", lambda: make().max_inflight_messages_set(-1), ValueError, "Invalid inflight."),
    ("max_queued_messages_set(-1)", lambda: make().max_queued_messages_set(-1), ValueError, "Invalid queue size."),
    ("max_queued_messages_set('x')", lambda: make().max_queued_messages_set("x"), TypeError, "queue_size should be an int"),
    (
        "message_callback_add(None, None)",
        lambda: make().message_callback_add(None, None),
        ValueError,
        "sub and callback must both be defined.",
    ),
    ("message_callback_remove(None)", lambda: make().message_callback_remove(None), ValueError, "sub must defined."),
    (
        "ws_set_options(headers=5)",
        lambda: make().ws_set_options(headers=5),
        ValueError,
        "'headers' option to ws_set_options has to be either a dictionary or callable",
    ),
    ("tls_set(missing)", lambda: make().tls_set("/nowhere/ca.crt"), FileNotFoundError, "No such file or directory"),
    (
        "tls_insecure_set()",
        lambda: make().tls_insecure_set(True),
        ValueError,
        "Must configure SSL context before using tls_insecure_set.",
    ),
    ("proxy_set()", lambda: make().proxy_set(), ValueError, "proxy_type and/or proxy_addr are invalid."),
    (
        "proxy_set(bad type)",
        lambda: make().proxy_set(proxy_type="x", proxy_addr="y"),
        ValueError,
        "proxy_type and/or proxy_addr are invalid.",
    ),
    ("hash(message)", lambda: hash(mqtt.MQTTMessage()), TypeError, "unhashable type: "),
    ("message.foo", lambda: message(foo=1), AttributeError, "object has no attribute 'foo'"),
    ("message.topic = str", lambda: message(topic="a").topic, AttributeError, "'str' object has no attribute 'decode'"),
    ("pickle", lambda: pickle.dumps(make()), TypeError, "cannot pickle"),
    ("host = ''", lambda: tell(make(), "host", ""), ValueError, "Invalid host."),
    ("port = 0", lambda: tell(make(), "port", 0), ValueError, "Invalid port number."),
    ("keepalive = -1", lambda: tell(make(), "keepalive", -1), ValueError, "Keepalive must be >=0."),
    ("connect_timeout = 0", lambda: tell(make(), "connect_timeout", 0), ValueError, "timeout must be a positive number"),
    ("max_inflight_messages = -1", lambda: tell(make(), "max_inflight_messages", -1), ValueError, "Invalid inflight."),
    ("max_queued_messages = -1", lambda: tell(make(), "max_queued_messages", -1), ValueError, "Invalid queue size."),
    ("protocol = 5", lambda: tell(make(), "protocol", 5), AttributeError, ""),
    ("callback_api_version = 1", lambda: tell(make(), "callback_api_version", 1), AttributeError, ""),
]


@pytest.mark.parametrize("ask, kind, text", [row[1:] for row in ERRORS], ids=[row[0] for row in ERRORS])
def test_errors(ask: Callable[[], Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as caught:
        ask()
    assert type(caught.value) is kind
    assert text in str(caught.value)


def test_version_1_is_told_to_be_old_where_it_is_asked_for() -> None:
    with pytest.warns(DeprecationWarning, match="Callback API version 1 is deprecated") as told:
        mqtt.Client(mqtt.CallbackAPIVersion.VERSION1)
    assert told[0].filename == __file__


def test_tls_is_configured_once() -> None:
    client = make()
    client.tls_set()
    assert client._ssl_context is not None
    assert client._ssl_context.protocol == ssl.PROTOCOL_TLS_CLIENT
    assert client._ssl_context.check_hostname
    with pytest.raises(ValueError, match=r"SSL/TLS has already been configured\."):
        client.tls_set()
    client.tls_insecure_set(True)
    assert not client._ssl_context.check_hostname


def test_tls_without_proof_of_the_server() -> None:
    client = make()
    client.tls_set(cert_reqs=ssl.CERT_NONE)
    assert client._ssl_context is not None
    assert (client._ssl_context.verify_mode, client._ssl_context.check_hostname) == (ssl.CERT_NONE, False)


def test_the_will_is_kept_as_bytes_and_taken_back() -> None:
    client = make()
    client.will_set("tä", 5.5, 1, True)
    assert (client.will_topic, client.will_payload) == ("tä", b"5.5")
    client.will_clear()
    assert (client.will_topic, client.will_payload) == ("", b"")


def test_reinitialise_forgets_options_but_not_the_version_of_callbacks() -> None:
    client = v5(client_id="x", transport="websockets", userdata=3, manual_ack=True)
    client.on_message = lambda *_: None
    client.tls_set()
    client.suppress_exceptions = True
    client.max_inflight_messages_set(3)
    client.message_callback_add("a", lambda *_: None)
    info = client.publish("a", qos=1)
    client.foo = 3
    client.reinitialise("y", True, 7)
    assert (client._client_id, client.protocol, client.transport, client.user_data_get()) == (b"y", 4, "tcp", 7)
    assert client.on_message is None
    assert client._ssl_context is None
    assert not client._filtered
    assert (client.suppress_exceptions, client.max_inflight_messages, client._manual_ack) == (False, 20, False)
    assert client.callback_api_version is V2
    assert client.foo == 3
    assert len(client._out_messages) == 0
    with pytest.raises(RuntimeError):
        info.wait_for_publish(1)


def test_the_module_has_what_programs_import_from_it() -> None:
    names = (
        "CallbackAPIVersion ConnackCode ConnectFlags DisconnectFlags LogLevel MQTTErrorCode MQTTMatcher MQTTMessage "
        "MQTTMessageInfo MQTTProtocolVersion MQTT_BRIDGE MQTT_CLEAN_START_FIRST_ONLY MQTT_CLIENT MalformedPacket MessageState "
        "MessageType PacketTypes PahoClientMode PayloadType Properties ReasonCode ReasonCodes SubscribeOptions "
        "WebsocketConnectionError _WebsocketWrapper _ConnectionState base64 collections connack_string "
        "convert_connack_rc_to_reason_code convert_disconnect_error_code_to_reason_code errno error_string hashlib logging os "
        "platform select socket socks sockpair_data ssl string struct threading time time_func topic_matches_sub urllib uuid "
        "warnings LOGGING_LEVEL EAGAIN HAVE_DNS HTTPHeader CleanStartOption WebSocketHeaders CallbackOnConnect CallbackOnMessage "
        "CallbackOnPublish_v2 CallbackOnUnsubscribe_v1_mqtt5 _packet _base62 _encode_payload _force_bytes"
    ).split()
    assert [name for name in names if not hasattr(mqtt, name)] == []
    for name in mqtt.MQTTErrorCode.__members__.keys() | mqtt.ConnackCode.__members__.keys():
        assert getattr(mqtt, name) is {**mqtt.MQTTErrorCode.__members__, **mqtt.ConnackCode.__members__}[name]
    assert (mqtt.MQTTv31, mqtt.MQTTv311, mqtt.MQTTv5) == (3, 4, 5)
    assert mqtt.urllib.parse.quote("/") == "/"

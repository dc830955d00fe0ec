"""The client: `Client`, and what programs import beside it.

    import karere.paho.client as mqtt

    def on_connect(client, userdata, flags, reason_code, properties):
        client.subscribe("sensors/#")

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.on_connect = on_connect
    client.on_message = lambda client, userdata, message: print(message.topic, message.payload)
    client.connect("localhost")
    client.loop_forever()
"""

from __future__ import annotations

# paho-mqtt's module has no __all__, and programs take (and replace) the standard library's modules from it as well.
import base64 as base64
import collections as collections
import errno as errno
import hashlib as hashlib
import logging as logging
import os as os
import platform as platform
import select as select
import socket as socket
import ssl as ssl
import string as string
import struct as struct
import threading as threading
import time as time
import urllib.parse
import urllib.request
import uuid as uuid
import warnings as warnings
import weakref
from collections import deque
from collections.abc import Iterator as Iterator
from collections.abc import Sequence as Sequence
from errno import EAGAIN as EAGAIN
from time import monotonic as time_func
from typing import TYPE_CHECKING as TYPE_CHECKING
from typing import Any, Literal, Optional, Union

from .. import _core
from .._core import MQTTMessage as MQTTMessage
from .._core import MQTTMessageInfo as MQTTMessageInfo
from . import _packet as _packet
from . import enums as _enums
from ._base import SUCCESS as _SUCCESS
from ._connection import HAVE_DNS as HAVE_DNS
from ._connection import MQTT_CLEAN_START_FIRST_ONLY as MQTT_CLEAN_START_FIRST_ONLY
from ._connection import _packed, _random_id
from ._loop import _Loop
from ._options import socks as socks
from ._types import *  # noqa: F403
from ._types import ConnectFlags as ConnectFlags
from ._types import DisconnectFlags as DisconnectFlags
from ._types import WebsocketConnectionError as WebsocketConnectionError
from ._websocket import _WebsocketWrapper as _WebsocketWrapper
from ._words import LOGGING_LEVEL as LOGGING_LEVEL
from ._words import _base62 as _base62
from ._words import _encode_payload as _encode_payload
from ._words import _force_bytes as _force_bytes
from ._words import connack_string as connack_string
from ._words import convert_connack_rc_to_reason_code as convert_connack_rc_to_reason_code
from ._words import convert_disconnect_error_code_to_reason_code as convert_disconnect_error_code_to_reason_code
from ._words import error_string as error_string
from ._words import topic_matches_sub as topic_matches_sub
from .enums import CallbackAPIVersion as CallbackAPIVersion
from .enums import ConnackCode as ConnackCode
from .enums import LogLevel as LogLevel
from .enums import MessageState as MessageState
from .enums import MessageType as MessageType
from .enums import MQTTErrorCode as MQTTErrorCode
from .enums import MQTTProtocolVersion as MQTTProtocolVersion
from .enums import PahoClientMode as PahoClientMode
from .enums import _ConnectionState as _ConnectionState
from .exception import MalformedPacket as MalformedPacket
from .matcher import MQTTMatcher as MQTTMatcher
from .packettypes import PacketTypes as PacketTypes
from .properties import Properties as Properties
from .reasoncodes import ReasonCode as ReasonCode
from .reasoncodes import ReasonCodes as ReasonCodes
from .subscribeoptions import SubscribeOptions as SubscribeOptions

try:
    import dns as dns
except ImportError:
    pass

sockpair_data = b"0"

(MQTTv31, MQTTv311, MQTTv5) = MQTTProtocolVersion
(MQTT_CLIENT, MQTT_BRIDGE) = PahoClientMode

CONNECT = MessageType.CONNECT
CONNACK = MessageType.CONNACK
PUBLISH = MessageType.PUBLISH
PUBACK = MessageType.PUBACK
PUBREC = MessageType.PUBREC
PUBREL = MessageType.PUBREL
PUBCOMP = MessageType.PUBCOMP
SUBSCRIBE = MessageType.SUBSCRIBE
SUBACK = MessageType.SUBACK
UNSUBSCRIBE = MessageType.UNSUBSCRIBE
UNSUBACK = MessageType.UNSUBACK
PINGREQ = MessageType.PINGREQ
PINGRESP = MessageType.PINGRESP
DISCONNECT = MessageType.DISCONNECT
AUTH = MessageType.AUTH

MQTT_LOG_INFO = LogLevel.MQTT_LOG_INFO
MQTT_LOG_NOTICE = LogLevel.MQTT_LOG_NOTICE
MQTT_LOG_WARNING = LogLevel.MQTT_LOG_WARNING
MQTT_LOG_ERR = LogLevel.MQTT_LOG_ERR
MQTT_LOG_DEBUG = LogLevel.MQTT_LOG_DEBUG

CONNACK_ACCEPTED = ConnackCode.CONNACK_ACCEPTED
CONNACK_REFUSED_PROTOCOL_VERSION = ConnackCode.CONNACK_REFUSED_PROTOCOL_VERSION
CONNACK_REFUSED_IDENTIFIER_REJECTED = ConnackCode.CONNACK_REFUSED_IDENTIFIER_REJECTED
CONNACK_REFUSED_SERVER_UNAVAILABLE = ConnackCode.CONNACK_REFUSED_SERVER_UNAVAILABLE
CONNACK_REFUSED_BAD_USERNAME_PASSWORD = ConnackCode.CONNACK_REFUSED_BAD_USERNAME_PASSWORD
CONNACK_REFUSED_NOT_AUTHORIZED = ConnackCode.CONNACK_REFUSED_NOT_AUTHORIZED

mqtt_ms_invalid = MessageState.MQTT_MS_INVALID
mqtt_ms_publish = MessageState.MQTT_MS_PUBLISH
mqtt_ms_wait_for_puback = MessageState.MQTT_MS_WAIT_FOR_PUBACK
mqtt_ms_wait_for_pubrec = MessageState.MQTT_MS_WAIT_FOR_PUBREC
mqtt_ms_resend_pubrel = MessageState.MQTT_MS_RESEND_PUBREL
mqtt_ms_wait_for_pubrel = MessageState.MQTT_MS_WAIT_FOR_PUBREL
mqtt_ms_resend_pubcomp = MessageState.MQTT_MS_RESEND_PUBCOMP
mqtt_ms_wait_for_pubcomp = MessageState.MQTT_MS_WAIT_FOR_PUBCOMP
mqtt_ms_send_pubrec = MessageState.MQTT_MS_SEND_PUBREC
mqtt_ms_queued = MessageState.MQTT_MS_QUEUED

MQTT_ERR_AGAIN = MQTTErrorCode.MQTT_ERR_AGAIN
MQTT_ERR_SUCCESS = MQTTErrorCode.MQTT_ERR_SUCCESS
MQTT_ERR_NOMEM = MQTTErrorCode.MQTT_ERR_NOMEM
MQTT_ERR_PROTOCOL = MQTTErrorCode.MQTT_ERR_PROTOCOL
MQTT_ERR_INVAL = MQTTErrorCode.MQTT_ERR_INVAL
MQTT_ERR_NO_CONN = MQTTErrorCode.MQTT_ERR_NO_CONN
MQTT_ERR_CONN_REFUSED = MQTTErrorCode.MQTT_ERR_CONN_REFUSED
MQTT_ERR_NOT_FOUND = MQTTErrorCode.MQTT_ERR_NOT_FOUND
MQTT_ERR_CONN_LOST = MQTTErrorCode.MQTT_ERR_CONN_LOST
MQTT_ERR_TLS = MQTTErrorCode.MQTT_ERR_TLS
MQTT_ERR_PAYLOAD_SIZE = MQTTErrorCode.MQTT_ERR_PAYLOAD_SIZE
MQTT_ERR_NOT_SUPPORTED = MQTTErrorCode.MQTT_ERR_NOT_SUPPORTED
MQTT_ERR_AUTH = MQTTErrorCode.MQTT_ERR_AUTH
MQTT_ERR_ACL_DENIED = MQTTErrorCode.MQTT_ERR_ACL_DENIED
MQTT_ERR_UNKNOWN = MQTTErrorCode.MQTT_ERR_UNKNOWN
MQTT_ERR_ERRNO = MQTTErrorCode.MQTT_ERR_ERRNO
MQTT_ERR_QUEUE_SIZE = MQTTErrorCode.MQTT_ERR_QUEUE_SIZE
MQTT_ERR_KEEPALIVE = MQTTErrorCode.MQTT_ERR_KEEPALIVE

_LONGEST_STRING = 65535


class Client(_Loop):
    """An MQTT client.

    Nothing happens by itself: run a loop with `loop_forever()`, `loop_start()`, or `loop()` again and again, or call
    `loop_read()`, `loop_write()` and `loop_misc()` from a loop of your own. Every method may be called from every thread, and
    from inside of callbacks.
    """

    def __init__(
        self,
        callback_api_version: CallbackAPIVersion = CallbackAPIVersion.VERSION1,
        client_id: Optional[str] = "",
        clean_session: Optional[bool] = None,
        userdata: Any = None,
        protocol: MQTTProtocolVersion = MQTTv311,
        transport: Literal["tcp", "websockets", "unix"] = "tcp",
        reconnect_on_failure: bool = True,
        manual_ack: bool = False,
    ) -> None:
        """`client_id` may be empty: the server makes one, or this client does for MQTT 3.1. `clean_session=False` (not in 5.0)
        has the server keep the session while the client is away, and needs an id.
        """
        self._sock = None
        version = _api_version(callback_api_version)
        if version is CallbackAPIVersion.VERSION1:
            warnings.warn(
                "Callback API version 1 is deprecated, update to latest version", category=DeprecationWarning, stacklevel=2
            )
        # What a loop may be in the middle of: reinitialise() leaves it.
        self._core = _core.Core()
        self._thread = None
        self._thread_terminate = False
        self._pending = deque()
        self._telling = threading.Lock()
        self._teller = 0
        self._transport_lock = threading.Lock()
        self._changed = threading.Condition()
        self._native = True
        self._sleeping = False
        self._reconnecting = False
        self._registered_write = False
        self._abandoned = False
        self._tells_packets = False
        self._begin(version, client_id, clean_session, userdata, protocol, transport, reconnect_on_failure, manual_ack)

    def _begin(
        self,
        version: CallbackAPIVersion,
        client_id: Any,
        clean_session: Optional[bool],
        userdata: Any,
        protocol: MQTTProtocolVersion,
        transport: str,
        reconnect_on_failure: bool,
        manual_ack: bool,
    ) -> None:
        transport = transport.lower()
        if transport == "unix" and not hasattr(socket, "AF_UNIX"):
            raise ValueError('"unix" transport not supported')
        if transport not in ("websockets", "tcp", "unix"):
            raise ValueError(f'transport must be "websockets", "tcp" or "unix", not {transport}')
        self._callback_api_version = version
        self._manual_ack = manual_ack
        self._transport = transport
        self._protocol = protocol
        self._userdata = userdata
        self._reconnect_on_failure = reconnect_on_failure
        if protocol == MQTTv5:
            if clean_session is not None:
                raise ValueError("Clean session is not used for MQTT 5.0")
            self._clean_session = True
        else:
            if clean_session is None:
                clean_session = True
            if not clean_session and (client_id == "" or client_id is None):
                raise ValueError("A client id must be provided if clean session is False.")
            self._clean_session = clean_session
        if client_id == "" or client_id is None:
            self._client_id = _random_id() if protocol == MQTTv31 else b""
        else:
            self._client_id = _force_bytes(client_id)  # type: ignore[assignment]

        self._core.limit(inflight=20, queued=0)
        self._limits = (20, 0)
        self._filtered = False
        self._hooked = False

        self._state = _ConnectionState.MQTT_CS_NEW
        self._host = ""
        self._port = 1883
        self._bind_address = ""
        self._bind_port = 0
        self._proxy = {}
        self._keepalive = 60
        self._connect_timeout = 5.0
        self._client_mode = MQTT_CLIENT
        self._clean_start = MQTT_CLEAN_START_FIRST_ONLY
        self._mqttv5_first_connect = True
        self._connect_properties = None
        self._username = None
        self._password = None
        self.will_clear()
        self._reconnect_min_delay = 1
        self._reconnect_max_delay = 120
        self._reconnect_delay = None
        self._ssl = False
        self._ssl_context = None
        self._tls_insecure = False
        self._websocket_path = "/mqtt"
        self._websocket_extra_headers = None
        self._logger = None
        self.suppress_exceptions = False

        # Programs put locks of their own, or none, in their place. Those that the client takes it never holds in callbacks.
        self._in_callback_mutex = threading.Lock()
        self._callback_mutex = threading.RLock()
        self._msgtime_mutex = threading.Lock()
        self._out_message_mutex = threading.RLock()
        self._in_message_mutex = threading.Lock()
        self._reconnect_delay_mutex = threading.Lock()
        self._mid_generate_mutex = threading.Lock()

        self._on_message_filtered = MQTTMatcher()
        for name in _CALLBACKS:
            setattr(self, name, None)
        self._retell()
        try:
            self._configure()  # so that the core checks what is published before there is a connection by the right version
        except (TypeError, ValueError):
            pass  # connecting says what is wrong

    def __del__(self) -> None:
        # What fails here has nobody to be told to: __init__ may not have come far, or this is a child after a fork.
        try:
            self._reset_sockets()
        except Exception:  # noqa: BLE001, S110
            pass

    def reinitialise(self, client_id: str = "", clean_session: bool = True, userdata: Any = None) -> None:
        """Makes this as a new client is: all options and callbacks are gone, and messages that wait are lost."""
        self._reset_sockets()
        # Those who wait for a message are told that it is lost.
        self._core.reset()
        self._pending.clear()
        self._begin(self._callback_api_version, client_id, clean_session, userdata, MQTTv311, "tcp", True, False)

    def publish(
        self,
        topic: str,
        payload: PayloadType = None,
        qos: int = 0,
        retain: bool = False,
        properties: Optional[Properties] = None,
    ) -> MQTTMessageInfo:
        """Sends a message. What is returned tells its mid, and waits until it has been written (QoS 0) or acknowledged.

        ValueError for a topic or a QoS that cannot be; TypeError for a payload that is no string, bytes, number or None.
        """
        core = self._core
        packed = None if properties is None or self._protocol != MQTTv5 else bytes(properties.pack())
        if self._thread is not None and self._native and not self._hooked:
            return core.publish(topic, payload, qos, retain, packed, False)
        if self._native and self._writes_at_once():
            info = core.publish(topic, payload, qos, retain, packed, True)
            if core.has_events() or self._pending or self._hooked:
                self._dispatch(core.events())
                self._settle()
            return info
        info = core.publish(topic, payload, qos, retain, packed, False)
        self._queued()
        return info

    def subscribe(
        self,
        topic: Union[
            str,
            tuple[str, int],
            tuple[str, SubscribeOptions],
            list[tuple[str, int]],
            list[tuple[str, SubscribeOptions]],
        ],
        qos: int = 0,
        options: Optional[SubscribeOptions] = None,
        properties: Optional[Properties] = None,
    ) -> tuple[MQTTErrorCode, Optional[int]]:
        """Subscribes to topic filters; `on_subscribe` tells what the server says to it.

        `topic` is a filter, a pair of filter and QoS (SubscribeOptions in MQTT 5.0), or a list of such pairs. Returns the
        result and the mid: MQTT_ERR_NO_CONN and None without a connection.
        """
        if self._protocol == MQTTv5:
            filters = _filters_with_options(topic, qos, options)
        else:
            filters = _filters_with_qos(topic, qos)
        if not all(_is_filter(name) for name, _ in filters):
            raise ValueError("Invalid subscription filter.")
        if self._sock is None:
            return MQTT_ERR_NO_CONN, None
        mid = self._core.subscribe(filters, _packed(properties) if self._protocol == MQTTv5 else None)
        self._queued()
        return _SUCCESS, mid

    def unsubscribe(
        self, topic: Union[str, list[str]], properties: Optional[Properties] = None
    ) -> tuple[MQTTErrorCode, Optional[int]]:
        """Gives subscriptions up: those to one filter, or to a list of them. Returns what `subscribe` does."""
        if topic is None or (isinstance(topic, (str, bytes)) and not topic):
            raise ValueError("Invalid topic.")
        if isinstance(topic, (str, bytes)):
            topics: list[Any] = [topic]
        elif isinstance(topic, list):
            topics = topic
        else:
            raise ValueError("No topic specified, or incorrect topic type.")
        for name in topics:
            if len(name) == 0:
                raise ValueError("Invalid topic.")
            name.encode("utf-8")  # AttributeError for bytes, as from `publish`
        if self._sock is None:
            return MQTT_ERR_NO_CONN, None
        mid = self._core.unsubscribe(topics, _packed(properties) if self._protocol == MQTTv5 else None)
        self._queued()
        return _SUCCESS, mid

    def ack(self, mid: int, qos: int) -> MQTTErrorCode:
        """Acknowledges a received message, when `manual_ack` is set. Nothing otherwise, or when no such message waits."""
        if self._manual_ack and qos > 0:
            if self._sock is None:
                return MQTT_ERR_NO_CONN
            self._core.ack(mid, qos)
            self._queued()
        return _SUCCESS


_CALLBACKS = tuple(
    f"_{name}" for base in Client.__mro__ for name, value in vars(base).items()
    if name.startswith("on_") and isinstance(value, property)
)


def _api_version(version: Any) -> CallbackAPIVersion:
    if isinstance(version, str):
        # A program for 1.x, which gives its client id here.
        raise TypeError(
            "Unsupported callback API version: version 2.0 added a callback_api_version, see docs/migrations.rst for details"
        )
    try:
        return CallbackAPIVersion(version)
    except ValueError:
        raise ValueError("Unsupported callback API version") from None


def _filters_with_options(topic: Any, qos: int, options: Any) -> list[tuple[str, int]]:
    """Filters and options bytes, for MQTT 5.0."""
    if isinstance(topic, tuple):
        topic, options = topic
        if not isinstance(options, SubscribeOptions):
            raise ValueError("Subscribe options must be instance of SubscribeOptions class.")
    if isinstance(topic, (str, bytes)):
        _check_qos(qos)
        if options is None:
            options = SubscribeOptions(qos=qos)
        elif qos != 0:
            raise ValueError("Subscribe options and qos parameters cannot be combined.")
        if not isinstance(options, SubscribeOptions):
            raise ValueError("Subscribe options must be instance of SubscribeOptions class.")
        return [(_text(topic), options.pack()[0])]
    return [
        (_text(name), (each if isinstance(each, SubscribeOptions) else SubscribeOptions(qos=each)).pack()[0])
        for name, each in _pairs(topic)
    ]


def _filters_with_qos(topic: Any, qos: int) -> list[tuple[str, int]]:
    """Filters and QoS, before MQTT 5.0."""
    if isinstance(topic, tuple):
        topic, qos = topic
    if isinstance(topic, (str, bytes)):
        _check_qos(qos)
        pairs = [(topic, qos)]
    else:
        pairs = _pairs(topic)
    for name, each in pairs:
        if isinstance(each, SubscribeOptions):
            raise ValueError("Invalid QoS level.")
        _check_qos(each)
        if not name or not isinstance(name, (str, bytes)):
            raise ValueError("Invalid topic.")
    return [(_text(name), each) for name, each in pairs]


def _pairs(topic: Any) -> list[Any]:
    if not isinstance(topic, list):
        raise ValueError("No topic specified, or incorrect topic type.")
    if not topic:
        raise ValueError("Empty topic list")
    pairs = []
    for name, each in topic:
        pairs.append((name, each))
    return pairs


def _text(name: Any) -> str:
    name.encode("utf-8")  # AttributeError for bytes, as from `publish`
    return name  # type: ignore[no-any-return]


def _check_qos(qos: Any) -> None:
    if qos < 0 or qos > 2:
        raise ValueError("Invalid QoS level.")


def _is_filter(name: str) -> bool:
    """§4.7.1: `+` is a whole level, `#` a whole one and the last."""
    if not name or len(name.encode("utf-8")) > _LONGEST_STRING:
        return False
    if "+" not in name and "#" not in name:
        return True
    levels = name.split("/")
    wild = [level for level in levels if "+" in level or "#" in level]
    return all(level in ("+", "#") for level in wild) and "#" not in levels[:-1]

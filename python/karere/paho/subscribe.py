"""Subscribes and waits for messages: a client for as long as that takes.

`simple` returns a number of messages, `callback` calls a function with each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from . import client as mqtt
from .enums import CallbackAPIVersion, MQTTProtocolVersion
from .exception import MQTTException
from .properties import Properties
from .publish import _set_options
from .reasoncodes import ReasonCode

if TYPE_CHECKING:
    import ssl
    from typing import Literal

    from .publish import AuthParameter, MessageDict, TLSParameter

    Topics = Union[str, list[str], list[tuple[str, int]]]


def callback(
    callback: Callable[[mqtt.Client, Any, mqtt.MQTTMessage], object],
    topics: Topics,
    qos: int = 0,
    userdata: Any = None,
    hostname: str = "localhost",
    port: int = 1883,
    client_id: str = "",
    keepalive: int = 60,
    will: Optional[MessageDict] = None,
    auth: Optional[AuthParameter] = None,
    tls: Union[TLSParameter, ssl.SSLContext, None] = None,
    protocol: MQTTProtocolVersion = mqtt.MQTTv311,
    transport: Literal["tcp", "websockets", "unix"] = "tcp",
    clean_session: Optional[bool] = True,
    proxy_args: Any = None,
) -> None:
    """Calls `callback(client, userdata, message)` with every message to `topics`, until it calls `client.disconnect()`.

    `topics` is a filter or a list of filters, all with `qos`. `clean_session` must be None for MQTT 5.0. The other arguments
    are those of `publish.multiple`. MQTTException when the server refuses the connection, or every one of the subscriptions.
    """
    if qos < 0 or qos > 2:
        raise ValueError("qos must be in the range 0-2")
    if isinstance(topics, list) and not topics:
        raise ValueError("topics is empty")

    client = mqtt.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        clean_session=clean_session,
        userdata=_Work(callback, topics, qos, userdata),
        protocol=protocol,
        transport=transport,
    )
    client.enable_logger()
    client.on_connect = _on_connect
    client.on_subscribe = _on_subscribe
    client.on_message = _on_message_callback
    _set_options(client, will, auth, tls, proxy_args)
    client.connect(hostname, port, keepalive)
    client.loop_forever()


def simple(
    topics: Topics,
    qos: int = 0,
    msg_count: int = 1,
    retained: bool = True,
    hostname: str = "localhost",
    port: int = 1883,
    client_id: str = "",
    keepalive: int = 60,
    will: Optional[MessageDict] = None,
    auth: Optional[AuthParameter] = None,
    tls: Union[TLSParameter, ssl.SSLContext, None] = None,
    protocol: MQTTProtocolVersion = mqtt.MQTTv311,
    transport: Literal["tcp", "websockets", "unix"] = "tcp",
    clean_session: Optional[bool] = True,
    proxy_args: Any = None,
) -> Union[mqtt.MQTTMessage, list[mqtt.MQTTMessage]]:
    """Waits for `msg_count` messages to `topics`, and returns the message if that is 1, else a list.

    `retained=False` passes over retained messages. The other arguments are those of `callback`; `clean_session` counts for
    nothing in MQTT 5.0.
    """
    if msg_count < 1:
        raise ValueError("msg_count must be > 0")
    messages: list[mqtt.MQTTMessage] = []

    def collect(client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        if len(messages) == msg_count or (message.retain and not retained):
            return
        messages.append(message)
        if len(messages) == msg_count:
            client.disconnect()

    callback(
        collect,
        topics,
        qos,
        None,
        hostname,
        port,
        client_id,
        keepalive,
        will,
        auth,
        tls,
        protocol,
        transport,
        None if protocol == MQTTProtocolVersion.MQTTv5 else clean_session,
        proxy_args,
    )
    return messages[0] if msg_count == 1 else messages


class _Work:
    """What the callbacks need."""

    def __init__(
        self, callback: Callable[[mqtt.Client, Any, mqtt.MQTTMessage], object], topics: Topics, qos: int, userdata: Any
    ) -> None:
        self.callback = callback
        self.topics = topics
        self.qos = qos
        self.userdata = userdata
        self.unanswered = 0
        self.hope = False
        """Whether there is a subscription, from now or from the session before."""


def _on_connect(
    client: mqtt.Client, work: _Work, flags: mqtt.ConnectFlags, reason: ReasonCode, properties: Optional[Properties]
) -> None:
    if reason != 0:
        raise MQTTException(str(reason))
    work.hope = bool(flags.session_present)
    topics = work.topics if isinstance(work.topics, list) else [work.topics]
    work.unanswered = len(topics)
    for topic in topics:
        client.subscribe(topic, work.qos)


def _on_subscribe(
    client: mqtt.Client, work: _Work, mid: int, reasons: list[ReasonCode], properties: Optional[Properties]
) -> None:
    work.unanswered -= 1
    work.hope = work.hope or any(not reason.is_failure for reason in reasons)
    if not work.hope and work.unanswered <= 0:
        # No message can come: whoever waits would wait for ever.
        raise MQTTException(f"Subscription refused: {reasons[0]}" if reasons else "Subscription refused")


def _on_message_callback(client: mqtt.Client, work: _Work, message: mqtt.MQTTMessage) -> None:
    work.callback(client, work.userdata, message)

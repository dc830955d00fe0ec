"""Publishes messages and returns: a client for as long as that takes.

`single` publishes one message, `multiple` several in order. Both wait until the server has them, or, at QoS 0, until they are
written.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Optional, Union

from . import client as mqtt
from .enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from .exception import MQTTException
from .properties import Properties
from .reasoncodes import ReasonCode

if TYPE_CHECKING:
    import ssl
    from typing import Literal, TypedDict

    class AuthParameter(TypedDict, total=False):
        username: str
        password: str

    class TLSParameter(TypedDict, total=False):
        ca_certs: Optional[str]
        certfile: Optional[str]
        keyfile: Optional[str]
        cert_reqs: Any
        tls_version: Any
        ciphers: Optional[str]
        keyfile_password: Any
        alpn_protocols: Optional[list[str]]
        insecure: bool

    class MessageDict(TypedDict, total=False):
        topic: str
        payload: mqtt.PayloadType
        qos: int
        retain: bool
        properties: Optional[Properties]

    MessageTuple = Union[
        tuple[str],
        tuple[str, mqtt.PayloadType],
        tuple[str, mqtt.PayloadType, int],
        tuple[str, mqtt.PayloadType, int, bool],
    ]
    MessagesList = Iterable[Union[MessageDict, MessageTuple]]


def multiple(
    msgs: MessagesList,
    hostname: str = "localhost",
    port: int = 1883,
    client_id: str = "",
    keepalive: int = 60,
    will: Optional[MessageDict] = None,
    auth: Optional[AuthParameter] = None,
    tls: Union[TLSParameter, ssl.SSLContext, None] = None,
    protocol: MQTTProtocolVersion = mqtt.MQTTv311,
    transport: Literal["tcp", "websockets", "unix"] = "tcp",
    proxy_args: Any = None,
) -> None:
    """Publishes `msgs` in order: each a dictionary of `Client.publish`'s arguments, or a sequence of them.

    `auth` has `username` and perhaps `password`; `will` is a message; `tls` is an SSLContext, or the arguments of
    `Client.tls_set` and perhaps `insecure`; `proxy_args` those of `Client.proxy_set`. A connection that the server refuses
    raises MQTTException with its reason. What cannot be published raises what `Client.publish` does, after everything before
    it has been published.
    """
    if not isinstance(msgs, Iterable):
        raise TypeError("msgs must be an iterable")
    if len(msgs) == 0:  # type: ignore[arg-type]
        raise ValueError("msgs is empty")

    client = mqtt.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        userdata=_Work(msgs),
        protocol=protocol,
        transport=transport,
    )
    client.enable_logger()
    client.on_connect = _on_connect
    client.on_publish = _on_publish
    _set_options(client, will, auth, tls, proxy_args)
    client.connect(hostname, port, keepalive)
    client.loop_forever()


def single(
    topic: str,
    payload: mqtt.PayloadType = None,
    qos: int = 0,
    retain: bool = False,
    hostname: str = "localhost",
    port: int = 1883,
    client_id: str = "",
    keepalive: int = 60,
    will: Optional[MessageDict] = None,
    auth: Optional[AuthParameter] = None,
    tls: Union[TLSParameter, ssl.SSLContext, None] = None,
    protocol: MQTTProtocolVersion = mqtt.MQTTv311,
    transport: Literal["tcp", "websockets", "unix"] = "tcp",
    proxy_args: Any = None,
) -> None:
    """Publishes one message; the other arguments are those of `multiple`."""
    message: MessageDict = {"topic": topic, "payload": payload, "qos": qos, "retain": retain}
    multiple([message], hostname, port, client_id, keepalive, will, auth, tls, protocol, transport, proxy_args)


class _Work:
    """What is left to do."""

    def __init__(self, msgs: Iterable[Any]) -> None:
        self.waiting: dict[int, tuple[mqtt.MQTTMessageInfo, Any]] = {}
        """By mid: published, and not known to have arrived."""
        self.left: collections.deque[Any] = collections.deque(msgs)
        self.window = 1
        """How many may be in `waiting`: more than the server takes would wait in the client, and QoS 0 overtake them there."""
        self.error: Optional[Exception] = None
        """Why the message after those in `waiting` cannot be published."""


def _on_connect(
    client: mqtt.Client, work: _Work, flags: mqtt.ConnectFlags, reason: ReasonCode, properties: Optional[Properties]
) -> None:
    if reason != 0:
        raise MQTTException(str(reason))
    # After a reconnection. The client sends QoS 1 and 2 again itself; QoS 0 that was not written begins anew.
    lost = [mid for mid, (info, message) in work.waiting.items() if _qos(message) == 0 and info.rc in _NOT_WRITTEN]
    for mid in reversed(lost):
        work.left.appendleft(work.waiting.pop(mid)[1])
    work.window = min(client.max_inflight_messages, getattr(properties, "ReceiveMaximum", 65_535))
    _do_publish(client, work)


_NOT_WRITTEN = (MQTTErrorCode.MQTT_ERR_CONN_LOST, MQTTErrorCode.MQTT_ERR_NO_CONN)


def _qos(message: Any) -> Any:
    if isinstance(message, dict):
        return message.get("qos", 0)
    return message[2] if len(message) > 2 else 0


def _on_publish(client: mqtt.Client, work: _Work, mid: int, reason: ReasonCode, properties: Optional[Properties]) -> None:
    work.waiting.pop(mid, None)
    _do_publish(client, work)


def _do_publish(client: mqtt.Client, work: _Work) -> None:
    """Publishes what there is room for, or ends when all is done."""
    while work.left and work.error is None and len(work.waiting) < work.window:
        message = work.left.popleft()
        try:
            info = _publish(client, message)
        except Exception as error:
            work.error = error
        else:
            work.waiting[info.mid] = (info, message)
    if not work.waiting:
        if work.error is not None:
            raise work.error
        client.disconnect()


def _publish(client: mqtt.Client, message: Any) -> mqtt.MQTTMessageInfo:
    if isinstance(message, dict):
        return client.publish(**message)
    if isinstance(message, (tuple, list)):
        return client.publish(*message)
    raise TypeError("message must be a dict, tuple, or list")


def _set_options(
    client: mqtt.Client,
    will: Optional[MessageDict],
    auth: Optional[AuthParameter],
    tls: Union[TLSParameter, ssl.SSLContext, None],
    proxy_args: Any,
) -> None:
    """The options that `subscribe` has as well."""
    if proxy_args is not None:
        client.proxy_set(**proxy_args)
    if auth:
        username = auth.get("username")
        if not username:
            raise KeyError("The 'username' key was not found, this is required for auth")
        client.username_pw_set(username, auth.get("password"))
    if will is not None:
        client.will_set(**will)
    if tls is not None:
        if isinstance(tls, dict):
            options: dict[str, Any] = dict(tls)
            insecure = options.pop("insecure", False)
            client.tls_set(**options)
            if insecure:
                # Must come after `tls_set`, which makes the context that it changes.
                client.tls_insecure_set(insecure)
        else:
            client.tls_set_context(tls)

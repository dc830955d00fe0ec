"""The callbacks: attributes, and decorators that set them."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Optional, TypeVar

from ._base import _Base
from ._types import (
    CallbackOnConnect,
    CallbackOnConnectFail,
    CallbackOnDisconnect,
    CallbackOnLog,
    CallbackOnMessage,
    CallbackOnPreConnect,
    CallbackOnPublish,
    CallbackOnSocket,
    CallbackOnSubscribe,
    CallbackOnUnsubscribe,
)

_F = TypeVar("_F", bound=Callable[..., Any])


def _callback(name: str, doc: str, *, concerns_core: bool = False) -> Any:
    private = f"_{name}"

    def assign(self: _Callbacks, callback: Any) -> None:
        setattr(self, private, callback)
        if concerns_core:
            self._retell()

    # attrgetter, not a function: it is looked up for each message, and does not cost a Python call.
    return property(attrgetter(private), assign, doc=doc)


class _Callbacks(_Base):
    """Callbacks are looked up on the instance when there is something to tell, so a subclass can define them as methods."""

    on_connect: Optional[CallbackOnConnect] = _callback(
        "on_connect",
        """Called when the server has answered CONNECT, with whether it accepts.

        VERSION2: `(client, userdata, connect_flags, reason_code, properties)`. VERSION1: `(client, userdata, flags, rc)` before
        MQTT 5.0, where `flags` is a dict with "session present", and `(client, userdata, flags, reason_code, properties)` in it.
        """,
    )
    on_connect_fail: Optional[CallbackOnConnectFail] = _callback(
        "on_connect_fail", "Called when a loop could not connect: `(client, userdata)`. What it raises is logged only."
    )
    on_pre_connect: Optional[CallbackOnPreConnect] = _callback(
        "on_pre_connect", "Called before each attempt to connect: `(client, userdata)`."
    )
    on_disconnect: Optional[CallbackOnDisconnect] = _callback(
        "on_disconnect",
        """Called once for each connection that ends, for whatever reason.

        VERSION2: `(client, userdata, disconnect_flags, reason_code, properties)`. VERSION1: `(client, userdata, rc)` before
        MQTT 5.0, `(client, userdata, reason_code_or_rc, properties)` in it.
        """,
    )
    on_message: Optional[CallbackOnMessage] = _callback(
        "on_message",
        """Called for each message that no filter of `message_callback_add` matches: `(client, userdata, message)`.

        A message of QoS 1 or 2 is acknowledged when this returns, unless acknowledgement is manual.
        """,
    )
    on_publish: Optional[CallbackOnPublish] = _callback(
        "on_publish",
        """Called when a message has been written (QoS 0) or acknowledged (QoS 1 and 2).

        VERSION2: `(client, userdata, mid, reason_code, properties)`. VERSION1: `(client, userdata, mid)`. Without a thread that
        runs the loop it is called from `publish()` for QoS 0.
        """,
        concerns_core=True,
    )
    on_subscribe: Optional[CallbackOnSubscribe] = _callback(
        "on_subscribe",
        """Called with the server's answer to `subscribe()`.

        VERSION2: `(client, userdata, mid, reason_code_list, properties)`. VERSION1: `(client, userdata, mid, granted_qos)` before
        MQTT 5.0, as VERSION2 in it.
        """,
    )
    on_unsubscribe: Optional[CallbackOnUnsubscribe] = _callback(
        "on_unsubscribe",
        """Called with the server's answer to `unsubscribe()`.

        VERSION2: `(client, userdata, mid, reason_code_list, properties)`. VERSION1: `(client, userdata, mid)` before MQTT 5.0,
        `(client, userdata, mid, properties, reason_codes)` in it: a ReasonCode if there is one, a list if there are more.
        """,
    )
    on_log: Optional[CallbackOnLog] = _callback(
        "on_log",
        "Called with each line of the log: `(client, userdata, level, buf)`. What it raises is lost.",
        concerns_core=True,
    )
    on_socket_open: Optional[CallbackOnSocket] = _callback(
        "on_socket_open", "Called when a socket has been connected: `(client, userdata, sock)`."
    )
    on_socket_close: Optional[CallbackOnSocket] = _callback(
        "on_socket_close", "Called before a socket is closed: `(client, userdata, sock)`."
    )
    on_socket_register_write: Optional[CallbackOnSocket] = _callback(
        "on_socket_register_write",
        """Called when there is something to write: `(client, userdata, sock)`. Call `loop_write` when the socket takes it.

        While this is set nothing is written but in `loop_write` and the other loop functions.
        """,
        concerns_core=True,
    )
    on_socket_unregister_write: Optional[CallbackOnSocket] = _callback(
        "on_socket_unregister_write",
        "Called when there is nothing to write any more: `(client, userdata, sock)`.",
        concerns_core=True,
    )

    def connect_callback(self) -> Callable[[CallbackOnConnect], CallbackOnConnect]:
        """Decorates the function that becomes `on_connect`."""
        return self._sets("on_connect")

    def connect_fail_callback(self) -> Callable[[CallbackOnConnectFail], CallbackOnConnectFail]:
        """Decorates the function that becomes `on_connect_fail`."""
        return self._sets("on_connect_fail")

    def pre_connect_callback(self) -> Callable[[CallbackOnPreConnect], CallbackOnPreConnect]:
        """Decorates the function that becomes `on_pre_connect`."""
        return self._sets("on_pre_connect")

    def disconnect_callback(self) -> Callable[[CallbackOnDisconnect], CallbackOnDisconnect]:
        """Decorates the function that becomes `on_disconnect`."""
        return self._sets("on_disconnect")

    def message_callback(self) -> Callable[[CallbackOnMessage], CallbackOnMessage]:
        """Decorates the function that becomes `on_message`."""
        return self._sets("on_message")

    def publish_callback(self) -> Callable[[CallbackOnPublish], CallbackOnPublish]:
        """Decorates the function that becomes `on_publish`."""
        return self._sets("on_publish")

    def subscribe_callback(self) -> Callable[[CallbackOnSubscribe], CallbackOnSubscribe]:
        """Decorates the function that becomes `on_subscribe`."""
        return self._sets("on_subscribe")

    def unsubscribe_callback(self) -> Callable[[CallbackOnUnsubscribe], CallbackOnUnsubscribe]:
        """Decorates the function that becomes `on_unsubscribe`."""
        return self._sets("on_unsubscribe")

    def log_callback(self) -> Callable[[CallbackOnLog], CallbackOnLog]:
        """Decorates the function that becomes `on_log`."""
        return self._sets("on_log")

    def socket_open_callback(self) -> Callable[[CallbackOnSocket], CallbackOnSocket]:
        """Decorates the function that becomes `on_socket_open`."""
        return self._sets("on_socket_open")

    def socket_close_callback(self) -> Callable[[CallbackOnSocket], CallbackOnSocket]:
        """Decorates the function that becomes `on_socket_close`."""
        return self._sets("on_socket_close")

    def socket_register_write_callback(self) -> Callable[[CallbackOnSocket], CallbackOnSocket]:
        """Decorates the function that becomes `on_socket_register_write`."""
        return self._sets("on_socket_register_write")

    def socket_unregister_write_callback(self) -> Callable[[CallbackOnSocket], CallbackOnSocket]:
        """Decorates the function that becomes `on_socket_unregister_write`."""
        return self._sets("on_socket_unregister_write")

    def topic_callback(self, sub: str) -> Callable[[CallbackOnMessage], CallbackOnMessage]:
        """Decorates a function that is called for messages whose topic matches `sub`."""

        def decorate(callback: CallbackOnMessage) -> CallbackOnMessage:
            self.message_callback_add(sub, callback)
            return callback

        return decorate

    def message_callback_add(self, sub: str, callback: CallbackOnMessage) -> None:
        """Has `callback` called for messages whose topic matches the filter `sub`, and not `on_message`.

        Where several filters match, each one's callback is called. A filter that has a callback already gets this one instead.
        """
        if callback is None or sub is None:
            raise ValueError("sub and callback must both be defined.")
        with self._callback_mutex:
            self._on_message_filtered[sub] = callback
            self._filtered = True

    def message_callback_remove(self, sub: str) -> None:
        """Takes the callback away that `message_callback_add` gave to this filter, if it has one."""
        if sub is None:
            raise ValueError("sub must defined.")
        with self._callback_mutex:
            try:
                del self._on_message_filtered[sub]
            except KeyError:
                pass  # it had none
            self._filtered = bool(self._on_message_filtered._root._children)

    _callback_mutex: Any
    _on_connect: Optional[CallbackOnConnect]
    _on_connect_fail: Optional[CallbackOnConnectFail]
    _on_pre_connect: Optional[CallbackOnPreConnect]
    _on_disconnect: Optional[CallbackOnDisconnect]
    _on_message: Optional[CallbackOnMessage]
    _on_subscribe: Optional[CallbackOnSubscribe]
    _on_unsubscribe: Optional[CallbackOnUnsubscribe]
    _on_socket_open: Optional[CallbackOnSocket]
    _on_socket_close: Optional[CallbackOnSocket]
    _on_socket_unregister_write: Optional[CallbackOnSocket]

    def _sets(self, name: str) -> Callable[[_F], _F]:
        def decorate(callback: _F) -> _F:
            setattr(self, name, callback)
            return callback

        return decorate

    def _retell(self) -> None:
        """Lets the core tell what there is somebody to hear. A subclass that defines the callback is always told."""
        mine = type(self)
        self._core.tell_published(self._on_publish is not None or mine.on_publish is not _Callbacks.on_publish)
        self._hooked = (
            self._on_socket_register_write is not None
            or self._on_socket_unregister_write is not None
            or mine.on_socket_register_write is not _Callbacks.on_socket_register_write
            or mine.on_socket_unregister_write is not _Callbacks.on_socket_unregister_write
        )
        self._retell_packets()

    def _retell_packets(self) -> None:
        heard = (
            self._on_log is not None
            or type(self).on_log is not _Callbacks.on_log
            # A logger's level may change at any time, so the loop asks again. It need not be a logging.Logger.
            or (self._logger is not None and getattr(self._logger, "isEnabledFor", _yes)(10))
        )
        if heard != self._tells_packets:
            self._tells_packets = heard
            self._core.tell_packets(heard)


def _yes(level: int) -> bool:
    return True

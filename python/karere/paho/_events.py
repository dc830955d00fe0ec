"""Telling what happened: from the core's events to callbacks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Optional

from .. import _core
from .._core import MQTTMessage
from ._base import SUCCESS
from ._sockets import _Sockets
from .enums import CallbackAPIVersion, LogLevel, MQTTErrorCode, MQTTProtocolVersion
from .packettypes import PacketTypes
from .properties import Properties
from .reasoncodes import ReasonCode

if TYPE_CHECKING:
    from .._core import Event

_PUBLISHED: Final = ReasonCode(PacketTypes.PUBACK)
_COMPLETED: Final = ReasonCode(PacketTypes.PUBCOMP)


def _properties(packet: int, packed: Optional[bytes]) -> Properties:
    properties = Properties(packet)
    if packed:
        properties.unpack(packed)
    return properties


class _Events(_Sockets):
    """One thread calls callbacks at a time. No lock that anybody waits for is held meanwhile."""

    def _dispatch(self, events: list[Event]) -> MQTTErrorCode:
        """Tells these events, after those that wait. What ended a connection among them, or success.

        When another thread is telling, that one tells these too. From inside of a callback it tells them at once.
        """
        pending = self._pending
        if events:
            pending.extend(events)
        if not pending:
            return SUCCESS
        if self._teller == threading.get_ident():
            return self._tell(pending)
        rc = SUCCESS
        # Once more after the release: another thread may have left some that it saw this one busy with.
        while pending and self._telling.acquire(False):
            self._teller = threading.get_ident()
            try:
                rc = self._tell(pending) or rc
            finally:
                self._teller = 0
                self._telling.release()
        return rc

    def _tell(self, pending: Any) -> MQTTErrorCode:
        rc = SUCCESS
        while pending:
            event = pending.popleft()
            if type(event) is not MQTTMessage:
                rc = _TELL[event[0]](self, event) or rc
                continue
            if self._filtered:
                self._handle_on_message(event)
            else:
                try:
                    on_message: Any = self.on_message
                    if on_message:
                        on_message(self, self._userdata, event)
                except Exception as error:
                    if not self._caught("on_message", error):
                        raise
            if event.qos and not self._manual_ack:
                self._core.done(event)
        return rc

    def _handle_on_message(self, message: MQTTMessage) -> None:
        try:
            callbacks = list(self._on_message_filtered.iter_match(message.topic))
        except UnicodeDecodeError:
            callbacks = []
        for callback in callbacks:
            try:
                callback(self, self._userdata, message)
            except Exception as error:
                if not self._caught(getattr(callback, "__name__", "a topic callback"), error):
                    raise
        if not callbacks:
            self._call("on_message", message)

    def _settle(self) -> MQTTErrorCode:
        """Without a thread that runs the loop, writes at once what calls and callbacks have queued, and tells what comes of it.

        Unless the program asked to be told when to write.
        """
        rc = SUCCESS
        while self._writes_at_once():
            events = self._write_out()
            if not events and not self._pending:
                break
            rc = self._dispatch(events) or rc
        self._tell_writes()
        return rc

    def _writes_at_once(self) -> bool:
        return (
            self._thread is None
            and self._on_socket_register_write is None
            and self._sock is not None
            # From inside of a callback nothing is written: what follows from that would have to be told inside of it.
            and not self._telling.locked()
        )

    def _queued(self) -> MQTTErrorCode:
        """Called when something was queued: it is written, or whoever writes is told."""
        if self._sleeping:
            self._core.wake()
        return self._settle()

    def _log(self, event: Any) -> MQTTErrorCode:
        self._easy_log(LogLevel(event[1]), "%s", event[2])
        return SUCCESS

    def _published(self, event: Any) -> MQTTErrorCode:
        _, mid, code, packed, outcome, packet = event
        if outcome > 1:
            return SUCCESS  # neither the server's word nor the network's: who waits for it is told by its info
        on_publish: Any = self.on_publish
        if not on_publish:
            return SUCCESS
        try:
            if self._callback_api_version is CallbackAPIVersion.VERSION1:
                on_publish(self, self._userdata, mid)
            else:
                if code:
                    reason = ReasonCode(packet, identifier=code)
                else:
                    reason = _PUBLISHED if packet == PacketTypes.PUBACK else _COMPLETED
                on_publish(self, self._userdata, mid, reason, _properties(packet, packed))
        except Exception as error:
            if not self._caught("on_publish", error):
                raise
        return SUCCESS

    def _subscribed(self, event: Any) -> MQTTErrorCode:
        _, mid, codes, packed = event
        if self._callback_api_version is CallbackAPIVersion.VERSION1 and self._protocol != MQTTProtocolVersion.MQTTv5:
            self._call("on_subscribe", mid, codes)
        else:
            reasons = [ReasonCode(PacketTypes.SUBACK, identifier=code) for code in codes]
            self._call("on_subscribe", mid, reasons, _properties(PacketTypes.SUBACK, packed))
        return SUCCESS

    def _unsubscribed(self, event: Any) -> MQTTErrorCode:
        _, mid, codes, packed = event
        reasons = [ReasonCode(PacketTypes.UNSUBACK, identifier=code) for code in codes]
        properties = _properties(PacketTypes.UNSUBACK, packed)
        if self._callback_api_version is not CallbackAPIVersion.VERSION1:
            self._call("on_unsubscribe", mid, reasons, properties)
        elif self._protocol == MQTTProtocolVersion.MQTTv5:
            self._call("on_unsubscribe", mid, properties, reasons[0] if len(reasons) == 1 else reasons)
        else:
            self._call("on_unsubscribe", mid)
        return SUCCESS


_TELL: dict[int, Callable[[Any, Any], MQTTErrorCode]] = {
    _core.LOG: _Events._log,
    _core.PUBLISHED: _Events._published,
    _core.SUBACK: _Events._subscribed,
    _core.UNSUBACK: _Events._unsubscribed,
}
"""By kind of event. Those that make and end connections are added by who minds these."""

"""What all parts of the client share: its attributes, its log, and what waits to be told."""

from __future__ import annotations

import logging
import ssl
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Optional

from .._core import Core
from ._types import Socket, WebSocketHeaders
from ._words import LOGGING_LEVEL
from .enums import CallbackAPIVersion, LogLevel, MQTTErrorCode, MQTTProtocolVersion, PahoClientMode, _ConnectionState
from .matcher import MQTTMatcher
from .properties import Properties

if TYPE_CHECKING:
    from .._core import Event

SUCCESS = MQTTErrorCode.MQTT_ERR_SUCCESS


class _Base:
    """Attributes have the names that paho-mqtt gives them where programs are known to use those."""

    suppress_exceptions: bool
    """Exceptions in callbacks are logged and go no further."""

    _core: Core
    _pending: deque[Event]
    """What happened and has not been told. A callback that raises leaves the rest here for the next call of a loop."""
    _telling: threading.Lock
    """Held by who calls callbacks, so that two threads do not. Nobody waits for it."""
    _teller: int
    """The thread that holds it."""
    _transport_lock: threading.Lock
    """An SSLSocket must not be used by two threads at once. Only for transports that Python reads and writes."""
    _changed: threading.Condition
    """Told when a loop that waits to connect anew should look whether it still has to."""
    _native: bool
    """The core reads and writes the socket itself."""
    _sleeping: bool
    """The loop waits for a transport that Python reads and writes, and must be woken to write."""
    _filtered: bool
    _hooked: bool
    """Somebody wants to know when there is something to write."""
    _tells_packets: bool

    _bind_address: str
    _bind_port: int
    _callback_api_version: CallbackAPIVersion
    _clean_session: bool
    _clean_start: Any
    _client_id: bytes
    _client_mode: PahoClientMode
    _connect_properties: Optional[Properties]
    _connect_timeout: float
    _host: str
    _keepalive: int
    _logger: Optional[logging.Logger]
    _manual_ack: bool
    _mqttv5_first_connect: bool
    _on_message_filtered: MQTTMatcher
    _password: Any
    _port: int
    _protocol: MQTTProtocolVersion
    _proxy: dict[str, Any]
    _reconnect_delay: Optional[float]
    _reconnect_max_delay: float
    _reconnect_min_delay: float
    _reconnect_on_failure: bool
    _reconnecting: bool
    _registered_write: bool
    _sock: Optional[Socket]
    _ssl: bool
    _ssl_context: Optional[ssl.SSLContext]
    _state: _ConnectionState
    _thread: Optional[threading.Thread]
    _thread_terminate: bool
    _tls_insecure: bool
    _transport: str
    _userdata: Any
    _username: Optional[bytes]
    _websocket_extra_headers: Optional[WebSocketHeaders]
    _websocket_path: str
    _will: bool
    _will_payload: bytes
    _will_properties: Optional[Properties]
    _will_qos: int
    _will_retain: bool
    _will_topic: bytes

    if TYPE_CHECKING:  # further up the line

        on_log: Any
        _on_log: Any
        _on_publish: Any
        _on_socket_register_write: Any

        def reconnect(self) -> MQTTErrorCode: ...
        def _retell(self) -> None: ...

    def _easy_log(self, level: LogLevel, fmt: str, *args: Any) -> None:
        on_log = self.on_log
        if on_log:
            try:
                on_log(self, self._userdata, level, fmt % args if args else fmt)
            except Exception:  # noqa: BLE001, S110
                pass  # to log it would come back here
        if self._logger is not None:
            self._logger.log(LOGGING_LEVEL[level], fmt, *args)

    def _call(self, name: str, *args: Any) -> None:
        """Calls a callback, if there is one."""
        callback = getattr(self, name)
        if callback:
            try:
                callback(self, self._userdata, *args)
            except Exception as error:
                if not self._caught(name, error):
                    raise

    def _caught(self, name: str, error: Exception) -> bool:
        """Logs what a callback raised. True when that is all that is to be done."""
        self._easy_log(LogLevel.MQTT_LOG_ERR, "Caught exception in %s: %s", name, error)
        return self.suppress_exceptions

    def _connection_closed(self) -> bool:
        """No connection, and no loop that would make one."""
        state = self._state
        return state is _ConnectionState.MQTT_CS_NEW or (
            state in (_ConnectionState.MQTT_CS_DISCONNECTING, _ConnectionState.MQTT_CS_DISCONNECTED)
            and self._sock is None
        )

    def _wake(self) -> None:
        """Makes the loop look at what has changed, wherever it waits."""
        with self._changed:
            self._changed.notify_all()
        self._core.wake()

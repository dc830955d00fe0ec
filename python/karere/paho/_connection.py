"""Connecting, and the end of connections."""

from __future__ import annotations

import socket
import uuid
from typing import Any, Optional

from .. import _core
from . import _events
from ._base import SUCCESS
from ._events import _Events, _properties
from ._types import CleanStartOption, ConnectFlags, DisconnectFlags, Socket
from ._words import _base62, convert_connack_rc_to_reason_code, convert_disconnect_error_code_to_reason_code
from .enums import (
    CallbackAPIVersion,
    ConnackCode,
    LogLevel,
    MQTTErrorCode,
    MQTTProtocolVersion,
    PahoClientMode,
    _ConnectionState,
)
from .packettypes import PacketTypes
from .properties import Properties
from .reasoncodes import ReasonCode

try:
    import dns.resolver

    HAVE_DNS = True
except ImportError:
    HAVE_DNS = False

MQTT_CLEAN_START_FIRST_ONLY: CleanStartOption = 3
"""MQTT 5.0: the first connection after `connect()` begins a new session, those that a loop makes go on with it."""

_NO_CONN = MQTTErrorCode.MQTT_ERR_NO_CONN
_LOST = MQTTErrorCode.MQTT_ERR_CONN_LOST

_CAUSES = {
    _core.REQUESTED: SUCCESS,
    _core.LOST: _LOST,
    _core.KEEPALIVE: MQTTErrorCode.MQTT_ERR_KEEPALIVE,
    _core.TIMED_OUT: MQTTErrorCode.MQTT_ERR_KEEPALIVE,
    _core.PROTOCOL: MQTTErrorCode.MQTT_ERR_PROTOCOL,
    _core.REFUSED: MQTTErrorCode.MQTT_ERR_CONN_REFUSED,
    _core.DISCONNECTED_BY_SERVER: SUCCESS,
}


def _packed(properties: Optional[Properties]) -> Optional[bytes]:
    return None if properties is None else bytes(properties.pack())


class _Connection(_Events):
    """The core knows the connection; this knows the socket, and what the program is to be told."""

    def connect(
        self,
        host: str,
        port: int = 1883,
        keepalive: int = 60,
        bind_address: str = "",
        bind_port: int = 0,
        clean_start: CleanStartOption = MQTT_CLEAN_START_FIRST_ONLY,
        properties: Optional[Properties] = None,
    ) -> MQTTErrorCode:
        """Connects, and returns when CONNECT has been sent: `on_connect` tells whether the server accepts.

        OSError and its kinds when there is no connection to be had.
        """
        if self._protocol == MQTTProtocolVersion.MQTTv5:
            self._mqttv5_first_connect = True
        else:
            if clean_start != MQTT_CLEAN_START_FIRST_ONLY:
                raise ValueError("Clean start only applies to MQTT V5")
            if properties:
                raise ValueError("Properties only apply to MQTT V5")
        self.connect_async(host, port, keepalive, bind_address, bind_port, clean_start, properties)
        return self.reconnect()

    def connect_srv(
        self,
        domain: Optional[str] = None,
        keepalive: int = 60,
        bind_address: str = "",
        bind_port: int = 0,
        clean_start: CleanStartOption = MQTT_CLEAN_START_FIRST_ONLY,
        properties: Optional[Properties] = None,
    ) -> MQTTErrorCode:
        """Connects to the first server that answers among those that a domain's SRV records name.

        `domain` is this machine's unless given. ValueError when there are none, or none answers.
        """
        if not HAVE_DNS:
            raise ValueError('No DNS resolver library found, try "pip install dnspython".')
        if domain is None:
            domain = socket.getfqdn().partition(".")[2] or socket.getfqdn()
        service = "_secure-mqtt" if self._ssl else "_mqtt"
        try:
            answers = list(dns.resolver.resolve(f"{service}._tcp.{domain}", dns.rdatatype.SRV))
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer, dns.resolver.NoNameservers, dns.exception.DNSException) as error:
            raise ValueError(f"No answer/NXDOMAIN for SRV in {domain}") from error
        for answer in sorted(answers, key=lambda answer: (answer.priority, -answer.weight)):
            host = str(answer.target).rstrip(".")
            try:
                return self.connect(host, answer.port, keepalive, bind_address, bind_port, clean_start, properties)
            except Exception as error:  # noqa: BLE001
                self._easy_log(LogLevel.MQTT_LOG_DEBUG, "%s:%s did not answer: %s", host, answer.port, error)
        raise ValueError("No SRV hosts responded")

    def connect_async(
        self,
        host: str,
        port: int = 1883,
        keepalive: int = 60,
        bind_address: str = "",
        bind_port: int = 0,
        clean_start: CleanStartOption = MQTT_CLEAN_START_FIRST_ONLY,
        properties: Optional[Properties] = None,
    ) -> None:
        """Says where to connect; the loop does it. A connection that there is ends here."""
        if not host:
            raise ValueError("Invalid host.")
        if port <= 0:
            raise ValueError("Invalid port number.")
        if keepalive < 0:
            raise ValueError("Keepalive must be >=0.")
        if bind_port < 0:
            raise ValueError("Invalid bind port number.")
        # First the socket, which may call back, so that nobody finds half of each.
        self._reset_sockets()
        self._host = host
        self._port = port
        self._keepalive = keepalive
        self._bind_address = bind_address
        self._bind_port = bind_port
        self._clean_start = clean_start
        self._connect_properties = properties
        self._state = _ConnectionState.MQTT_CS_CONNECT_ASYNC
        self._wake()

    def reconnect(self) -> MQTTErrorCode:
        """Connects anew, to where `connect` or `connect_async` said. A connection that there is ends here, untold."""
        if not self._host:
            raise ValueError("Invalid host.")
        if self._port <= 0:
            raise ValueError("Invalid port number.")
        self._retell()
        self._reconnecting = True
        try:
            self._state = _ConnectionState.MQTT_CS_CONNECTING
            self._forget_connection()
            self._reset_sockets()
            self._call("on_pre_connect")
            sock = self._create_socket()
            if self._state is _ConnectionState.MQTT_CS_DISCONNECTED:
                # Another thread, or on_pre_connect, has called disconnect() meanwhile.
                sock.close()
                return _NO_CONN
            try:
                self._configure()
                sock.setblocking(False)
            except BaseException:
                sock.close()
                raise
            self._sock = sock
            self._registered_write = False
            self._call_socket_open(sock)
            if self._sock is sock:  # on_socket_open may have had other plans
                self._open(sock)
        finally:
            self._reconnecting = False
            self._wake_waiting()
        self._queued()
        return SUCCESS

    def _open(self, sock: Socket) -> None:
        self._native = self._is_plain(sock)
        self._core.open(sock.fileno() if self._native else None)

    def _wake_waiting(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _forget_connection(self) -> None:
        """Drops what the last connection still has to say of itself. Messages and acknowledgements stay."""
        old = (_core.CONNACK, _core.DISCONNECTED, _core.AUTH)
        kept = [event for event in list(self._pending) if not (isinstance(event, tuple) and event[0] in old)]
        if len(kept) != len(self._pending):
            self._pending.clear()
            self._pending.extend(kept)

    def _configure(self) -> None:
        v5 = self._protocol == MQTTProtocolVersion.MQTTv5
        will = None
        if self._will:
            properties = _packed(self._will_properties) if v5 else None
            will = (self._will_topic, self._will_payload, self._will_qos, bool(self._will_retain), properties)
        self._core.configure(
            protocol=self._protocol,
            client_id=self._client_id,
            clean=self._check_clean_session(),
            keepalive=self._keepalive,
            username=self._username,
            password=None if self._username is None else self._password,
            will=will,
            properties=_packed(self._connect_properties) if v5 else None,
            bridge=self._client_mode == PahoClientMode.MQTT_BRIDGE,
            # A server that says nothing at all is found out when a silent one would be.
            connack_timeout=float(self._keepalive),
        )

    def _check_clean_session(self) -> bool:
        """Whether the next CONNECT begins a new session."""
        if self._protocol == MQTTProtocolVersion.MQTTv5:
            if self._clean_start == MQTT_CLEAN_START_FIRST_ONLY:
                return self._mqttv5_first_connect
            return bool(self._clean_start)
        return bool(self._clean_session)

    def disconnect(
        self, reasoncode: Optional[ReasonCode] = None, properties: Optional[Properties] = None
    ) -> MQTTErrorCode:
        """Says goodbye and ends the connection; a loop does not connect anew. Reason and properties are MQTT 5.0's."""
        if self._sock is None:
            self._state = _ConnectionState.MQTT_CS_DISCONNECTED
            self._wake()
            return _NO_CONN
        self._state = _ConnectionState.MQTT_CS_DISCONNECTING
        code = None
        if self._protocol == MQTTProtocolVersion.MQTTv5:
            code = None if reasoncode is None else reasoncode.value
            self._core.disconnect(code, _packed(properties))
        else:
            self._core.disconnect(None, None)
        self._queued()
        return SUCCESS

    def is_connected(self) -> bool:
        """Whether the server has accepted the connection, and it has not ended."""
        return self._core.is_connected()

    # What the core tells.

    def _handle_connack(self, event: Any) -> MQTTErrorCode:
        _, accepted, session_present, code, packed, short = event
        self._mqttv5_first_connect = False
        v5 = self._protocol == MQTTProtocolVersion.MQTTv5
        if not v5 and self._try_otherwise(session_present, code):
            return SUCCESS
        if not v5 and code == ConnackCode.CONNACK_REFUSED_PROTOCOL_VERSION and self._knows_older():
            return SUCCESS  # there is nothing to try; on_disconnect tells
        properties: Optional[Properties] = None
        if v5 and not short:
            reason = ReasonCode(PacketTypes.CONNACK, identifier=code)
            properties = _properties(PacketTypes.CONNACK, packed)
            self._keepalive = getattr(properties, "ServerKeepAlive", self._keepalive)
        else:
            reason = convert_connack_rc_to_reason_code(code)
            if v5 and code != ConnackCode.CONNACK_REFUSED_PROTOCOL_VERSION:
                return SUCCESS  # no answer in any version; on_disconnect tells
        if accepted:
            self._state = _ConnectionState.MQTT_CS_CONNECTED
            self._reconnect_delay = None
        if self._callback_api_version is not CallbackAPIVersion.VERSION1:
            properties = Properties(PacketTypes.CONNACK) if properties is None else properties
            self._call("on_connect", ConnectFlags(session_present), reason, properties)
        elif v5:
            self._call("on_connect", {"session present": int(session_present)}, reason, properties)
        else:
            self._call("on_connect", {"session present": int(session_present)}, code)
        return SUCCESS

    def _knows_older(self) -> bool:
        return self._protocol == MQTTProtocolVersion.MQTTv311

    def _try_otherwise(self, session_present: bool, code: int) -> bool:
        """Before 5.0 the server may only know 3.1, or want an id. True when that is being tried."""
        received = f"Received CONNACK ({int(session_present)}, {code})"
        if code == ConnackCode.CONNACK_REFUSED_PROTOCOL_VERSION and self._knows_older() and self._reconnect_on_failure:
            self._easy_log(LogLevel.MQTT_LOG_DEBUG, "%s, attempting downgrade to MQTT v3.1.", received)
            self._protocol = MQTTProtocolVersion.MQTTv31
            if not self._client_id:
                self._client_id = _random_id()
        elif code == ConnackCode.CONNACK_REFUSED_IDENTIFIER_REJECTED and self._client_id == b"":
            self._easy_log(LogLevel.MQTT_LOG_DEBUG, "%s, attempting to use non-empty CID", received)
            self._client_id = _random_id()
        else:
            return False
        try:
            self.reconnect()
        except OSError as error:
            # As any other attempt that failed: a loop makes the next one.
            self._easy_log(LogLevel.MQTT_LOG_DEBUG, "Connection failed, retrying: %s", error)
            self._handle_on_connect_fail()
        return True

    def _handle_on_connect_fail(self) -> None:
        on_connect_fail: Any = self.on_connect_fail
        if on_connect_fail:
            try:
                on_connect_fail(self, self._userdata)
            except Exception as error:  # noqa: BLE001
                self._caught("on_connect_fail", error)

    def _handle_auth(self, event: Any) -> MQTTErrorCode:
        """There is nobody to answer it: paho-mqtt's API has nothing for it."""
        self._easy_log(LogLevel.MQTT_LOG_ERR, "Error: Unrecognised command %s", 0xF0)
        self._core.close("AUTH was received")
        ended = (_core.DISCONNECTED, _core.PROTOCOL, None, None, "")
        for found in self._core.events():
            self._pending.append(ended if isinstance(found, tuple) and found[0] == _core.DISCONNECTED else found)
        return SUCCESS

    def _handle_disconnected(self, event: Any) -> MQTTErrorCode:
        _, cause, code, packed, text = event
        rc = _CAUSES[cause]
        if cause == _core.PROTOCOL:
            self._easy_log(LogLevel.MQTT_LOG_ERR, "Received malformed packet: %s", text)
        elif cause == _core.LOST and text:
            self._easy_log(LogLevel.MQTT_LOG_ERR, "failed to receive on socket: %s", text)
        elif cause == _core.REFUSED and not self._is_refusal(code):
            rc = MQTTErrorCode.MQTT_ERR_PROTOCOL

        disconnecting = self._state in (_ConnectionState.MQTT_CS_DISCONNECTING, _ConnectionState.MQTT_CS_DISCONNECTED)
        if disconnecting:
            # It was to end, and it has; how is nothing that the program need mind.
            self._state = _ConnectionState.MQTT_CS_DISCONNECTED
            rc = SUCCESS if cause != _core.DISCONNECTED_BY_SERVER else rc
        elif self._state is _ConnectionState.MQTT_CS_CONNECTED:
            self._state = _ConnectionState.MQTT_CS_CONNECTION_LOST

        if cause == _core.REQUESTED:
            # paho's order: the socket is still there in on_disconnect.
            sock = self._sock
            try:
                self._do_on_disconnect(False, rc)
            finally:
                if self._sock is sock:
                    self._sock_close()
            return _NO_CONN
        self._sock_close()
        if cause == _core.DISCONNECTED_BY_SERVER:
            self._told_by_server(code, packed)
            return SUCCESS
        self._do_on_disconnect(False, rc)
        if disconnecting:
            return _NO_CONN
        return _LOST if rc == MQTTErrorCode.MQTT_ERR_KEEPALIVE else rc

    def _is_refusal(self, code: Optional[int]) -> bool:
        """Whether `MQTT_ERR_CONN_REFUSED` is what paho-mqtt makes of it: the return codes that 3.1 has."""
        if code is None or not 0 < code <= ConnackCode.CONNACK_REFUSED_NOT_AUTHORIZED:
            return False
        if code != ConnackCode.CONNACK_REFUSED_PROTOCOL_VERSION:
            return self._protocol != MQTTProtocolVersion.MQTTv5
        return not self._knows_older()

    def _told_by_server(self, code: Optional[int], packed: Optional[bytes]) -> None:
        if self._callback_api_version is not CallbackAPIVersion.VERSION1:
            reason = ReasonCode(PacketTypes.DISCONNECT, identifier=code or 0)
            properties = _properties(PacketTypes.DISCONNECT, packed)
            self._call("on_disconnect", DisconnectFlags(True), reason, properties)
            return
        self._call(
            "on_disconnect",
            None if code is None else ReasonCode(PacketTypes.DISCONNECT, identifier=code),
            None if packed is None else _properties(PacketTypes.DISCONNECT, packed),
        )

    def _do_on_disconnect(self, packet_from_broker: bool, v1_rc: MQTTErrorCode) -> None:
        if self._callback_api_version is not CallbackAPIVersion.VERSION1:
            reason = convert_disconnect_error_code_to_reason_code(v1_rc)
            flags = DisconnectFlags(packet_from_broker)
            self._call("on_disconnect", flags, reason, Properties(PacketTypes.DISCONNECT))
        elif self._protocol == MQTTProtocolVersion.MQTTv5:
            self._call("on_disconnect", v1_rc, None)
        else:
            self._call("on_disconnect", v1_rc)


def _random_id() -> bytes:
    """22 characters, which 3.1 takes: it knows no id without any, and none of more than 23."""
    return _base62(uuid.uuid4().int, padding=22).encode("ascii")


_events._TELL.update(
    {
        _core.CONNACK: _Connection._handle_connack,
        _core.DISCONNECTED: _Connection._handle_disconnected,
        _core.AUTH: _Connection._handle_auth,
    }
)

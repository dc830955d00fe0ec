"""What is set before connecting: credentials, will, limits, TLS, proxy, log."""

from __future__ import annotations

import importlib
import logging
import ssl
from typing import Any, Optional, TypeVar, Union

from ._callbacks import _Callbacks
from ._types import PayloadType, WebSocketHeaders
from ._views import InMessages, OutMessages, OutPackets
from ._words import _encode_payload
from .enums import CallbackAPIVersion, MQTTProtocolVersion, PahoClientMode
from .properties import Properties

socks: Any
try:
    socks = importlib.import_module("socks")
except ImportError:
    socks = None

_Self = TypeVar("_Self", bound="_Options")


class _Options(_Callbacks):
    """Properties of the connection can be set while there is none, and no loop that would make one: RuntimeError otherwise."""

    def _refuse_while_connected(self, what: str) -> None:
        if not self._connection_closed():
            raise RuntimeError(f"updating {what} on established connection is not supported")

    @property
    def host(self) -> str:
        """The server's name or address; the socket's path with the transport "unix"."""
        return self._host

    @host.setter
    def host(self, value: str) -> None:
        self._refuse_while_connected("host")
        if not value:
            raise ValueError("Invalid host.")
        self._host = value

    @property
    def port(self) -> int:
        """The server's port."""
        return self._port

    @port.setter
    def port(self, value: int) -> None:
        self._refuse_while_connected("port")
        if value <= 0:
            raise ValueError("Invalid port number.")
        self._port = value

    @property
    def keepalive(self) -> int:
        """Seconds between packets at most; 0 turns it off. After CONNACK it is what the server asked for, if it did."""
        return self._keepalive

    @keepalive.setter
    def keepalive(self, value: int) -> None:
        self._refuse_while_connected("keepalive")
        if value < 0:
            raise ValueError("Keepalive must be >=0.")
        self._keepalive = value

    @property
    def transport(self) -> str:
        """"tcp", "websockets" or "unix"."""
        return self._transport

    @transport.setter
    def transport(self, value: str) -> None:
        self._refuse_while_connected("transport")
        self._transport = value

    @property
    def protocol(self) -> MQTTProtocolVersion:
        """The version of MQTT. 3.1.1 becomes 3.1 when the server knows no other."""
        return self._protocol

    @property
    def connect_timeout(self) -> float:
        """Seconds that connecting may take, for TCP, TLS and WebSocket each. The default is 5."""
        return self._connect_timeout

    @connect_timeout.setter
    def connect_timeout(self, value: float) -> None:
        self._refuse_while_connected("connect_timeout")
        if value <= 0.0:
            raise ValueError("timeout must be a positive number")
        self._connect_timeout = value

    @property
    def username(self) -> Optional[str]:
        """The user name; None: none is sent, and no password."""
        return None if self._username is None else self._username.decode("utf-8")

    @username.setter
    def username(self, value: Optional[str]) -> None:
        self._refuse_while_connected("username")
        self._username = None if value is None else value.encode("utf-8")

    @property
    def password(self) -> Optional[str]:
        """The password."""
        return None if self._password is None else self._password.decode("utf-8")

    @password.setter
    def password(self, value: Optional[str]) -> None:
        self._refuse_while_connected("password")
        self._password = None if value is None else value.encode("utf-8")

    @property
    def max_inflight_messages(self) -> int:
        """Messages of QoS 1 and 2 that may be on their way at once; 0 is no limit. The server's own limit counts too."""
        return self._max_inflight_messages

    @max_inflight_messages.setter
    def max_inflight_messages(self, value: int) -> None:
        self._refuse_while_connected("max_inflight_messages")
        self.max_inflight_messages_set(value)

    @property
    def max_queued_messages(self) -> int:
        """Messages of QoS 1 and 2 that may wait, those on their way among them; 0 is no limit."""
        return self._max_queued_messages

    @max_queued_messages.setter
    def max_queued_messages(self, value: int) -> None:
        self._refuse_while_connected("max_queued_messages")
        if value < 0:
            raise ValueError("Invalid queue size.")
        self._max_queued_messages = value

    @property
    def will_topic(self) -> Optional[str]:
        """The will's topic."""
        return self._will_topic.decode("utf-8")

    @property
    def will_payload(self) -> Optional[PayloadType]:
        """The will's payload, as bytes."""
        return self._will_payload

    @property
    def logger(self) -> Optional[logging.Logger]:
        """The logger that is told what goes on; None: nobody is."""
        return self._logger

    @logger.setter
    def logger(self, value: Optional[logging.Logger]) -> None:
        self._logger = value
        self._retell_packets()

    @property
    def callback_api_version(self) -> CallbackAPIVersion:
        """Which arguments callbacks are called with."""
        return self._callback_api_version

    # The names behind them that programs are known to look at and to set.

    _limits: tuple[int, int]

    @property
    def _max_inflight_messages(self) -> int:
        return self._limits[0]

    @_max_inflight_messages.setter
    def _max_inflight_messages(self, value: int) -> None:
        self._core.limit(inflight=value, queued=self._limits[1])
        self._limits = (value, self._limits[1])

    @property
    def _max_queued_messages(self) -> int:
        return self._limits[1]

    @_max_queued_messages.setter
    def _max_queued_messages(self, value: int) -> None:
        self._core.limit(inflight=self._limits[0], queued=value)
        self._limits = (self._limits[0], value)

    @property
    def _inflight_messages(self) -> int:
        return self._core.inflight()

    @property
    def _last_mid(self) -> int:
        return self._core.last_mid()

    @property
    def _out_messages(self) -> OutMessages:
        return OutMessages(self._core)

    @property
    def _in_messages(self) -> InMessages:
        return InMessages(self._core)

    @property
    def _out_packet(self) -> OutPackets:
        return OutPackets(self._core)

    # Functions.

    def max_inflight_messages_set(self, inflight: int) -> None:
        """Sets how many messages of QoS 1 and 2 may be on their way at once. 20 unless set; 0 is no limit."""
        if inflight < 0:
            raise ValueError("Invalid inflight.")
        self._max_inflight_messages = inflight

    def max_queued_messages_set(self: _Self, queue_size: int) -> _Self:
        """Sets how many messages of QoS 1 and 2 may wait; `publish()` takes no more then. 0, unless set, is no limit."""
        if not isinstance(queue_size, int):
            raise TypeError("queue_size should be an int")
        if queue_size < 0:
            raise ValueError("Invalid queue size.")
        self._max_queued_messages = queue_size
        return self

    def manual_ack_set(self, on: bool) -> None:
        """With True the program calls `ack()` for messages of QoS 1 and 2, and their callback's return does not."""
        self._manual_ack = on

    def user_data_set(self, userdata: Any) -> None:
        """Sets what callbacks are given as `userdata`."""
        self._userdata = userdata

    def user_data_get(self) -> Any:
        """What callbacks are given as `userdata`."""
        return self._userdata

    def username_pw_set(self, username: Optional[str], password: Optional[str] = None) -> None:
        """Sets user name and password. Without a user name no password is sent either."""
        self._username = None if username is None else username.encode("utf-8")
        self._password = password.encode("utf-8") if isinstance(password, str) else password

    def will_set(
        self,
        topic: str,
        payload: PayloadType = None,
        qos: int = 0,
        retain: bool = False,
        properties: Optional[Properties] = None,
    ) -> None:
        """Sets the message that the server publishes when this client is lost without a DISCONNECT."""
        if not topic:
            raise ValueError("Invalid topic.")
        if qos < 0 or qos > 2:
            raise ValueError("Invalid QoS level.")
        if properties and not isinstance(properties, Properties):
            raise ValueError("The properties argument must be an instance of the Properties class.")
        self._will_payload = bytes(_encode_payload(payload))
        self._will_topic = topic.encode("utf-8")
        self._will_qos = qos
        self._will_retain = retain
        self._will_properties = properties
        self._will = True

    def will_clear(self) -> None:
        """Takes the will back."""
        self._will = False
        self._will_topic = b""
        self._will_payload = b""
        self._will_qos = 0
        self._will_retain = False
        self._will_properties = None

    def reconnect_delay_set(self, min_delay: int = 1, max_delay: int = 120) -> None:
        """Sets how many seconds a loop waits before it connects anew: the first time, doubled each time, up to the second."""
        self._reconnect_min_delay = min_delay
        self._reconnect_max_delay = max_delay
        self._reconnect_delay = None

    def enable_bridge_mode(self) -> None:
        """Says in CONNECT that this is a bridge, which some servers then do not send its own messages. Not in MQTT 5.0."""
        self._client_mode = PahoClientMode.MQTT_BRIDGE

    def enable_logger(self, logger: Optional[logging.Logger] = None) -> None:
        """Tells a logger what goes on: this one, or the one that was set last, or "paho.mqtt.client"."""
        if logger is None:
            logger = self._logger if self._logger is not None else logging.getLogger("paho.mqtt.client")
        self._logger = logger
        self._retell_packets()

    def disable_logger(self) -> None:
        """Tells no logger any more."""
        self._logger = None
        self._retell_packets()

    def ws_set_options(self, path: str = "/mqtt", headers: Optional[WebSocketHeaders] = None) -> None:
        """Sets the path and headers of the WebSocket handshake: a dict that is added to the usual ones, or a function of
        those that returns all."""
        self._websocket_path = path or "/mqtt"
        if headers is not None and not isinstance(headers, dict) and not callable(headers):
            raise ValueError("'headers' option to ws_set_options has to be either a dictionary or callable")
        if headers is not None:
            self._websocket_extra_headers = headers

    def proxy_set(self, **proxy_args: Any) -> None:
        """Sets the proxy, with PySocks' arguments: `proxy_type`, `proxy_addr`, `proxy_port`, `proxy_rdns`, …"""
        if socks is None:
            raise ValueError("PySocks must be installed for proxy support.")
        if not self._proxy_is_valid(proxy_args):
            raise ValueError("proxy_type and/or proxy_addr are invalid.")
        self._proxy = proxy_args

    @staticmethod
    def _proxy_is_valid(p: dict[str, Any]) -> bool:
        types = {socks.HTTP, socks.SOCKS4, socks.SOCKS5}
        return p.get("proxy_type") in types and isinstance(p.get("proxy_addr"), str) and p["proxy_addr"] != ""

    def tls_set_context(self, context: Optional[ssl.SSLContext] = None) -> None:
        """Has connections made with TLS, with this context or the default one. Once only: ValueError the second time."""
        if self._ssl_context is not None:
            raise ValueError("SSL/TLS has already been configured.")
        if context is None:
            context = ssl.create_default_context()
        self._ssl = True
        self._ssl_context = context

    def tls_set(
        self,
        ca_certs: Optional[str] = None,
        certfile: Optional[str] = None,
        keyfile: Optional[str] = None,
        cert_reqs: Optional[ssl.VerifyMode] = None,
        tls_version: Optional[int] = None,
        ciphers: Optional[str] = None,
        keyfile_password: Union[str, bytes, None] = None,
        alpn_protocols: Optional[list[str]] = None,
    ) -> None:
        """Has connections made with TLS.

        `ca_certs` is a file of authorities to trust, the system's without it; `certfile` and `keyfile` are what the client
        proves itself with; `cert_reqs` is whether the server must prove itself: ssl.CERT_REQUIRED unless given.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if tls_version is None else tls_version)
        if ciphers is not None:
            context.set_ciphers(ciphers)
        if certfile is not None:
            context.load_cert_chain(certfile, keyfile, keyfile_password)
        if cert_reqs == ssl.CERT_NONE:
            context.check_hostname = False  # verify_mode refuses CERT_NONE otherwise
        context.verify_mode = ssl.CERT_REQUIRED if cert_reqs is None else cert_reqs
        if ca_certs is not None:
            context.load_verify_locations(ca_certs)
        else:
            context.load_default_certs()
        if alpn_protocols is not None:
            if not ssl.HAS_ALPN:
                raise ValueError("SSL library has no support for ALPN")
            context.set_alpn_protocols(alpn_protocols)
        self.tls_set_context(context)
        self.tls_insecure_set(cert_reqs == ssl.CERT_NONE)

    def tls_insecure_set(self, value: bool) -> None:
        """With True the name in the server's certificate is not compared with the host's: whoever has any certificate can
        be the server then."""
        if self._ssl_context is None:
            raise ValueError("Must configure SSL context before using tls_insecure_set.")
        self._tls_insecure = value
        self._ssl_context.check_hostname = not value

    def drop_out_messages(self) -> None:
        """Gives up all messages of QoS 1 and 2 that are not done. Those who wait for them are told that they are lost."""
        self._core.drop_out_messages()

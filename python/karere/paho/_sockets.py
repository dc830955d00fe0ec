"""The transport: how it is made and dropped, and how Python moves bytes where the core cannot."""

from __future__ import annotations

import math
import select
import socket
import ssl
import urllib.parse
import urllib.request
from socket import socket as _PlainSocket  # in the class `socket` is a method
from typing import TYPE_CHECKING, Any, Optional

from . import _options
from ._options import _Options
from ._types import Socket
from ._websocket import _WebsocketWrapper


if TYPE_CHECKING:
    from .._core import Event

_CHUNK = 65536
_ROUNDS = 32
"""How often a transport is read before other things have their turn: 2 MiB at most."""

_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class _Sockets(_Options):
    """Methods have paho-mqtt's names where programs are known to override them."""

    def socket(self) -> Any:
        """The transport's socket: a `socket.socket`, an `ssl.SSLSocket`, or what wraps either for WebSocket. None without one.

        For loops of one's own, and `setsockopt`. Its bytes are the client's.
        """
        return self._sock

    # Making it.

    def _create_socket(self) -> Socket:
        """Connects: TCP or Unix, then TLS, then WebSocket, each with the timeout."""
        sock: Any
        if self._transport == "unix":
            sock = self._create_unix_socket_connection()
        else:
            sock = self._create_socket_connection()
        try:
            if self._ssl:
                sock = self._ssl_wrap_socket(sock)
            if self._transport == "websockets":
                sock.settimeout(self._connect_timeout)
                sock = _WebsocketWrapper(
                    socket=sock,
                    host=self._host,
                    port=self._port,
                    is_ssl=self._ssl,
                    path=self._websocket_path,
                    extra_headers=self._websocket_extra_headers,
                )
        except BaseException:
            sock.close()
            raise
        return sock  # type: ignore[no-any-return]

    def _create_unix_socket_connection(self) -> _PlainSocket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(self._host)
        except BaseException:
            sock.close()
            raise
        return sock

    def _create_socket_connection(self) -> _PlainSocket:
        address = (self._host, self._port)
        source = (self._bind_address, self._bind_port) if self._bind_address or self._bind_port else None
        proxy = self._get_proxy()
        sock: _PlainSocket
        if proxy is not None:
            sock = _options.socks.create_connection(
                address, timeout=self._connect_timeout, source_address=source, **proxy
            )
        else:
            sock = socket.create_connection(address, timeout=self._connect_timeout, source_address=source)
        try:
            # Packets are written in batches; to hold one back until the last is acknowledged only delays it.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            pass  # a transport that is no TCP
        return sock

    def _ssl_wrap_socket(self, tcp_sock: _PlainSocket) -> ssl.SSLSocket:
        if self._ssl_context is None:
            raise ValueError("SSL is enabled, but there is no context: call tls_set() or tls_set_context()")
        tls = self._ssl_context.wrap_socket(tcp_sock, server_hostname=self._host, do_handshake_on_connect=False)
        try:
            tls.settimeout(self._connect_timeout)
            tls.do_handshake()
        except BaseException:
            tls.close()
            raise
        return tls

    def _get_proxy(self) -> Optional[dict[str, Any]]:
        """PySocks' arguments, from `proxy_set`, the environment's `mqtt_proxy`, or PySocks' own default."""
        socks = _options.socks
        if socks is None:
            return None
        if self._proxy_is_valid(self._proxy):
            return self._proxy
        if not urllib.request.proxy_bypass(self._host):
            address = urllib.parse.urlsplit(urllib.request.getproxies().get("mqtt", ""))
            kind = {"http": socks.HTTP, "socks": socks.SOCKS5}.get(address.scheme)
            proxy = {"proxy_type": kind, "proxy_addr": address.hostname, "proxy_port": address.port}
            if self._proxy_is_valid(proxy):
                return proxy
        default = socks.get_default_proxy()
        if default is None:
            return None
        names = ("proxy_type", "proxy_addr", "proxy_port", "proxy_rdns", "proxy_username", "proxy_password")
        proxy = dict(zip(names, default))
        return proxy if self._proxy_is_valid(proxy) else None

    # What others are told of it.

    def _call_socket_open(self, sock: Socket) -> None:
        self._call("on_socket_open", sock)

    def _call_socket_close(self, sock: Socket) -> None:
        self._call("on_socket_close", sock)

    def _call_socket_register_write(self) -> None:
        sock = self._sock
        if sock is not None and not self._registered_write:
            self._registered_write = True
            self._call("on_socket_register_write", sock)

    def _call_socket_unregister_write(self, sock: Optional[Socket] = None) -> None:
        sock = sock or self._sock
        if sock is not None and self._registered_write:
            self._registered_write = False
            self._call("on_socket_unregister_write", sock)

    def _tell_writes(self) -> None:
        """Tells whether there is something to write, to those who want to know."""
        if self._hooked and self._sock is not None:
            if self.want_write():
                self._call_socket_register_write()
            else:
                self._call_socket_unregister_write()

    def want_write(self) -> bool:
        """Whether there is something to write: call `loop_write` when the socket takes it."""
        if self._core.want_write():
            return True
        sock = self._sock
        return isinstance(sock, _WebsocketWrapper) and sock.wants_write()

    # Dropping it.

    def _sock_close(self) -> None:
        """Closes the socket, if there is one. The core must know already."""
        sock, self._sock = self._sock, None
        if sock is None:
            return
        try:
            self._call_socket_unregister_write(sock)
            self._call_socket_close(sock)
        finally:
            sock.close()

    def _reset_sockets(self) -> None:
        self._core.abandon()
        self._sock_close()

    # Moving bytes: TLS, WebSocket, and whatever else is no plain socket.

    def _is_plain(self, sock: Any) -> bool:
        """Whether the core may read and write the descriptor itself."""
        if isinstance(sock, ssl.SSLSocket) or not isinstance(sock, socket.socket):
            return False
        if _options.socks is not None and type(sock) is _options.socks.socksocket:
            return True  # it only overrides what datagrams need
        mine = type(sock)
        return mine.recv is socket.socket.recv and mine.send is socket.socket.send

    def _pump_in(self) -> list[Event]:
        """Reads what is there. What TLS has decrypted and nobody took would not make the socket readable again."""
        events: list[Event] = []
        core = self._core
        with self._transport_lock:
            for _ in range(_ROUNDS):
                sock: Any = self._sock
                if sock is None or not core.has_transport():
                    break
                try:
                    data = sock.recv(_CHUNK)
                except _NOT_NOW:
                    break
                except OSError as error:
                    self._failed(error)
                    break
                if not data:
                    core.close(None)
                    break
                events += core.feed(data)
        return events + core.events()

    def _pump_out(self) -> list[Event]:
        """Writes what can be written."""
        events: list[Event] = []
        core = self._core
        with self._transport_lock:
            while (sock := self._sock) is not None and core.has_transport():
                try:
                    data = core.drain()
                    if not data:
                        if isinstance(sock, _WebsocketWrapper):
                            sock.flush()
                        break
                    events += core.sent(sock.send(data))
                except _NOT_NOW:
                    break
                except OSError as error:
                    self._failed(error)
                    break
        return events + core.events()

    def _failed(self, error: OSError) -> None:
        self._core.close(str(error) or type(error).__name__)

    def _write_out(self) -> list[Event]:
        return self._core.write() if self._native else self._pump_out()

    def _read_in(self) -> list[Event]:
        return self._core.read() if self._native else self._pump_in()

    def _wait(self, timeout: float) -> list[Event]:
        """Waits until something can be moved, and moves it: what `Core.turn` does for plain sockets."""
        core = self._core
        sock: Any = self._sock
        events = core.events()
        if events or sock is None:
            return events
        # First said, then looked: who publishes after the look finds it said, and wakes.
        self._sleeping = True
        try:
            writes = self.want_write()
            deadline = core.deadline()
            if deadline is not None:
                timeout = min(timeout, deadline)
            pending = getattr(sock, "pending", None)
            try:
                if pending is not None and pending():
                    timeout = 0.0
                readable = _poll(sock.fileno(), core.wake_fd(), writes, timeout)
            except (OSError, ValueError):
                return core.events() + core.misc()  # closed meanwhile
        finally:
            self._sleeping = False
        if readable or (pending is not None and pending()):
            events += self._pump_in()
        if self.want_write():
            events += self._pump_out()
        return events + core.misc()


if hasattr(select, "poll"):

    def _poll(fd: int, wake: int, writes: bool, timeout: float) -> bool:
        """Waits; True when `fd` is to be read."""
        poll = select.poll()
        poll.register(fd, select.POLLIN | (select.POLLOUT if writes else 0))
        poll.register(wake, select.POLLIN)
        # Rounded up: with less than a millisecond to go it would spin.
        return any(found == fd and what & ~select.POLLOUT for found, what in poll.poll(math.ceil(timeout * 1000)))

else:

    def _poll(fd: int, wake: int, writes: bool, timeout: float) -> bool:
        """Waits; True when `fd` is to be read."""
        return fd in select.select([fd, wake], [fd] if writes else [], [], timeout)[0]

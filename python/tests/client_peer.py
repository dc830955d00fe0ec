"""A server for tests of the client: it answers every packet, or does what a test tells it to."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Optional

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 8, 9, 10, 11, 12, 13, 14


def packet(first: int, body: bytes = b"") -> bytes:
    """A packet of first byte and body."""
    length, left = b"", len(body)
    while True:
        left, low = divmod(left, 128)
        length += bytes([low | (0x80 if left else 0)])
        if not left:
            return bytes([first]) + length + body


def string(text: Any) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return len(data).to_bytes(2, "big") + data


def publish(topic: Any, payload: bytes = b"", qos: int = 0, mid: int = 0, version: int = 4, first: int = 0) -> bytes:
    body = string(topic) + (mid.to_bytes(2, "big") if qos else b"") + (b"\x00" if version == 5 else b"") + payload
    return packet(0x30 | qos << 1 | first, body)


def connack(version: int = 4, code: int = 0, flags: int = 0, properties: bytes = b"") -> bytes:
    return packet(0x20, bytes([flags, code]) + (bytes([len(properties)]) + properties if version == 5 else b""))


class Closed(Exception):
    """The client has closed the connection."""


class Peer:
    """One connection, from the server's side."""

    def __init__(self, conn: Any) -> None:
        self.conn = conn
        self.version = 4
        self._rest = b""

    def read(self) -> tuple[int, bytes]:
        """The next packet: first byte and body. Closed at the end."""
        first = self._bytes(1)[0]
        length, shift = 0, 0
        while True:
            byte = self._bytes(1)[0]
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        body = self._bytes(length)
        if first >> 4 == CONNECT:
            name = int.from_bytes(body[:2], "big")
            self.version = body[2 + name] & 0x7F
        return first, body

    def expect(self, kind: int) -> bytes:
        """The body of the next packet, which must be of this type."""
        first, body = self.read()
        assert first >> 4 == kind, f"packet {first:#x} {body!r}, and not one of type {kind}"
        return body

    def accept(self, flags: int = 0, properties: bytes = b"") -> bytes:
        """Takes CONNECT and answers it."""
        body = self.expect(CONNECT)
        self.send(connack(self.version, 0, flags, properties))
        return body

    def send(self, data: bytes) -> None:
        self.conn.sendall(data)

    def is_closed(self) -> bool:
        """Whether the client closes without another byte."""
        try:
            return not self._rest and self.conn.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.conn.close()

    def _bytes(self, count: int) -> bytes:
        while len(self._rest) < count:
            try:
                data = self.conn.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise Closed
            self._rest += data
        data, self._rest = self._rest[:count], self._rest[count:]
        return data

    def answer(self, first: int, body: bytes) -> None:
        """What a broker says to a packet. Messages to topics that begin with `echo` come back."""
        v5 = self.version == 5
        kind = first >> 4
        if kind == CONNECT:
            self.send(connack(self.version))
        elif kind == PUBLISH:
            qos = first >> 1 & 3
            end = 2 + int.from_bytes(body[:2], "big")
            if qos:
                self.send(packet((PUBACK if qos == 1 else PUBREC) << 4, body[end : end + 2]))
            if body[2:6] == b"echo":
                self.send(packet(first & 0xF7, body))
        elif kind == PUBREC:
            self.send(packet(0x62, body[:2]))
        elif kind == PUBREL:
            self.send(packet(PUBCOMP << 4, body[:2]))
        elif kind == SUBSCRIBE:
            start, codes = (3 + body[2] if v5 else 2), b""
            while start < len(body):
                start += 2 + int.from_bytes(body[start : start + 2], "big")
                codes += bytes([body[start] & 3])
                start += 1
            self.send(packet(SUBACK << 4, body[:2] + (b"\x00" if v5 else b"") + codes))
        elif kind == UNSUBSCRIBE:
            start, codes = 3 + body[2] if v5 else 2, b""
            while start < len(body):
                start += 2 + int.from_bytes(body[start : start + 2], "big")
                codes += b"\x00"
            self.send(packet(UNSUBACK << 4, body[:2] + (b"\x00" + codes if v5 else b"")))
        elif kind == PINGREQ:
            self.send(packet(PINGRESP << 4))


class Server:
    """Listens. `accept()` is for tests that do the server's part themselves, `serve()` for the others."""

    def __init__(self, context: Optional[ssl.SSLContext] = None, backlog: int = 128) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        self._listener.settimeout(10)
        self._context = context
        self.port: int = self._listener.getsockname()[1]
        self.seen: list[tuple[int, bytes]] = []
        self.peers: list[Peer] = []
        self._threads: list[threading.Thread] = []
        self._over = False

    def accept(self, timeout: float = 10.0) -> Peer:
        self._listener.settimeout(timeout)
        conn: Any = self._listener.accept()[0]
        conn.settimeout(10)
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is not None:
            conn = self._context.wrap_socket(conn, server_side=True)
        peer = Peer(conn)
        self.peers.append(peer)
        return peer

    def serve(self, handle: Optional[Callable[[Peer], None]] = None) -> Server:
        """Answers all connections in threads, as a broker would or with `handle`."""
        self._start(self._accept_all, handle or self._answer_all)
        return self

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept_all(self, handle: Callable[[Peer], None]) -> None:
        while not self._over:
            try:
                peer = self.accept()
            except socket.timeout:
                continue
            except OSError:
                return
            self._start(self._handle, handle, peer)

    @staticmethod
    def _handle(handle: Callable[[Peer], None], peer: Peer) -> None:
        with contextlib.suppress(Closed, OSError):
            handle(peer)
        peer.close()

    def _answer_all(self, peer: Peer) -> None:
        peer.conn.settimeout(None)
        while True:
            first, body = peer.read()
            self.seen.append((first, body))
            peer.answer(first, body)

    def close(self) -> None:
        self._over = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in self.peers:
            with contextlib.suppress(OSError):
                peer.conn.shutdown(socket.SHUT_RDWR)
            peer.close()
        for thread in self._threads:
            thread.join(5)


@contextlib.contextmanager
def server(context: Optional[ssl.SSLContext] = None) -> Iterator[Server]:
    one = Server(context)
    try:
        yield one
    finally:
        one.close()


def until(condition: Callable[[], Any], timeout: float = 5.0) -> Any:
    """Waits until that is true, and says what it was."""
    end = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.005)
    return found

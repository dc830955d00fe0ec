"""A server of bytes at the other end of a socket pair, for tests of the native part."""

from __future__ import annotations

import socket
import struct
import time
from typing import Any, Callable, Optional

from karere import _core

CONNACK_OK = b"\x20\x02\x00\x00"
CONNACK_OK_5 = b"\x20\x03\x00\x00\x00"
DISCONNECT = b"\xe0\x00"


def field(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data


def packet(first: int, body: bytes) -> bytes:
    length, rest = b"", len(body)
    while True:
        digit, rest = rest & 0x7F, rest >> 7
        length += bytes([digit | (0x80 if rest else 0)])
        if not rest:
            return bytes([first]) + length + body


def publish(
    topic: bytes,
    payload: bytes = b"",
    mid: int = 0,
    qos: int = 0,
    dup: bool = False,
    retain: bool = False,
    properties: Optional[bytes] = None,
) -> bytes:
    identifier = struct.pack("!H", mid) if qos else b""
    first = 0x30 | dup << 3 | qos << 1 | retain
    return packet(first, field(topic) + identifier + (properties or b"") + payload)


def ack(kind: int, mid: int) -> bytes:
    """`kind`: the first byte."""
    return packet(kind, struct.pack("!H", mid))


puback, pubrec, pubrel, pubcomp = (lambda mid, kind=kind: ack(kind, mid) for kind in (0x40, 0x50, 0x62, 0x70))


class Peer:
    """A core, and the far end of its connections."""

    def __init__(self, protocol: int = 4, **settings: Any) -> None:
        self.core = _core.Core()
        self.protocol = protocol
        self.mine: Optional[socket.socket] = None
        self.far: Optional[socket.socket] = None
        self.rest = b""
        self.told: list[Any] = []
        """Told with an event that was waited for, after it."""
        self.configure(**settings)

    def configure(self, **settings: Any) -> None:
        asked = {
            "protocol": self.protocol,
            "client_id": b"core",
            "clean": True,
            "keepalive": 60,
            "username": None,
            "password": None,
            "will": None,
            "properties": None,
            "bridge": False,
            "connack_timeout": 5.0,
        }
        self.core.configure(**{**asked, **settings})

    def open(self, buffer: Optional[int] = None) -> None:
        """A new connection; CONNECT has not been read."""
        self.hang_up()
        self.mine, self.far = socket.socketpair()
        if buffer is not None:
            self.mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        self.mine.setblocking(False)
        self.far.settimeout(5)
        self.rest = b""
        self.core.open(self.mine.fileno())

    def connect(self, connack: Optional[bytes] = None, buffer: Optional[int] = None) -> bytes:
        """A new connection that is accepted; returns CONNECT."""
        self.open(buffer)
        self.core.turn(0)
        connect = self.read()
        self.write(connack or (CONNACK_OK_5 if self.protocol == 5 else CONNACK_OK))
        events = self.until(lambda event: kind(event) == _core.CONNACK)
        assert events[-1][1], events
        return connect

    def hang_up(self) -> None:
        if self.mine is not None:
            self.core.abandon()
            self.mine.close()
            self.far.close()
            self.mine = self.far = None

    def write(self, data: bytes) -> None:
        self.far.sendall(data)

    def read(self) -> bytes:
        """The next packet, which the core must have written."""
        while True:
            length, at = 0, 1
            while at < len(self.rest) and at <= 4:
                length |= (self.rest[at] & 0x7F) << 7 * (at - 1)
                at += 1
                if not self.rest[at - 1] & 0x80:
                    if len(self.rest) >= at + length:
                        whole, self.rest = self.rest[: at + length], self.rest[at + length :]
                        return whole
                    break
            data = self.far.recv(65536)
            assert data, f"the connection ended after {self.rest!r}"
            self.rest += data

    def silent(self) -> bool:
        """True when the core has written nothing more."""
        self.far.setblocking(False)
        try:
            self.rest += self.far.recv(65536)
        except BlockingIOError:
            pass
        finally:
            self.far.settimeout(5)
        return not self.rest

    def until(self, wanted: Callable[[Any], bool], seconds: float = 5.0) -> list[Any]:
        """Events up to one that is wanted."""
        events: list[Any] = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            told = self.told or self.core.turn(0.1)
            while told:
                events.append(told.pop(0))
                if wanted(events[-1]):
                    self.told = told
                    return events
        raise AssertionError(f"not told in {seconds} s; told: {events}")

    def turn(self, timeout: float = 0.0) -> list[Any]:
        return self.core.turn(timeout)

    def message(self) -> Any:
        return self.until(lambda event: isinstance(event, _core.MQTTMessage))[-1]

    def ended(self) -> tuple[Any, ...]:
        """The DISCONNECTED that follows."""
        return self.until(lambda event: kind(event) == _core.DISCONNECTED)[-1]


def kind(event: Any) -> Optional[int]:
    return event[0] if isinstance(event, tuple) else None

"""A server that does what a test tells it to, one connection at a time, and remembers what it was sent."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Optional

CONNECT, PUBLISH, PUBREL, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 6, 8, 12, 14


class Broker:
    """Answers CONNECT, PUBLISH of each QoS and SUBSCRIBE.

    `refuse` is CONNACK's code, `granted` the codes of every SUBACK (None: it is never answered), `deliver` the packets that
    follow a SUBACK. Each number in `lose` ends a connection, the first before the packet of that number (from 0) is answered.
    """

    def __init__(
        self,
        *,
        v5: bool = False,
        refuse: int = 0,
        receive_maximum: Optional[int] = None,
        granted: Optional[bytes] = b"\x00",
        deliver: tuple[bytes, ...] = (),
        lose: tuple[int, ...] = (),
    ) -> None:
        self.v5 = v5
        self.refuse = refuse
        self.receive_maximum = receive_maximum
        self.granted = granted
        self.deliver = deliver
        self.lose = list(lose)
        self.packets: list[tuple[int, bytes]] = []
        """First byte, and what follows the length."""
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._idle = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Broker:
        self._thread.start()
        return self

    def __exit__(self, kind: Optional[type], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self._listener.close()

    def ended(self) -> bool:
        """Waits until the last connection is over: a client is done before the last it wrote has arrived."""
        return self._idle.wait(10)

    def of(self, kind: int) -> list[tuple[int, bytes]]:
        """The packets of one type."""
        return [packet for packet in self.packets if packet[0] >> 4 == kind]

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._idle.clear()
            self.connections += 1
            lose_at = self.lose.pop(0) if self.lose else None
            with connection:
                try:
                    self._serve(connection, lose_at)
                except (EOFError, OSError):
                    pass
            self._idle.set()

    def _serve(self, connection: socket.socket, lose_at: Optional[int]) -> None:
        number = 0
        while True:
            first, body = _packet(connection)
            self.packets.append((first, body))
            if number == lose_at:
                return
            number += 1
            answer = self._answer(first, body)
            if answer:
                connection.sendall(answer)
            if first >> 4 == DISCONNECT or (first >> 4 == CONNECT and self.refuse):
                return

    def _answer(self, first: int, body: bytes) -> bytes:
        kind = first >> 4
        if kind == CONNECT:
            end = b"\x00" if self.v5 else b""
            if self.receive_maximum is not None:
                end = b"\x03\x21" + self.receive_maximum.to_bytes(2, "big")
            return bytes([0x20, 2 + len(end), 0, self.refuse]) + end
        if kind == PUBLISH and first & 0x06:
            after = 2 + int.from_bytes(body[:2], "big")
            return (b"\x40\x02" if first & 0x02 else b"\x50\x02") + body[after : after + 2]
        if kind == PUBREL:
            return b"\x70\x02" + body[:2]
        if kind == SUBSCRIBE and self.granted is not None:
            answer = body[:2] + (b"\x00" if self.v5 else b"") + self.granted
            return bytes([0x90, len(answer)]) + answer + b"".join(self.deliver)
        return b"\xd0\x00" if kind == PINGREQ else b""


def publish(topic: bytes, payload: bytes, *, retain: bool = False, v5: bool = False) -> bytes:
    """A PUBLISH of QoS 0."""
    body = len(topic).to_bytes(2, "big") + topic + (b"\x00" if v5 else b"") + payload
    return bytes([0x30 | retain, len(body)]) + body


def _packet(connection: socket.socket) -> tuple[int, bytes]:
    first = _exactly(connection, 1)[0]
    length = shift = 0
    while True:
        byte = _exactly(connection, 1)[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return first, _exactly(connection, length)


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data

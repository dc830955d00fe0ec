"""MQTT by hand, and a name server by hand: what the examples find around them must not be what they test."""

from __future__ import annotations

import socket
import struct
import threading
import time


class Client:
    """A 3.1.1 client of QoS 0, which keeps what it receives."""

    def __init__(self, name: str, topic: str = "") -> None:
        self.received: list[tuple[bytes, bytes, bool]] = []
        """Topic, payload, retain."""
        self._socket = socket.create_connection(("127.0.0.1", 1883))
        self._socket.sendall(_packet(0x10, b"\x00\x04MQTT\x04\x02\x00\x00" + _text(name)))
        if topic:
            self._socket.sendall(_packet(0x82, b"\x00\x01" + _text(topic) + b"\x00"))
        threading.Thread(target=self._run, daemon=True).start()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._socket.sendall(_packet(0x30 | retain, _text(topic) + payload))

    def publish_for_ever(self, topic: str, payload: bytes, every: float) -> None:
        def run() -> None:
            while True:
                self.publish(topic, payload)
                time.sleep(every)

        threading.Thread(target=run, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _run(self) -> None:
        stream = self._socket.makefile("rb")
        while first := stream.read(1):
            length = shift = 0
            while True:
                byte = stream.read(1)[0]
                length |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    break
            body = stream.read(length)
            if first[0] >> 4 == 3:
                end = 2 + int.from_bytes(body[:2], "big")
                self.received.append((body[2:end], body[end:], bool(first[0] & 1)))


def _packet(first: int, body: bytes) -> bytes:
    length, rest = b"", len(body)
    while True:
        rest, byte = divmod(rest, 128)[0], rest % 128
        length += bytes([byte | 0x80 if rest else byte])
        if not rest:
            return bytes([first]) + length + body


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("!H", len(data)) + data


def serve_names(services: dict[str, str], port: int) -> None:
    """Answers questions for SRV records of `services`, by name, and says of any other name that there is none."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    targets = {_name(service): _name(target) for service, target in services.items()}

    def run() -> None:
        while True:
            query, peer = server.recvfrom(512)
            end = query.index(b"\0", 12) + 5
            question = query[12:end]
            target = targets.get(question[:-4].lower())
            if target is not None and question[-4:-2] == b"\x00\x21":
                record = struct.pack("!HHH", 0, 0, port) + target
                answer = b"\xc0\x0c" + struct.pack("!HHLH", 33, 1, 60, len(record)) + record
                server.sendto(query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question + answer, peer)
            else:
                server.sendto(query[:2] + b"\x81\x83\0\1\0\0\0\0\0\0" + question, peer)

    threading.Thread(target=run, daemon=True).start()


def _name(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"

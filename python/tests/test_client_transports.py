"""WebSocket, TLS, Unix sockets, and whatever else a socket can be."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client_peer import Closed, Peer, Server, server, until
from karere.paho import client as mqtt

V2 = mqtt.CallbackAPIVersion.VERSION2
Wrapper = mqtt._WebsocketWrapper


@pytest.fixture
def broker() -> Iterator[Server]:
    with server() as one:
        yield one


# WebSocket, from the server's side.


def accept_key(key: str) -> str:
    return base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()


def frame(opcode: int, data: bytes, final: bool = True, mask: bytes = b"") -> bytes:
    length = len(data)
    head = bytes([opcode | (0x80 if final else 0)])
    bit = 0x80 if mask else 0
    if length < 126:
        head += bytes([bit | length])
    elif length < 65536:
        head += bytes([bit | 126]) + length.to_bytes(2, "big")
    else:
        head += bytes([bit | 127]) + length.to_bytes(8, "big")
    return head + mask + (bytes(byte ^ mask[at % 4] for at, byte in enumerate(data)) if mask else data)


class Frames:
    """The server's end of a WebSocket, as a socket that a Peer reads."""

    def __init__(self, conn: Any, piece: int = 10**9) -> None:
        self.conn = conn
        self.piece = piece
        self.controls: list[tuple[int, bytes]] = []
        self._rest = b""
        self.head = self._read_until(b"\r\n\r\n")
        key = re.search(r"Sec-WebSocket-Key: (\S+)", self.head)
        assert key is not None
        conn.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_key(key[1]).encode() + b"\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
        )

    def _read_until(self, end: bytes) -> str:
        while end not in self._rest:
            data = self.conn.recv(65536)
            if not data:
                raise Closed
            self._rest += data
        head, _, self._rest = self._rest.partition(end)
        return head.decode()

    def _bytes(self, count: int) -> bytes:
        while len(self._rest) < count:
            data = self.conn.recv(65536)
            if not data:
                raise Closed
            self._rest += data
        data, self._rest = self._rest[:count], self._rest[count:]
        return data

    def read_frame(self) -> tuple[int, bytes]:
        first, length = self._bytes(2)
        assert length & 0x80, "a client masks every frame"
        length &= 0x7F
        if length >= 126:
            length = int.from_bytes(self._bytes(2 if length == 126 else 8), "big")
        mask, data = self._bytes(4), self._bytes(length)
        keys = (mask * (length // 4 + 1))[:length]
        return first & 0x0F, bytes(a ^ b for a, b in zip(data, keys))

    def recv(self, size: int) -> bytes:
        while True:
            opcode, data = self.read_frame()
            if opcode == Wrapper.OPCODE_BINARY:
                return data
            self.controls.append((opcode, data))
            if opcode == Wrapper.OPCODE_CONNCLOSE:
                return b""

    def sendall(self, data: bytes) -> None:
        pieces = [data[at : at + self.piece] for at in range(0, len(data), self.piece)]
        for number, piece in enumerate(pieces):
            opcode = Wrapper.OPCODE_BINARY if number == 0 else Wrapper.OPCODE_CONTINUATION
            self.conn.sendall(frame(opcode, piece, number == len(pieces) - 1))

    def settimeout(self, timeout: Any) -> None:
        self.conn.settimeout(timeout)

    def shutdown(self, how: int) -> None:
        self.conn.shutdown(how)

    def close(self) -> None:
        self.conn.close()


def over_frames(peer: Peer, piece: int = 10**9) -> Frames:
    frames = Frames(peer.conn, piece)
    peer.conn = frames
    return frames


def exchange(client: mqtt.Client, sizes: list[int]) -> None:
    """Sends messages of these sizes to itself, at each QoS."""
    got: list[bytes] = []
    client.on_message = lambda _, __, message: got.append(message.payload)
    client.loop_start()
    until(client.is_connected)
    payloads = [os.urandom(size) for size in sizes for _ in range(3)]
    infos = [client.publish("echo", payload, number % 3) for number, payload in enumerate(payloads)]
    for info in infos:
        info.wait_for_publish(20)
        assert info.is_published()
    until(lambda: len(got) == len(payloads), 20)
    assert sorted(got) == sorted(payloads)
    client.disconnect()
    client.loop_stop()
    assert client.socket() is None


SIZES = [0, 1, 125, 126, 65_535, 65_536, 300_000]


@pytest.mark.parametrize("piece", [10**9, 1000, 3])
def test_websocket(broker: Server, piece: int) -> None:
    seen: list[Frames] = []

    def handle(peer: Peer) -> None:
        seen.append(over_frames(peer, piece))
        broker._answer_all(peer)

    broker.serve(handle)
    client = mqtt.Client(V2, "x", transport="websockets")
    client.ws_set_options("/some/path", {"X-Mine": "1"})
    client.connect("127.0.0.1", broker.port)
    assert isinstance(client.socket(), Wrapper)
    # What it does not know itself is the socket's.
    client.socket().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    assert client.socket().getpeername() == ("127.0.0.1", broker.port)
    exchange(client, SIZES if piece > 3 else [0, 200, 5000])
    lines = seen[0].head.split("\r\n")
    assert lines[:2] == ["GET /some/path HTTP/1.1", f"Host: 127.0.0.1:{broker.port}"]
    assert "X-Mine: 1" in lines
    assert "Sec-Websocket-Protocol: mqtt" in lines
    if piece > 1000:  # otherwise the client has closed before it read all, and that is what the server finds
        until(lambda: seen[0].controls)
        assert seen[0].controls == [(Wrapper.OPCODE_CONNCLOSE, b"\x03\xe8")]


def test_websocket_headers_by_a_function(broker: Server) -> None:
    heads: list[str] = []

    def handle(peer: Peer) -> None:
        heads.append(over_frames(peer).head)

    def headers(usual: dict[str, str]) -> dict[str, str]:
        return {"Host": "other", "Sec-WebSocket-Key": usual["Sec-WebSocket-Key"]}

    broker.serve(handle)
    client = mqtt.Client(V2, "x", transport="websockets")
    client.ws_set_options(headers=headers)
    client.connect("127.0.0.1", broker.port)
    until(lambda: heads)
    assert re.fullmatch(r"GET /mqtt HTTP/1\.1\r\nHost: other\r\nSec-WebSocket-Key: \S+", heads[0])


@pytest.mark.parametrize(
    "response, text",
    [
        (b"200 OK", "WebSocket handshake error"),
        (b"", "WebSocket handshake error"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "WebSocket handshake error, connection not upgraded: HTTP/1.1 403 Forbidden"),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: bad\r\n\r\n",
            "WebSocket handshake error, connection not upgraded",
        ),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
            "WebSocket handshake error, invalid secret key",
        ),
    ],
)
def test_websocket_handshakes_that_fail(broker: Server, response: bytes, text: str) -> None:
    def handle(peer: Peer) -> None:
        peer.conn.recv(65536)
        peer.conn.sendall(response)

    broker.serve(handle)
    client = mqtt.Client(V2, "x", transport="websockets")
    with pytest.raises(mqtt.WebsocketConnectionError) as caught:
        client.connect("127.0.0.1", broker.port)
    assert str(caught.value) == text
    assert isinstance(caught.value, ConnectionError)
    assert client.socket() is None


class Pair:
    """A wrapper and the other end of its socket."""

    def __init__(self) -> None:
        here, there = socket.socketpair()
        there.settimeout(5)
        made: list[Frames] = []
        thread = threading.Thread(target=lambda: made.append(Frames(there)))
        thread.start()
        self.wrapper = Wrapper(here, "host", 80, False, "/mqtt", None)
        thread.join()
        self.server = made[0]
        self.there = there
        self.wrapper.setblocking(False)

    def receive(self) -> bytes:
        data = b""
        try:
            while piece := self.wrapper.recv(1 << 16):
                data += piece
        except BlockingIOError:
            pass
        return data


@pytest.fixture
def pair() -> Iterator[Pair]:
    one = Pair()
    yield one
    one.wrapper.close()
    one.there.close()


def test_websocket_frames_that_come_in_pieces(pair: Pair) -> None:
    data = frame(2, b"abc", final=False) + frame(9, b"hello") + frame(0, b"def" * 100) + frame(2, b"masked", mask=b"\x01\x02\x03\x04")
    got = b""
    for byte in data:
        pair.there.sendall(bytes([byte]))
        got += pair.receive()
    assert got == b"abc" + b"def" * 100 + b"masked"
    assert pair.server.read_frame() == (Wrapper.OPCODE_PONG, b"hello")


def test_websocket_gives_no_more_than_asked_for_and_says_what_is_left(pair: Pair) -> None:
    pair.there.sendall(frame(2, b"0123456789", mask=b"\x09\x08\x07\x06"))
    assert pair.wrapper.recv(3) == b"012"
    assert pair.wrapper.pending() == 7
    assert pair.wrapper.recv(6) == b"345678"
    assert pair.wrapper.recv(6) == b"9"
    assert pair.wrapper.pending() == 0
    with pytest.raises(BlockingIOError):
        pair.wrapper.recv(1)


def test_websocket_close_is_answered_and_ends_it(pair: Pair) -> None:
    pair.there.sendall(frame(2, b"last") + frame(8, b"\x03\xe9bye"))
    assert pair.receive() == b"last"
    assert pair.wrapper.recv(10) == b""
    assert pair.server.read_frame() == (Wrapper.OPCODE_CONNCLOSE, b"\x03\xe9")


@pytest.mark.parametrize("bad", [frame(1, b"text"), frame(3, b""), b"\xc2\x00", frame(9, b"x" * 126), frame(9, b"", final=False)])
def test_websocket_frames_that_cannot_be_are_an_error(pair: Pair, bad: bytes) -> None:
    pair.there.sendall(bad)
    with pytest.raises(mqtt.WebsocketConnectionError):
        pair.wrapper.recv(10)


def test_websocket_goes_on_with_a_frame_that_did_not_fit(pair: Pair) -> None:
    payload = os.urandom(2_000_000)
    pair.wrapper.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    got: list[tuple[int, bytes]] = []
    with pytest.raises(BlockingIOError):
        pair.wrapper.send(payload)
    # A ping in the middle of it is answered behind it.
    pair.there.sendall(frame(9, b"ping"))
    with pytest.raises(BlockingIOError):
        pair.wrapper.recv(10)
    reader = threading.Thread(target=lambda: got.extend([pair.server.read_frame(), pair.server.read_frame()]))
    reader.start()
    while True:
        try:
            count = pair.wrapper.send(payload + b"that came later")
            break
        except BlockingIOError:
            pass
    assert count == len(payload)
    while pair.wrapper.wants_write():
        try:
            pair.wrapper.flush()
        except BlockingIOError:
            pass
    reader.join(5)
    assert got == [(Wrapper.OPCODE_BINARY, payload), (Wrapper.OPCODE_PONG, b"ping")]


# TLS.


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not in PATH")
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    made = [*command.split(), "-addext", "subjectAltName=DNS:localhost", "-keyout", str(path), "-out", str(path) + ".crt"]
    subprocess.run(made, check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + Path(str(path) + ".crt").read_bytes())
    return path


@pytest.fixture
def tls_broker(certificate: Path) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with server(context) as one:
        yield one


@pytest.mark.parametrize("transport", ["tcp", "websockets"])
def test_tls(tls_broker: Server, certificate: Path, transport: Any) -> None:
    def handle(peer: Peer) -> None:
        if transport == "websockets":
            over_frames(peer)
        tls_broker._answer_all(peer)

    tls_broker.serve(handle)
    client = mqtt.Client(V2, "x", transport=transport)
    client.tls_set(str(certificate) + ".crt")
    client.connect("localhost", tls_broker.port)
    assert client.socket().cipher() is not None
    exchange(client, SIZES)


def test_tls_without_a_thread(tls_broker: Server, certificate: Path) -> None:
    tls_broker.serve()
    client = mqtt.Client(V2, "x")
    got: list[bytes] = []
    client.on_message = lambda _, __, message: got.append(message.payload)
    context = ssl.create_default_context(cafile=str(certificate) + ".crt")
    client.tls_set_context(context)
    client.connect("localhost", tls_broker.port)
    assert client.loop(5) == 0
    # Several records at once, of which the socket tells only that of the first.
    for number in range(50):
        client.publish("echo", b"%d" % number + b"x" * 5000, number % 3)
    while len(got) < 50:
        assert client.loop(5) == 0
    while client._out_messages or client._in_messages:
        assert client.loop(5) == 0
    assert client.disconnect() == 0
    assert client.socket() is None


def test_tls_of_a_server_that_cannot_prove_itself(tls_broker: Server, certificate: Path) -> None:
    def accept() -> None:
        for _ in range(2):
            with contextlib.suppress(OSError):
                tls_broker.accept()

    thread = threading.Thread(target=accept)
    thread.start()
    client = mqtt.Client(V2, "x")
    client.tls_set()
    with pytest.raises(ssl.SSLError, match="certificate verify failed") as caught:
        client.connect("localhost", tls_broker.port)
    assert caught.value.errno == 1
    # The right authority, but another name.
    client = mqtt.Client(V2, "x")
    client.tls_set(str(certificate) + ".crt")
    with pytest.raises(ssl.SSLCertVerificationError):
        client.connect("127.0.0.1", tls_broker.port)
    thread.join()


def test_tls_of_any_name_when_insecure(tls_broker: Server, certificate: Path) -> None:
    tls_broker.serve()
    client = mqtt.Client(V2, "x")
    client.tls_set(str(certificate) + ".crt")
    client.tls_insecure_set(True)
    client.connect("127.0.0.1", tls_broker.port)
    while not client.is_connected():  # tickets come first, which are nothing to the client
        assert client.loop(5) == 0
    client.disconnect()


# Others.


def test_a_unix_socket(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(tmp_path / "broker"))
    listener.listen()
    client = mqtt.Client(V2, "x", transport="unix")
    client.connect(str(tmp_path / "broker"))
    conn, _ = listener.accept()
    conn.settimeout(5)
    peer = Peer(conn)
    peer.accept()
    assert client.loop(5) == 0
    assert client._native
    client.disconnect()
    assert peer.read() == (0xE0, b"")
    conn.close()
    listener.close()


def test_a_subclass_that_makes_the_transport_itself(broker: Server) -> None:
    class Transport:
        """Not a socket, but like one."""

        def __init__(self, inner: socket.socket) -> None:
            self.inner = inner
            self.sent = 0

        def recv(self, length: int) -> bytes:
            return self.inner.recv(length)

        def send(self, data: bytes) -> int:
            self.sent += len(data)
            return self.inner.send(data[:7])

        def fileno(self) -> int:
            return self.inner.fileno()

        def setblocking(self, flag: bool) -> None:
            self.inner.setblocking(flag)

        def close(self) -> None:
            self.inner.close()

    class Mine(mqtt.Client):
        def _create_socket(self) -> Any:
            return Transport(socket.create_connection(("127.0.0.1", broker.port)))

    broker.serve()
    client = Mine(V2, "x")
    client.connect("anywhere")
    exchange(client, [0, 5, 1000])


def test_a_proxy(broker: Server) -> None:
    """A CONNECT proxy of three lines; what goes through it is plain, and the core's."""
    socks = pytest.importorskip("socks")
    asked: list[bytes] = []

    def handle(peer: Peer) -> None:
        asked.append(peer.conn.recv(4096))
        peer.conn.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        broker._answer_all(peer)

    broker.serve(handle)
    client = mqtt.Client(V2, "x")
    client.proxy_set(proxy_type=socks.HTTP, proxy_addr="127.0.0.1", proxy_port=broker.port)
    client.connect("broker.example", 1883)
    assert client._native
    exchange(client, [0, 5, 100_000])
    assert asked[0].startswith(b"CONNECT broker.example:1883 HTTP/1.")


def test_where_a_proxy_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    socks = pytest.importorskip("socks")
    client = mqtt.Client(V2)
    client.host = "broker.example"
    assert client._get_proxy() is None
    monkeypatch.setattr(socks, "get_default_proxy", lambda: (socks.SOCKS5, "default", 1, True, b"u", b"p"))
    default = client._get_proxy()
    assert default is not None
    assert (default["proxy_addr"], default["proxy_rdns"], default["proxy_password"]) == ("default", True, b"p")
    monkeypatch.setenv("mqtt_proxy", "http://env:33")
    assert client._get_proxy() == {"proxy_type": socks.HTTP, "proxy_addr": "env", "proxy_port": 33}
    monkeypatch.setenv("mqtt_proxy", "socks://env:33")
    assert client._get_proxy() == {"proxy_type": socks.SOCKS5, "proxy_addr": "env", "proxy_port": 33}
    monkeypatch.setenv("no_proxy", "broker.example")
    assert client._get_proxy() == default
    client.proxy_set(proxy_type=socks.SOCKS4, proxy_addr="set")
    assert client._get_proxy() == {"proxy_type": socks.SOCKS4, "proxy_addr": "set"}


def test_connect_srv(broker: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = pytest.importorskip("dns.resolver")
    asked: list[str] = []

    class Answer:
        def __init__(self, priority: int, weight: int, port: int) -> None:
            self.priority, self.weight, self.port, self.target = priority, weight, port, "localhost."

    def resolve(name: str, kind: Any) -> list[Answer]:
        asked.append(name)
        return [Answer(20, 0, 2), Answer(10, 5, broker.port), Answer(10, 9, 1)]

    monkeypatch.setattr(resolver, "resolve", resolve)
    broker.serve()
    client = mqtt.Client(V2, "x")
    assert client.connect_srv("example.org") == 0
    assert (client.host, client.port) == ("localhost", broker.port)
    assert asked == ["_mqtt._tcp.example.org"]
    client.disconnect()
    monkeypatch.setattr(resolver, "resolve", lambda *_: [Answer(1, 1, 1)])
    with pytest.raises(ValueError, match="No SRV hosts responded"):
        client.connect_srv("example.org")


def test_nothing_is_held_back_for_small_packets(broker: Server) -> None:
    client = mqtt.Client(V2, "x")
    client.connect("127.0.0.1", broker.port)
    assert client.socket().getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0

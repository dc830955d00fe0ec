"""MQTT in a WebSocket: a wrapper that is read and written as a socket is (RFC 6455)."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import socket as _socket
import ssl
from collections import deque
from typing import Any, Final, Optional, Union

from ._types import WebsocketConnectionError, WebSocketHeaders

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CHUNK: Final = 65536
_LONGEST_HEAD: Final = 65536


class _WebsocketWrapper:
    """A socket on which a WebSocket handshake was made: `recv` and `send` carry what is inside of its binary frames.

    What it does not know itself is the socket's: `setsockopt`, `getpeername`, `cipher` …
    """

    OPCODE_CONTINUATION = 0x0
    OPCODE_TEXT = 0x1
    OPCODE_BINARY = 0x2
    OPCODE_CONNCLOSE = 0x8
    OPCODE_PING = 0x9
    OPCODE_PONG = 0xA

    def __init__(
        self,
        socket: Union[_socket.socket, ssl.SSLSocket],
        host: str,
        port: int,
        is_ssl: bool,
        path: str,
        extra_headers: Optional[WebSocketHeaders],
    ) -> None:
        self.connected = False
        self._socket = socket
        self._host = host
        self._port = port
        self._ssl = is_ssl
        self._path = path
        self._raw = bytearray()
        """Received and not parsed."""
        self._left = 0
        """Bytes of a data frame's payload that are still to come."""
        self._unmask: Optional[bytes] = None
        self._closed = False
        """The server has said that it closes, or has."""
        self._sending = memoryview(b"")
        """What is left of the frame being written."""
        self._payload = 0
        """How many bytes given to `send` that frame carries; 0 for a control frame."""
        self._controls: deque[bytes] = deque(maxlen=8)
        """Control frames that wait until the frame being written has ended."""
        self._do_handshake(extra_headers)

    def __getattr__(self, name: str) -> Any:
        # Only for names that are not found otherwise. `_socket` is missing when __init__ was not run (copy, pickle).
        if name.startswith("__") or name == "_socket":
            raise AttributeError(name)
        return getattr(self._socket, name)

    # The handshake.

    def _do_handshake(self, extra_headers: Optional[WebSocketHeaders]) -> None:
        key = base64.b64encode(os.urandom(16))
        standard = self._port == (443 if self._ssl else 80)
        # An IPv6 address is written in brackets; scopes never leave this machine.
        name = f"[{self._host.split('%')[0]}]" if ":" in self._host else self._host
        host = name if standard else f"{name}:{self._port}"
        headers = {
            "Host": host,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Origin": f"{'https' if self._ssl else 'http'}://{host}",
            "Sec-WebSocket-Key": key.decode("ascii"),
            "Sec-Websocket-Version": "13",
            "Sec-Websocket-Protocol": "mqtt",
        }
        if callable(extra_headers):
            headers = extra_headers(headers)
        elif extra_headers is not None:
            headers.update(extra_headers)
        lines = [f"GET {self._path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        request = ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")
        # `send` once where that does: some servers read the request with a single call.
        sent = self._socket.send(request)
        if isinstance(sent, int) and sent < len(request):
            self._socket.sendall(request[sent:])
        self._check_response(self._read_head(), key)
        self.connected = True

    def _read_head(self) -> bytes:
        """The response up to its empty line; what follows it stays in `_raw`."""
        while (end := self._raw.find(b"\r\n\r\n")) < 0:
            if len(self._raw) > _LONGEST_HEAD:
                raise WebsocketConnectionError("WebSocket handshake error, the response has no end")
            data = self._socket.recv(_CHUNK)
            if not data:
                raise WebsocketConnectionError("WebSocket handshake error")
            self._raw += data
        head = bytes(self._raw[:end])
        del self._raw[: end + 4]
        return head

    def _check_response(self, head: bytes, key: bytes) -> None:
        status, *lines = head.decode("utf-8", "replace").split("\r\n")
        if re.match(r"HTTP/1\.\d 101(\s|$)", status) is None:
            raise WebsocketConnectionError(f"WebSocket handshake error, connection not upgraded: {status[:120]}")
        fields: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            fields[name.strip().lower()] = value.strip()
        if fields.get("upgrade", "").lower() != "websocket" or "upgrade" not in fields.get("connection", "").lower():
            raise WebsocketConnectionError("WebSocket handshake error, connection not upgraded")
        expected = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode("ascii")  # noqa: S324 (RFC 6455 §4.2.2)
        if fields.get("sec-websocket-accept") != expected:
            raise WebsocketConnectionError("WebSocket handshake error, invalid secret key")

    # Reading.

    def recv(self, length: int) -> bytes:
        """Up to `length` bytes from inside of data frames. Nothing: the server has closed. BlockingIOError: not yet."""
        while True:
            if self._left:
                data = self._take(length)
                if data:
                    return data
            elif self._closed:
                return b""
            elif self._parse_header():
                continue
            received = self._socket.recv(_CHUNK)
            if not received:
                self._closed = True
                self._left = 0
                return b""
            self._raw += received

    read = recv

    def _take(self, length: int) -> bytes:
        data = bytes(self._raw[: min(length, self._left)])
        del self._raw[: len(data)]
        self._left -= len(data)
        if self._unmask is not None and data:
            taken = len(data) % 4
            data, self._unmask = _masked(data, self._unmask), self._unmask[taken:] + self._unmask[:taken]
        return data

    def _parse_header(self) -> bool:
        """Takes the next frame's header, and all of a control frame. False when more must be received first."""
        raw = self._raw
        if len(raw) < 2:
            return False
        opcode, final = raw[0] & 0x0F, raw[0] & 0x80
        masked, length = raw[1] & 0x80, raw[1] & 0x7F
        start = 2
        if length >= 126:
            width = 2 if length == 126 else 8
            if len(raw) < start + width:
                return False
            length = int.from_bytes(raw[start : start + width], "big")
            start += width
        mask = None
        if masked:
            if len(raw) < start + 4:
                return False
            mask = bytes(raw[start : start + 4])
            start += 4
        if raw[0] & 0x70:
            raise WebsocketConnectionError("WebSocket error, a frame has reserved bits")
        if opcode in (self.OPCODE_BINARY, self.OPCODE_CONTINUATION):
            # Where messages begin and end says nothing in MQTT ([MQTT-6.0.0-2]): only what is in them counts.
            del raw[:start]
            self._left, self._unmask = length, mask
            return True
        if opcode not in (self.OPCODE_CONNCLOSE, self.OPCODE_PING, self.OPCODE_PONG) or length > 125 or not final:
            raise WebsocketConnectionError(f"WebSocket error, a frame has opcode {opcode} and {length} bytes")
        if len(raw) < start + length:
            return False
        data = bytes(raw[start : start + length])
        del raw[: start + length]
        self._control(opcode, data if mask is None else _masked(data, mask))
        return True

    def _control(self, opcode: int, data: bytes) -> None:
        if opcode == self.OPCODE_CONNCLOSE:
            self._closed = True
            self._controls.append(self._create_frame(self.OPCODE_CONNCLOSE, data[:2]))
        elif opcode == self.OPCODE_PING:
            self._controls.append(self._create_frame(self.OPCODE_PONG, data))
        else:
            return
        try:
            self.flush()
        except OSError:
            pass  # what cannot be written now is written later, which tells what is wrong

    def pending(self) -> int:
        """How many bytes have been received that `recv` has not returned: a loop must not wait for the socket then."""
        inner = getattr(self._socket, "pending", None)
        return len(self._raw) + (inner() if inner is not None else 0)

    # Writing.

    def send(self, data: Union[bytes, bytearray]) -> int:
        """Sends one frame. BlockingIOError: not all of it could be written; call again with the same data."""
        if not self._payload:
            self.flush()
            if not data:
                return 0
            self._sending = memoryview(self._create_frame(self.OPCODE_BINARY, data))
            self._payload = len(data)
        self._write()
        # Not len(data), which may have grown since the call that began this frame.
        count, self._payload = self._payload, 0
        return count

    write = send

    def flush(self) -> None:
        """Writes control frames that wait. BlockingIOError: not all of them."""
        if self._payload:
            return  # they go between data frames
        self._write()
        while self._controls:
            self._sending = memoryview(self._controls.popleft())
            self._write()

    def _write(self) -> None:
        while self._sending:
            self._sending = self._sending[self._socket.send(self._sending) :]

    def wants_write(self) -> bool:
        """Whether something waits that is no data of the caller's."""
        return bool(self._controls) or bool(self._sending)

    def _create_frame(self, opcode: int, data: Union[bytes, bytearray], do_masking: int = 1) -> bytes:
        length = len(data)
        mask_bit = 0x80 if do_masking else 0
        if length < 126:
            header = bytes((0x80 | opcode, mask_bit | length))
        elif length < 65536:
            header = bytes((0x80 | opcode, mask_bit | 126)) + length.to_bytes(2, "big")
        else:
            header = bytes((0x80 | opcode, mask_bit | 127)) + length.to_bytes(8, "big")
        if not do_masking:
            return header + data
        mask = os.urandom(4)
        return header + mask + _masked(data, mask)

    # As a socket.

    def close(self) -> None:
        """Says so to the server, if that can be written at once, and closes the socket."""
        if self.connected and not self._closed and not self._sending:
            self._closed = True
            try:
                self._socket.send(self._create_frame(self.OPCODE_CONNCLOSE, b"\x03\xe8"))
            except OSError:
                pass  # it was a courtesy
        self.connected = False
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def setblocking(self, flag: bool) -> None:
        self._socket.setblocking(flag)


def _masked(data: Union[bytes, bytearray], mask: bytes) -> bytes:
    """XOR with the mask's four bytes (§5.3): two long integers at once, 500 times as fast as a loop over bytes."""
    length = len(data)
    keys = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(data, "little") ^ int.from_bytes(keys, "little")).to_bytes(length, "little")

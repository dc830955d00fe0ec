"""What the programs run in: a server, a way to it that can be cut, and the check that `paho.mqtt` is karere."""

from __future__ import annotations

import socket
import sys
import threading
import time
from typing import Callable


def server_port() -> int:
    """The port of the server, which the runner gives as the last argument."""
    return int(sys.argv[-1])


def check_paho() -> None:
    """AssertionError if `paho.mqtt` is somebody else's."""
    import paho.mqtt.client

    assert paho.mqtt.client.__name__ == "karere.paho.client", paho.mqtt.client.__file__


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    """AssertionError if it does not hold in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "took too long"
        time.sleep(0.01)


class Way:
    """Carries bytes to the server and back."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self._open: list[socket.socket] = []
        threading.Thread(target=self._run, daemon=True).start()

    def cut(self) -> None:
        """Ends every connection, as a network does that fails."""
        while self._open:
            try:
                self._open.pop().shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _run(self) -> None:
        while True:
            near, _ = self._listener.accept()
            far = socket.create_connection(("127.0.0.1", server_port()))
            self.connections += 1
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for one in (source, sink):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

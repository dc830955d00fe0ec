"""Loops: how they wait, end, connect anew; threads, forks, and the end of the interpreter."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from client_peer import PINGREQ, PINGRESP, PUBACK, PUBLISH, Server, packet, publish, server, until
from karere.paho import client as mqtt

V2 = mqtt.CallbackAPIVersion.VERSION2


@pytest.fixture
def broker() -> Iterator[Server]:
    with server() as one:
        yield one


def test_loop_stop_comes_back_at_once(broker: Server) -> None:
    broker.serve()
    client = mqtt.Client(V2, "x")
    client.connect("127.0.0.1", broker.port)
    for _ in range(20):
        assert client.loop_start() == 0
        assert client.loop_start() == mqtt.MQTT_ERR_INVAL
        until(client.is_connected)
        began = time.monotonic()
        assert client.loop_stop() == 0
        assert time.monotonic() - began < 0.3
        assert client._thread is None
        assert client.is_connected()
    assert client.loop_stop() == mqtt.MQTT_ERR_INVAL
    client.disconnect()


def test_loop_stop_waits_for_what_was_published(broker: Server) -> None:
    client = mqtt.Client(V2, "x")
    client.connect("127.0.0.1", broker.port)
    peer = broker.accept()
    peer.accept()
    client.loop_start()
    until(client.is_connected)
    info = client.publish("a", b"1", 1)
    stopping = threading.Thread(target=client.loop_stop)
    stopping.start()
    peer.expect(PUBLISH)
    stopping.join(0.2)
    assert stopping.is_alive()
    peer.send(packet(PUBACK << 4, b"\x00\x01"))
    stopping.join(1)
    assert not stopping.is_alive()
    assert info.is_published()


def test_loop_stop_does_not_wait_for_what_cannot_come(broker: Server) -> None:
    client = mqtt.Client(V2, "x")
    client.connect_async("127.0.0.1", 1)
    client.publish("a", b"1", 1)
    client.loop_start()
    time.sleep(0.1)
    began = time.monotonic()
    client.loop_stop()
    assert time.monotonic() - began < 0.3


def test_loop_stop_from_a_callback(broker: Server) -> None:
    broker.serve()
    client = mqtt.Client(V2, "x")
    client.on_connect = lambda client, *_: client.loop_stop()
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    until(lambda: client._thread is None)
    assert client.is_connected()
    client.disconnect()


def test_a_silent_server_is_told_of_once(broker: Server) -> None:
    client = mqtt.Client(V2, "x")
    told: list[Any] = []
    client.on_disconnect = lambda *args: told.append(args[3])
    client.connect("127.0.0.1", broker.port, keepalive=1)
    broker.accept().accept()
    began = time.monotonic()
    while (rc := client.loop(1)) == 0:
        pass
    assert rc == mqtt.MQTT_ERR_CONN_LOST
    assert 1 < time.monotonic() - began < 4
    assert [str(reason) for reason in told] == ["Keep alive timeout"]
    client.loop(0.1)
    assert len(told) == 1


def test_a_server_without_an_answer_to_connect_is_given_up(broker: Server) -> None:
    client = mqtt.Client(V2, "x")
    told: list[Any] = []
    client.on_disconnect = lambda *args: told.append(str(args[3]))
    client.connect("127.0.0.1", broker.port, keepalive=1)
    peer = broker.accept()
    peer.read()
    while client.loop(1) == 0:
        pass
    assert told == ["Keep alive timeout"]


def test_pings_go_out_while_a_long_packet_comes_in(broker: Server) -> None:
    client = mqtt.Client(V2, "x")
    messages: list[Any] = []
    client.on_message = lambda *args: messages.append(args[2])
    client.connect("127.0.0.1", broker.port, keepalive=1)
    peer = broker.accept()
    peer.accept()
    client.loop_start()
    data = publish("a", b"x" * 30)
    for at in range(len(data)):
        peer.send(data[at : at + 1])
        time.sleep(0.07)
    peer.expect(PINGREQ)
    peer.send(packet(PINGRESP << 4))
    until(lambda: messages)
    assert client.is_connected()
    client.disconnect()
    client.loop_stop()


def test_a_lost_connection_is_made_anew_and_what_was_on_its_way_sent_again(broker: Server) -> None:
    client = mqtt.Client(V2, "x", clean_session=False)
    client.reconnect_delay_set(0.05, 0.1)
    order: list[str] = []
    client.on_connect = lambda *args: order.append("connect")
    client.on_disconnect = lambda *args: order.append(f"disconnect {args[3]}")
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    peer = broker.accept()
    peer.accept()
    info = client.publish("a", b"1", 1)
    first = peer.read()
    peer.close()
    peer = broker.accept()
    peer.accept()
    assert peer.read() == (first[0] | 8, first[1])
    peer.send(packet(PUBACK << 4, b"\x00\x01"))
    info.wait_for_publish(5)
    assert info.is_published()
    client.disconnect()
    client.loop_stop()
    assert order == ["connect", "disconnect Unspecified error", "connect", "disconnect Normal disconnection"]


def test_what_is_published_without_a_connection_is_sent_and_its_rc_repaired(broker: Server) -> None:
    broker.serve()
    client = mqtt.Client(V2, "x")
    lost, kept = client.publish("a", b"0"), client.publish("a", b"1", 1)
    assert (lost.rc, kept.rc) == (mqtt.MQTT_ERR_NO_CONN, mqtt.MQTT_ERR_NO_CONN)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    until(lambda: kept.rc == 0)
    kept.wait_for_publish(5)
    assert kept.is_published()
    assert lost.rc == mqtt.MQTT_ERR_NO_CONN
    client.disconnect()
    client.loop_stop()


def test_attempts_come_after_the_delays_that_were_set() -> None:
    client = mqtt.Client(V2, "x")
    client.reconnect_delay_set(0.1, 0.3)
    times: list[float] = []
    client.on_connect_fail = lambda *_: times.append(time.monotonic())
    client.connect_async("127.0.0.1", 1)
    client.loop_start()
    until(lambda: len(times) == 5)
    client.disconnect()
    client.loop_stop()
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    for gap, wanted in zip(gaps, (0.1, 0.2, 0.3, 0.3)):
        assert wanted <= gap < wanted + 0.15


def test_loop_forever_raises_what_the_first_attempt_raised_unless_it_is_to_retry() -> None:
    client = mqtt.Client(V2, "x")
    failures: list[int] = []

    def on_connect_fail(client: Any, userdata: Any) -> None:
        failures.append(1)
        if len(failures) == 3:
            client.disconnect()

    client.on_connect_fail = on_connect_fail
    client.reconnect_delay_set(0.01, 0.01)
    client.connect_async("127.0.0.1", 1)
    with pytest.raises(ConnectionRefusedError):
        client.loop_forever()
    assert len(failures) == 1
    client.connect_async("127.0.0.1", 1)
    assert client.loop_forever(retry_first_connection=True) == mqtt.MQTT_ERR_NO_CONN
    assert len(failures) == 3


def test_without_reconnect_on_failure_the_loop_ends(broker: Server) -> None:
    client = mqtt.Client(V2, "x", reconnect_on_failure=False)
    client.connect("127.0.0.1", broker.port)
    peer = broker.accept()
    peer.accept()
    peer.close()
    assert client.loop_forever() == mqtt.MQTT_ERR_CONN_LOST


def test_loop_start_before_there_is_anywhere_to_connect_to(broker: Server) -> None:
    broker.serve()
    client = mqtt.Client(V2, "x")
    client.reconnect_delay_set(0.05, 0.1)
    client.loop_start()
    time.sleep(0.3)
    assert client._thread is not None and client._thread.is_alive()
    client.connect("127.0.0.1", broker.port)
    until(client.is_connected)
    client.disconnect()
    client.loop_stop()


def test_connecting_elsewhere_while_the_loop_runs_opens_one_connection(broker: Server) -> None:
    broker.serve()
    with server() as other:
        client = mqtt.Client(V2, "x")
        client.reconnect_delay_set(0.05, 0.1)
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        until(client.is_connected)
        client.connect("127.0.0.1", other.port)
        peer = other.accept()
        peer.accept()
        until(client.is_connected)
        with pytest.raises(socket.timeout):
            other.accept(0.5)
        client.disconnect()
        assert peer.read() == (0xE0, b"")
        client.loop_stop()


def test_fifty_clients_in_one_process(broker: Server) -> None:
    broker.serve()
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    got: list[list[bytes]] = [[] for _ in range(50)]
    clients = []
    for number in range(50):
        client = mqtt.Client(V2, f"client {number}", userdata=got[number])
        client.on_connect = lambda client, *_: client.publish("echo", client._client_id, 1)
        client.on_message = lambda _, mine, message: mine.append(message.payload)
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        clients.append(client)
    until(lambda: all(got), 20)
    assert got == [[f"client {number}".encode()] for number in range(50)]
    for client in clients:
        client.disconnect()
    began = time.monotonic()
    for client in clients:
        client.loop_stop()
    assert time.monotonic() - began < 5
    del client, clients
    broker.close()
    if before:
        until(lambda: len(set(os.listdir("/proc/self/fd")) - before) < 5)


@pytest.mark.skipif(not hasattr(select, "poll"), reason="select() cannot either")
def test_descriptors_beyond_1024(broker: Server) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2000:
        pytest.skip("not so many descriptors here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2000, hard))
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(1200)]
    try:
        broker.serve()
        client = mqtt.Client(V2, "x")
        client.connect("127.0.0.1", broker.port)
        assert client.socket().fileno() > 1024
        assert client.loop(5) == 0
        assert client.is_connected()
        client.disconnect()
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Poller:
    """A loop of the program's own, as paho's examples have it."""

    def __init__(self, client: mqtt.Client) -> None:
        self.client = client
        self.reads: set[Any] = set()
        self.writes: set[Any] = set()
        self.order: list[str] = []
        client.on_socket_open = lambda _, __, sock: self._note("open", self.reads.add, sock)
        client.on_socket_close = lambda _, __, sock: self._note("close", self.reads.remove, sock)
        client.on_socket_register_write = lambda _, __, sock: self._note("register", self.writes.add, sock)
        client.on_socket_unregister_write = lambda _, __, sock: self._note("unregister", self.writes.remove, sock)

    def _note(self, name: str, change: Any, sock: Any) -> None:
        assert sock.fileno() >= 0
        self.order.append(name)
        change(sock)

    def turn(self, timeout: float = 1.0) -> None:
        readable, writable, _ = select.select(self.reads, self.writes, [], timeout)
        if readable:
            self.client.loop_read()
        if writable:
            self.client.loop_write()
        self.client.loop_misc()


def test_a_loop_of_ones_own_with_a_small_send_buffer(broker: Server) -> None:
    broker.serve()
    client = mqtt.Client(V2, "x")
    poller = Poller(client)
    got: list[int] = []
    client.on_message = lambda _, __, message: got.append(len(message.payload))
    client.connect("127.0.0.1", broker.port)
    assert poller.order == ["open", "register"]
    client.socket().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
    while not client.is_connected():
        poller.turn()
    assert poller.order == ["open", "register", "unregister"]
    for qos in range(3):
        client.publish("echo", b"x" * 200_000, qos)
        assert client.want_write()
        assert poller.writes
        # Nothing was written from here: that is what the callback is for.
        turns = 0
        while len(got) <= qos:
            poller.turn()
            turns += 1
        assert turns > 3
    while client._out_messages:
        poller.turn()
    client.disconnect()
    assert client.socket() is not None
    poller.turn()
    assert client.socket() is None
    assert got == [200_000] * 3
    assert poller.order[-2:] == ["unregister", "close"]
    assert not poller.reads and not poller.writes
    assert client.loop_misc() == mqtt.MQTT_ERR_NO_CONN


def test_a_small_send_buffer_with_a_thread(broker: Server) -> None:
    broker.serve()
    client = mqtt.Client(V2, "x")
    client.on_socket_open = lambda _, __, sock: sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    infos = [client.publish("x", b"y" * 300_000, qos) for qos in (0, 1, 2) * 3]
    for info in infos:
        info.wait_for_publish(20)
        assert info.is_published()
    client.disconnect()
    client.loop_stop()


PROGRAM = """
import os, signal, sys, threading, time
from karere.paho import client as mqtt
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "x")
client.connect("127.0.0.1", int(sys.argv[1]))
"""


def run(broker: Server, program: str, *, interrupt: bool = False) -> tuple[int, str, str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM + program, str(broker.port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if interrupt:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    return process.returncode, out, err


@pytest.mark.parametrize(
    "call",
    [
        "while True: client.loop(30)",
        "client.loop_forever(30)",
        "client.publish('never', b'', 1) and client.loop_start() or client.publish('never', b'', 2).wait_for_publish()",
        "client.disconnect(); client.connect_async('127.0.0.1', 1); client.loop_forever(retry_first_connection=True)",
    ],
    ids=["loop", "loop_forever", "wait_for_publish", "waiting to reconnect"],
)
def test_ctrl_c_leaves(broker: Server, call: str) -> None:
    def connack_only(peer: Any) -> None:
        peer.accept()
        while True:
            peer.read()

    broker.serve(connack_only)
    program = f"""
client.on_connect = lambda *_: None
client.reconnect_delay_set(30)
print("ready", flush=True)
try:
    {call}
except KeyboardInterrupt:
    print("left", flush=True)
"""
    code, out, err = run(broker, program, interrupt=True)
    assert (code, out, err) == (0, "left\n", "")


def test_the_interpreter_ends_while_the_loop_runs(broker: Server) -> None:
    broker.serve()
    for _ in range(5):
        program = """
client.on_message = lambda *_: None
client.loop_start()
client.subscribe("echo")
for _ in range(2000):
    client.publish("echo", b"x" * 100, 1)
"""
        began = time.monotonic()
        assert run(broker, program) == (0, "", "")
        assert time.monotonic() - began < 10


def test_a_child_process_is_refused_and_the_parent_goes_on(broker: Server) -> None:
    broker.serve()
    program = """
client.loop_start()
while not client.is_connected():
    time.sleep(0.01)
child = os.fork()
if not child:
    for call in (lambda: client.publish("a"), client.loop, client.loop_start, client.disconnect, client.reconnect):
        try:
            call()
        except RuntimeError as error:
            assert "fork" in str(error), error
        else:
            print("was not refused", flush=True)
    # A new one works.
    fresh = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "y")
    fresh.connect("127.0.0.1", int(sys.argv[1]))
    while not fresh.is_connected():
        assert fresh.loop(5) == 0
    fresh.disconnect()
    del client, fresh
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
info = client.publish("a", b"", 1)
info.wait_for_publish(5)
print(info.is_published())
client.disconnect()
client.loop_stop()
"""
    code, out, err = run(broker, program)
    assert (code, out) == (0, "7\nTrue\n"), err


def test_a_callback_that_raises_ends_the_thread_and_loop_start_begins_another(broker: Server) -> None:
    broker.serve()
    client = mqtt.Client(V2, "x")
    faults: list[Any] = []
    hook, threading.excepthook = threading.excepthook, lambda args: faults.append(args.exc_value)
    try:
        client.on_message = lambda *_: 1 / 0
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        until(client.is_connected)
        client.publish("echo")
        until(lambda: client._thread is None)
        until(lambda: faults)
    finally:
        threading.excepthook = hook
    assert isinstance(faults[0], ZeroDivisionError)
    client.on_message = None
    assert client.loop_start() == 0
    info = client.publish("x", b"", 1)
    info.wait_for_publish(5)
    assert info.is_published()
    client.disconnect()
    client.loop_stop()

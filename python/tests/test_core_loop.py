"""Threads, signals and descriptors of the native loop."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from core_peer import CONNACK_OK, DISCONNECT, Peer, kind, packet, puback, publish

from karere import _core


class Turning:
    """A thread that turns until something is told."""

    def __init__(self, core, timeout=10.0):
        self.events = None
        self.took = None
        self.thread = threading.Thread(target=self.run, args=(core, timeout), daemon=True)
        self.thread.start()
        time.sleep(0.1)  # it sleeps in poll

    def run(self, core, timeout):
        before = time.monotonic()
        self.events = core.turn(timeout, True)
        self.took = time.monotonic() - before

    def join(self):
        self.thread.join(5)
        assert not self.thread.is_alive()
        return self.events


def script(text, *arguments):
    """Runs a program of its own in a process of its own."""
    here = os.path.dirname(__file__)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([here, *sys.path])}
    command = [sys.executable, "-c", textwrap.dedent(text), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20)


def test_a_turn_ends_in_time():
    peer = Peer()
    peer.connect()
    before = time.monotonic()
    assert peer.turn(0.2) == []
    assert 0.19 <= time.monotonic() - before < 1
    assert peer.turn(0) == []
    assert Peer().turn(5) == [], "there is nothing to wait for"


def test_a_turn_ends_when_bytes_were_moved_unless_it_is_patient():
    peer = Peer()
    peer.connect()
    info = peer.core.publish("a", "x", 1, False, None, False)
    before = time.monotonic()
    assert peer.turn(5) == [] and peer.read()[:1] == b"\x32"
    peer.write(puback(1))
    assert peer.turn(5) == [] and info.is_published()
    assert time.monotonic() - before < 1
    info = peer.core.publish("a", "x", 1, False, None, False)
    answer = threading.Timer(0.1, lambda: peer.write(puback(2)))
    answer.start()
    assert peer.core.turn(0.5, patient=True) == [] and info.is_published()
    assert time.monotonic() - before >= 0.5


def test_wake_ends_the_turn_that_waits_or_the_next_one():
    peer = Peer()
    peer.connect()
    turning = Turning(peer.core)
    peer.core.wake()
    assert turning.join() == []
    assert turning.took < 1
    peer.core.wake()
    before = time.monotonic()
    assert peer.turn(5) == []
    assert time.monotonic() - before < 1
    before = time.monotonic()
    peer.turn(0.2)
    assert time.monotonic() - before >= 0.19, "once only"


def test_the_wake_descriptor_is_readable_until_events_are_asked_for():
    peer = Peer()
    fd = peer.core.wake_fd()
    readable = lambda: bool(select.select([fd], [], [], 0)[0])  # noqa: E731
    assert not readable()
    peer.core.wake()
    peer.core.wake()
    assert readable()
    for ask in (peer.core.misc, peer.core.events, lambda: peer.core.turn(0)):
        assert ask() == []
        assert not readable()
        peer.core.wake()
        assert readable()


def test_what_another_thread_publishes_leaves_at_once():
    peer = Peer()
    peer.connect()
    turning = Turning(peer.core)
    for number in range(3):
        before = time.monotonic()
        peer.core.publish("a", str(number), 0, False, None, False)
        assert peer.read() == packet(0x30, b"\x00\x01a" + str(number).encode())
        assert time.monotonic() - before < 1
    assert turning.thread.is_alive(), "nothing was to be told"
    peer.core.wake()
    turning.join()


def test_waiting_for_a_message_needs_no_help_of_the_interpreter():
    peer = Peer()
    peer.connect()
    turning = Turning(peer.core)
    info = peer.core.publish("a", "x", 1, False, None, False)
    answer = threading.Timer(0.1, lambda: peer.write(puback(1)))
    answer.start()
    info.wait_for_publish(5)
    assert info.is_published()
    assert turning.thread.is_alive(), "it has not returned to the interpreter meanwhile"
    peer.core.wake()
    turning.join()


def test_a_message_ends_the_turn():
    peer = Peer()
    peer.connect()
    turning = Turning(peer.core)
    peer.write(publish(b"a", b"x"))
    (message,) = turning.join()
    assert (message.topic, message.payload, message.qos, message.mid) == ("a", b"x", 0, 0)
    assert 0 <= time.monotonic() - message.timestamp < 1


def test_many_messages_come_in_batches_and_none_is_lost():
    peer = Peer()
    peer.connect()
    writer = threading.Thread(target=peer.write, args=(b"".join(publish(b"a", b"%d" % n) for n in range(5000)),))
    writer.start()
    got, largest = [], 0
    while len(got) < 5000:
        events = peer.turn(2)
        assert events
        got += [int(message.payload) for message in events]
        largest = max(largest, len(events))
    writer.join()
    assert got == list(range(5000))
    assert largest > 100
    assert not peer.core.has_events()


def test_two_threads_may_turn():
    peer = Peer()
    peer.connect()
    first, second = Turning(peer.core, 1.0), Turning(peer.core, 1.0)
    peer.write(publish(b"a", b"x"))
    first.thread.join(5)
    second.thread.join(5)
    assert sorted([len(first.events), len(second.events)]) == [0, 1]


@pytest.mark.parametrize("end", ["abandon", "close", "reset", "open"])
def test_a_transport_can_be_taken_from_a_thread_that_waits(end):
    peer = Peer()
    peer.connect()
    turning = Turning(peer.core)
    other = socket.socketpair()
    other[0].setblocking(False)
    arguments = {"close": (None,), "open": (other[0].fileno(),)}.get(end, ())
    before = time.monotonic()
    getattr(peer.core, end)(*arguments)
    assert time.monotonic() - before < 1
    events = turning.join()
    assert turning.took < 2
    told = [event[:2] for event in events + peer.core.events()]
    assert told == ([(_core.DISCONNECTED, _core.LOST)] if end == "close" else [])
    assert peer.core.has_transport() == (end == "open")
    peer.far.settimeout(0.2)
    peer.write(publish(b"a", b"x"))
    assert peer.mine.recv(100) == publish(b"a", b"x"), "nobody else reads there"


def test_partial_writes_lose_and_double_nothing():
    peer = Peer()
    peer.connect(buffer=2048)
    payload = bytes(range(256)) * 800
    infos = [peer.core.publish("big", payload, qos, False, None, True) for qos in (0, 1)]
    assert not infos[0].is_published()
    assert peer.core.want_write()
    assert peer.core.unsent() > 200_000
    got = []
    reader = threading.Thread(target=lambda: got.extend([peer.read(), peer.read()]))
    reader.start()
    end = time.monotonic() + 10
    while peer.core.want_write() and time.monotonic() < end:
        peer.turn(0.1)
    reader.join(5)
    assert got == [packet(0x30, b"\x00\x03big" + payload), packet(0x32, b"\x00\x03big\x00\x02" + payload)]
    assert infos[0].is_published()
    assert peer.core.unsent() == 0


def test_an_outer_loop_reads_and_writes_by_itself():
    peer = Peer()
    peer.open(buffer=2048)
    assert peer.core.want_write()
    assert peer.core.write() == []
    assert not peer.core.want_write()
    peer.read()
    peer.write(CONNACK_OK + publish(b"a", b"x") * 3000)
    events = []
    while len(events) < 3001:
        select.select([peer.mine], [], [], 5)
        events += peer.core.read()
    assert kind(events[0]) == _core.CONNACK
    assert [message.payload for message in events[1:]] == [b"x"] * 3000
    assert peer.core.read() == []
    payload = b"y" * 100_000
    peer.core.publish("b", payload, 0, False, None, False)
    got = []
    reader = threading.Thread(target=lambda: got.append(peer.read()))
    reader.start()
    while peer.core.want_write():
        select.select([], [peer.mine], [], 5)
        peer.core.write()
    reader.join(5)
    assert got == [packet(0x30, b"\x00\x01b" + payload)]


def test_bytes_may_go_through_the_callers_hands():
    core = Peer().core
    core.open(None)
    assert core.want_write()
    connect = core.drain()
    assert connect[:1] == b"\x10" and core.drain() == connect, "until they are said to be sent"
    assert core.sent(3) == []
    assert core.drain() == connect[3:]
    core.sent(len(connect) - 3)
    assert core.drain() == b"" and not core.want_write()
    with pytest.raises(ValueError):
        core.sent(1)
    whole = CONNACK_OK + publish(b"a", b"x")
    events = [event for byte in whole for event in core.feed(bytes([byte]))]
    assert events[0][:2] == (_core.CONNACK, True)
    assert events[1].payload == b"x"
    info = core.publish("a", b"y" * 100_000, 0, False, None, True)
    assert not info.is_published()
    sent = b""
    while core.want_write():
        piece = core.drain()
        assert 0 < len(piece) <= 65536
        sent += piece
        core.sent(len(piece))
    assert sent == packet(0x30, b"\x00\x01a" + b"y" * 100_000)
    assert info.is_published()
    core.disconnect(None, None)
    assert core.events() == [], "DISCONNECT is to be sent first"
    assert core.drain() == DISCONNECT
    assert core.sent(2)[-1][:2] == (_core.DISCONNECTED, _core.REQUESTED)
    assert not core.has_transport()


def test_the_wake_descriptor_tells_who_carries_bytes_of_new_ones():
    core = Peer().core
    fd = core.wake_fd()
    core.open(None)
    core.sent(len(core.drain()))
    core.feed(CONNACK_OK)
    core.events()
    assert not select.select([fd], [], [], 0)[0]
    core.publish("a", "x", 0, False, None, False)
    assert select.select([fd], [], [], 0)[0]


def test_the_end_of_the_other_side_is_told_after_what_it_said():
    peer = Peer()
    peer.connect()
    peer.write(publish(b"a", b"last"))
    peer.far.close()
    events = peer.until(lambda event: kind(event) == _core.DISCONNECTED)
    assert events[0].payload == b"last"
    assert events[1][:4] == (_core.DISCONNECTED, _core.LOST, None, None)
    assert not peer.core.has_transport() and not peer.core.is_connected()
    assert peer.turn(1) == []


def test_a_descriptor_that_was_closed_is_a_lost_connection():
    peer = Peer()
    peer.connect()
    peer.mine.close()
    assert peer.ended()[1] == _core.LOST


def test_ctrl_c_leaves_the_turn_and_the_wait():
    done = script(
        """
        import os, signal, threading, time
        from core_peer import Peer
        peer = Peer()
        peer.connect()
        info = peer.core.publish("a", "x", 1, False, None, False)
        for what in (lambda: peer.core.turn(10, True), lambda: info.wait_for_publish(10), lambda: info.wait_for_publish()):
            threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
            before = time.monotonic()
            try:
                what()
            except KeyboardInterrupt:
                print("left", time.monotonic() - before < 2)
        peer.core.turn(0)
        print(peer.read()[:1])
        """
    )
    assert done.stdout.split("\n")[:4] == ["left True"] * 3 + [r"b'2'"], done


def test_a_handled_signal_does_not_end_the_turn():
    done = script(
        """
        import signal, time
        from core_peer import Peer
        peer = Peer()
        peer.connect()
        seen = []
        signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        before = time.monotonic()
        print(peer.core.turn(0.5, True), len(seen), time.monotonic() - before >= 0.49)
        """
    )
    assert done.stdout.strip() == "[] 1 True", done


def test_a_child_process_is_refused_and_told_why():
    done = script(
        """
        import os, threading
        from core_peer import Peer
        peer = Peer()
        peer.connect()
        threading.Thread(target=peer.core.turn, args=(2,), daemon=True).start()
        child = os.fork()
        if child == 0:
            refused = 0
            for use in (lambda: peer.core.publish("a", "x", 0, False, None, True), lambda: peer.core.turn(0),
                        lambda: peer.core.abandon(), lambda: peer.core.has_transport(), lambda: peer.core.wake()):
                try:
                    use()
                except RuntimeError as error:
                    refused += "fork" in str(error)
            fresh = Peer()
            fresh.connect()
            os._exit(refused)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        peer.core.publish("a", "x", 0, False, None, True)
        print(peer.read()[:1])
        """
    )
    assert done.stdout.split() == ["5", "b'0'"], done


def test_the_interpreter_ends_while_a_thread_turns():
    done = script(
        """
        import threading, time
        from core_peer import Peer
        peer = Peer()
        peer.connect()
        def loop():
            while True:
                peer.core.turn(10)
        threading.Thread(target=loop, daemon=True).start()
        time.sleep(0.1)
        print("end")
        """
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "end", "")


def test_publishers_and_reconnections_at_once_lose_nothing():
    peer = Peer()
    each, publishers = 400, 4
    infos, stop = [], threading.Event()
    lock = threading.Lock()

    def produce(name):
        for number in range(each):
            info = peer.core.publish(f"p/{name}", str(number), 1, False, None, number % 7 == 0)
            with lock:
                infos.append(info)

    def loop():
        while not stop.is_set():
            if not peer.core.turn(0.05):
                time.sleep(0.001)

    threads = [threading.Thread(target=produce, args=(name,)) for name in range(publishers)]
    looping = threading.Thread(target=loop)
    looping.start()
    for thread in threads:
        thread.start()
    seen = set()
    deadline = time.monotonic() + 20
    connection = 0
    while len(seen) < each * publishers and time.monotonic() < deadline:
        connection += 1
        peer.open()
        peer.write(CONNACK_OK)
        peer.read()
        for _ in range(211 * connection):
            peer.far.settimeout(0.3)
            try:
                whole = peer.read()
            except socket.timeout:
                break
            length = len(whole) - whole.index(b"p/")
            topic_and_rest = whole[-length:]
            seen.add((topic_and_rest[:3], topic_and_rest[5:]))
            peer.write(puback(int.from_bytes(topic_and_rest[3:5], "big")))
    for thread in threads:
        thread.join(5)
    for info in infos:
        info.wait_for_publish(5)
    stop.set()
    peer.core.wake()
    looping.join(5)
    assert connection > 1
    assert len(seen) == each * publishers
    assert peer.core.out_len() == 0

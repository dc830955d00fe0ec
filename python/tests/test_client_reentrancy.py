"""Every call of the client from inside of every callback: none waits for anything the caller holds."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from client_peer import Server, publish, server, until
from karere.paho import client as mqtt

V2 = mqtt.CallbackAPIVersion.VERSION2


@pytest.fixture
def broker() -> Iterator[Server]:
    with server() as one:
        yield one.serve()


def _properties(client: mqtt.Client) -> None:
    for name in "host port keepalive transport connect_timeout max_inflight_messages max_queued_messages username password".split():
        try:
            setattr(client, name, getattr(client, name))
        except RuntimeError:
            pass  # there is a connection; what counts is that it comes back


CALLS: dict[str, Any] = {
    "publish 0": lambda client: client.publish("x", b"p"),
    "publish 1": lambda client: client.publish("x", b"p", 1),
    "publish 2": lambda client: client.publish("x", b"p", 2),
    "subscribe": lambda client: client.subscribe("x"),
    "unsubscribe": lambda client: client.unsubscribe("x"),
    "disconnect": lambda client: client.disconnect(),
    "reconnect": lambda client: client.reconnect(),
    "connect": lambda client: client.connect("127.0.0.1", client.port),
    "connect_async": lambda client: client.connect_async("127.0.0.1", client.port),
    "loop": lambda client: client.loop(0.01),
    "loop_read": lambda client: client.loop_read(),
    "loop_write": lambda client: client.loop_write(),
    "loop_misc": lambda client: client.loop_misc(),
    "loop_start": lambda client: client.loop_start(),
    "loop_stop": lambda client: client.loop_stop(),
    "want_write": lambda client: client.want_write(),
    "is_connected": lambda client: client.is_connected(),
    "socket": lambda client: client.socket(),
    "ack": lambda client: client.ack(1, 1),
    "wait_for_publish": lambda client: client.publish("x", qos=1).wait_for_publish(0.01) if client.is_connected() else None,
    "message_callback_add": lambda client: client.message_callback_add("z", lambda *_: None),
    "message_callback_remove": lambda client: client.message_callback_remove("z"),
    "callbacks": lambda client: [setattr(client, name, getattr(client, name)) for name in Session.NAMES],
    "user_data_set": lambda client: client.user_data_set(client.user_data_get()),
    "will": lambda client: (client.will_set("w"), client.will_clear()),
    "limits": lambda client: (client.max_inflight_messages_set(20), client.max_queued_messages_set(0)),
    "logger": lambda client: (client.enable_logger(), client.disable_logger()),
    "drop_out_messages": lambda client: client.drop_out_messages(),
    "properties": _properties,
    "views": lambda client: (dict(client._out_messages), list(client._in_messages), len(client._out_packet)),
    "reinitialise": lambda client: client.reinitialise("again"),
}


class Session:
    """A session with everything in it, where one callback makes one call the first time it is called."""

    NAMES = (
        "on_pre_connect on_connect on_connect_fail on_disconnect on_message on_publish on_subscribe on_unsubscribe on_log "
        "on_socket_open on_socket_close on_socket_register_write on_socket_unregister_write"
    ).split()

    def __init__(self, broker: Server, inside: str, call: Any, writes: bool) -> None:
        self.broker, self.inside, self.call = broker, inside, call
        self.done = threading.Event()
        self.fault: Any = None
        self.client = client = mqtt.Client(V2, "x")
        client.reconnect_delay_set(0.01, 0.01)
        names = [name for name in self.NAMES if writes or "_write" not in name]
        for name in names:
            setattr(client, name, self._callback(name))

    def _callback(self, name: str) -> Any:
        def callback(client: mqtt.Client, userdata: Any, *args: Any) -> None:
            if name == self.inside and not self.done.is_set():
                self.done.set()
                try:
                    self.call(client)
                except ValueError as error:
                    # After reinitialise() there is no host.
                    if str(error) != "Invalid host.":
                        self.fault = error
                except ConnectionRefusedError as error:
                    self.fault = None if name == "on_connect_fail" else error
                except Exception as error:  # noqa: BLE001
                    self.fault = error
            if name == "on_connect":
                client.subscribe("echo")
                client.unsubscribe("other")
                for qos in range(3):
                    client.publish("echo", b"x", qos)

        return callback

    def run(self) -> None:
        client = self.client
        if self.inside == "on_connect_fail":
            client.connect_async("127.0.0.1", 1)
        else:
            client.connect_async("127.0.0.1", self.broker.port)
        client.loop_start()
        if self.inside in ("on_disconnect", "on_socket_close"):
            until(lambda: client.is_connected() or self.done.is_set())
            client.disconnect()
        assert self.done.wait(5), f"{self.inside} was not called"


@pytest.mark.parametrize("writes", [False, True], ids=["plain", "with on_socket_register_write"])
@pytest.mark.parametrize("inside", Session.NAMES)
def test_every_call_from_inside_of_every_callback_comes_back(broker: Server, inside: str, writes: bool) -> None:
    if "_write" in inside and not writes:
        pytest.skip("is not called")
    for name, call in CALLS.items():
        session = Session(broker, inside, call, writes)
        worker = threading.Thread(target=session.run, daemon=True)
        worker.start()
        worker.join(10)
        assert not worker.is_alive(), f"{name} in {inside} hangs"
        assert session.done.is_set(), f"{inside} was not called"
        assert session.fault is None, f"{name} in {inside}: {session.fault!r}"
        # The client is alive still, and its thread ends when it is told to.
        client = session.client
        client.disconnect()
        client.drop_out_messages()
        began = time.monotonic()
        client.loop_stop()
        assert time.monotonic() - began < 2, f"{name} in {inside}: loop_stop took {time.monotonic() - began} s"


def test_reconnect_in_on_message_at_every_qos(broker: Server) -> None:
    for qos in range(3):
        client = mqtt.Client(V2, "x")
        client.on_socket_open = client.on_socket_close = lambda *_: None
        connects: list[int] = []
        messages: list[bytes] = []

        def on_connect(client: Any, *args: Any, connects: list[int] = connects, qos: int = qos) -> None:
            connects.append(1)
            if len(connects) == 1:
                client.publish("echo", b"m", qos)

        def on_message(client: Any, _: Any, message: Any, messages: list[bytes] = messages) -> None:
            messages.append(message.payload)
            client.reconnect()

        client.on_connect = on_connect
        client.on_message = on_message
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        until(lambda connects=connects: len(connects) == 2)
        client.disconnect()
        client.loop_stop()
        assert messages == [b"m"]


def test_a_loop_inside_of_a_callback_tells_what_comes(broker: Server) -> None:
    client = mqtt.Client(V2, "x")
    order = []

    def on_connect(client: Any, *args: Any) -> None:
        order.append("connect begins")
        client.subscribe("echo")
        while "subscribed" not in order:
            assert client.loop(1) == 0
        order.append("connect ends")

    client.on_connect = on_connect
    client.on_subscribe = lambda *_: order.append("subscribed")
    client.connect("127.0.0.1", broker.port)
    assert client.loop(5) == 0
    assert order == ["connect begins", "subscribed", "connect ends"]
    client.disconnect()


def test_callbacks_run_one_at_a_time_whoever_publishes(broker: Server) -> None:
    client = mqtt.Client(V2, "x")
    inside = threading.Lock()
    overlaps: list[int] = []
    published: list[int] = []

    def on_publish(client: Any, userdata: Any, mid: int, *args: Any) -> None:
        if not inside.acquire(False):
            overlaps.append(mid)
            return
        time.sleep(0.0005)
        published.append(mid)
        inside.release()

    client.on_publish = on_publish
    client.connect("127.0.0.1", broker.port)
    client.loop(5)
    stop = threading.Event()

    def loop() -> None:
        while not stop.is_set():
            client.loop(0.01)

    def send(qos: int) -> None:
        for _ in range(50):
            client.publish("x", b"p", qos)

    looping = threading.Thread(target=loop)
    sending = [threading.Thread(target=send, args=(qos,)) for qos in (0, 1, 0, 1)]
    for thread in (looping, *sending):
        thread.start()
    for thread in sending:
        thread.join()
    until(lambda: len(published) == 200)
    stop.set()
    looping.join()
    assert overlaps == []
    assert sorted(published) == list(range(1, 201))


def test_a_slow_callback_keeps_nobody_from_publishing(broker: Server) -> None:
    client = mqtt.Client(V2, "x")
    inside, go_on = threading.Event(), threading.Event()

    def on_publish(*args: Any) -> None:
        inside.set()
        go_on.wait(5)

    client.on_publish = on_publish
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    until(client.is_connected)
    client.publish("x", b"1", 1)
    assert inside.wait(5)
    began = time.monotonic()
    for qos in range(3):
        client.publish("x", b"2", qos)
    assert time.monotonic() - began < 0.5
    go_on.set()
    until(lambda: len(client._out_messages) == 0)
    client.disconnect()
    client.loop_stop()


def test_messages_that_came_with_one_whose_callback_reconnects_are_told(broker: Server) -> None:
    with server() as other:
        client = mqtt.Client(V2, "x")
        told: list[bytes] = []

        def on_message(client: Any, _: Any, message: Any) -> None:
            told.append(message.payload)
            if message.payload == b"0":
                client.reconnect()

        client.on_message = on_message
        client.connect("127.0.0.1", other.port)
        peer = other.accept()
        peer.accept()
        client.loop(5)
        peer.send(b"".join(publish("a", str(number).encode()) for number in range(5)))
        client.loop(5)
        assert other.accept().accept()
        assert client.loop(5) == 0
        assert client.is_connected()
        assert told == [b"0", b"1", b"2", b"3", b"4"]

"""Names with an underscore that programs are known to use, and what a client is as a Python object."""

from __future__ import annotations

import gc
import inspect
import logging
import subprocess
import sys
import threading
import unittest.mock
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from client_peer import PUBACK, PUBLISH, Server, packet, publish, server, until
from karere.paho import client as mqtt

V2 = mqtt.CallbackAPIVersion.VERSION2

MUTEXES = (
    "_in_callback_mutex _callback_mutex _msgtime_mutex _out_message_mutex _in_message_mutex _reconnect_delay_mutex "
    "_mid_generate_mutex"
).split()


@pytest.fixture
def broker() -> Iterator[Server]:
    with server() as one:
        yield one


class NullLock:
    """Home Assistant's, which has one thread only."""

    def __enter__(self) -> NullLock:
        return self

    def __exit__(self, *args: object) -> None: ...

    def acquire(self, blocking: bool = False, timeout: int = -1) -> None: ...

    def release(self) -> None: ...


def test_the_mutexes_can_be_replaced(broker: Server) -> None:
    class Mine(mqtt.Client):
        def setup(self) -> None:
            for name in MUTEXES:
                assert hasattr(self, name)
                setattr(self, name, NullLock())

    broker.serve()
    client = Mine(callback_api_version=V2, client_id="x", reconnect_on_failure=False)
    client.setup()
    client.message_callback_add("echo", lambda *args: got.append(args[2].payload))
    got: list[bytes] = []
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    client.publish("echo", b"1", 1).wait_for_publish(5)
    until(lambda: got == [b"1"])
    client.disconnect()
    client.loop_stop()


def test_the_mutexes_are_free_in_callbacks(broker: Server) -> None:
    broker.serve()
    held: list[str] = []
    client = mqtt.Client(V2, "x")

    def look(*args: Any) -> None:
        def other() -> None:
            held.extend(name for name in MUTEXES if not getattr(client, name).acquire(blocking=False))

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        for name in MUTEXES:
            setattr(client, name, threading.RLock())

    for name in "on_connect on_message on_publish on_disconnect on_pre_connect on_socket_open on_socket_close".split():
        setattr(client, name, look)
    client.message_callback_add("echo/2", look)
    client.connect("127.0.0.1", broker.port)
    client.loop(5)
    for qos in range(3):
        client.publish(f"echo/{qos}", b"1", qos)
    while client._out_messages or client._in_messages:
        client.loop(5)
    client.disconnect()
    assert held == []


def test_mutexes_held_by_somebody_else_stop_nothing(broker: Server) -> None:
    broker.serve()
    client = mqtt.Client(V2, "x")
    got: list[bytes] = []
    client.on_message = lambda _, __, message: got.append(message.payload)
    with client._in_callback_mutex, client._out_message_mutex, client._in_message_mutex, client._callback_mutex:
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        client.publish("echo", b"1", 2).wait_for_publish(5)
        until(lambda: got)
        client.disconnect()
        client.loop_stop()


def test_what_a_built_client_is_given_goes_into_connect(broker: Server) -> None:
    # As Flask-MQTT does.
    client = mqtt.Client(V2)
    client._transport = "tcp"
    client._protocol = 4
    client._clean_session = False
    client._client_id = "flask"
    client._clean_session = True
    client._userdata = "mine"
    client.username_pw_set("u", "p")
    client._client_id = b"flask"
    client.connect("127.0.0.1", broker.port)
    assert broker.accept().accept() == b"\x00\x04MQTT\x04\xc2\x00\x3c\x00\x05flask\x00\x01u\x00\x01p"
    seen: list[Any] = []
    client.on_connect = lambda _, userdata, *__: seen.append(userdata)
    client.loop(5)
    assert seen == ["mine"]


def test_what_waits_can_be_seen_and_given_up(broker: Server) -> None:
    client = mqtt.Client(V2, "x")
    assert not client._out_messages
    assert not client._in_messages
    assert len(client._out_packet) == 0
    infos = [client.publish("a", str(number), 1 + number % 2) for number in range(4)]
    assert len(client._out_messages) == 4
    assert list(client._out_messages) == [1, 2, 3, 4]
    assert client._last_mid == 4
    assert {mid: one.payload for mid, one in client._out_messages.items()} == {1: b"0", 2: b"1", 3: b"2", 4: b"3"}
    assert client._out_messages[2].topic == "a"
    assert 2 in client._out_messages
    assert 9 not in client._out_messages
    client._max_inflight_messages = 2
    assert client.max_inflight_messages == 2
    client.connect("127.0.0.1", broker.port)
    peer = broker.accept()
    peer.accept()
    client.loop(5)
    assert client._inflight_messages == 2
    peer.expect(PUBLISH)
    peer.send(packet(PUBACK << 4, b"\x00\x01"))
    client.loop(5)
    until(lambda: client.loop(0.01) == 0 and list(client._out_messages) == [2, 3, 4])
    client._out_messages.clear()
    assert len(client._out_messages) == 0
    for info in infos[1:]:
        with pytest.raises(RuntimeError):
            info.wait_for_publish(1)
    assert infos[0].is_published()


def test_packets_that_wait_can_be_counted(broker: Server) -> None:
    client = mqtt.Client(V2, "x")
    client.on_socket_register_write = lambda *_: None
    client.connect("127.0.0.1", broker.port)
    peer = broker.accept()
    client.loop_write()
    peer.accept()
    client.loop_read()
    assert len(client._out_packet) == 0
    client.publish("a", b"x" * 100)
    assert len(client._out_packet) >= 100
    client.loop_write()
    assert len(client._out_packet) == 0
    client._out_packet.clear()
    assert peer.expect(PUBLISH).endswith(b"x" * 100)
    client.disconnect()
    client.loop_write()
    assert peer.read() == (0xE0, b"")


def test_received_messages_can_be_forgotten(broker: Server) -> None:
    client = mqtt.Client(V2, "x", manual_ack=True)
    client.connect("127.0.0.1", broker.port)
    peer = broker.accept()
    peer.accept()
    client.loop(5)
    peer.send(publish("a", b"1", 1, 5))
    client.loop(5)
    assert list(client._in_messages) == [5]
    assert 5 in client._in_messages
    client._in_messages.clear()
    assert len(client._in_messages) == 0


def test_the_limit_of_messages_in_flight_holds_when_connected_anew(broker: Server) -> None:
    client = mqtt.Client(V2, "x")
    client.max_inflight_messages_set(3)
    client.connect("127.0.0.1", broker.port)
    peer = broker.accept()
    peer.accept()
    client.loop(5)
    for number in range(10):
        assert client.publish("a", str(number), 1).rc == 0
    client.reconnect()
    peer = broker.accept()
    peer.accept()
    client.loop(5)
    client.loop(0.1)
    assert [peer.expect(PUBLISH)[-1:] for _ in range(3)] == [b"0", b"1", b"2"]
    peer.conn.settimeout(0.2)
    with pytest.raises(OSError):
        peer.read()


def test_the_thread_is_there_while_the_loop_runs(broker: Server) -> None:
    broker.serve()
    client = mqtt.Client(V2, "some-id")
    assert client._thread is None
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    assert client._thread is not None
    assert client._thread.is_alive()
    assert client._thread.daemon
    assert client._thread.name == "paho-mqtt-client-some-id"
    assert client._sock is client.socket()
    client.disconnect()
    client.loop_stop()
    assert client._thread is None


def test_a_client_that_nobody_has_is_gone_and_its_socket_closed(broker: Server) -> None:
    client = mqtt.Client(V2, "x")
    client.on_message = lambda *_: None
    client.connect("127.0.0.1", broker.port)
    peer = broker.accept()
    peer.accept()
    client.loop(5)
    sock, gone = weakref.ref(client.socket()), weakref.ref(client)
    del client
    gc.collect()
    assert gone() is None
    assert sock() is None
    assert peer.is_closed()


def test_a_client_that_was_never_made_can_be_collected() -> None:
    with pytest.raises(ValueError, match="Unsupported"):
        mqtt.Client(99)
    gc.collect()
    client = mqtt.Client.__new__(mqtt.Client)
    del client
    gc.collect()


def test_a_client_can_be_mocked() -> None:
    mocked = unittest.mock.create_autospec(mqtt.Client)(V2)
    mocked.publish("a", "b", qos=1)
    mocked.publish.assert_called_once_with("a", "b", qos=1)
    with unittest.mock.patch.object(mqtt.Client, "publish", return_value=5):
        assert mqtt.Client(V2).publish("a") == 5


def test_signatures_are_paho_s() -> None:
    def arguments(function: Any) -> str:
        return ", ".join(str(parameter.replace(annotation=inspect.Parameter.empty)) for parameter in inspect.signature(function).parameters.values())

    wanted = {
        "publish": "self, topic, payload=None, qos=0, retain=False, properties=None",
        "subscribe": "self, topic, qos=0, options=None, properties=None",
        "unsubscribe": "self, topic, properties=None",
        "connect": "self, host, port=1883, keepalive=60, bind_address='', bind_port=0, clean_start=3, properties=None",
        "connect_async": "self, host, port=1883, keepalive=60, bind_address='', bind_port=0, clean_start=3, properties=None",
        "connect_srv": "self, domain=None, keepalive=60, bind_address='', bind_port=0, clean_start=3, properties=None",
        "disconnect": "self, reasoncode=None, properties=None",
        "loop": "self, timeout=1.0",
        "loop_forever": "self, timeout=1.0, retry_first_connection=False",
        "loop_read": "self, max_packets=1",
        "reinitialise": "self, client_id='', clean_session=True, userdata=None",
        "tls_set": (
            "self, ca_certs=None, certfile=None, keyfile=None, cert_reqs=None, tls_version=None, ciphers=None, "
            "keyfile_password=None, alpn_protocols=None"
        ),
        "will_set": "self, topic, payload=None, qos=0, retain=False, properties=None",
        "username_pw_set": "self, username, password=None",
        "ws_set_options": "self, path='/mqtt', headers=None",
        "reconnect_delay_set": "self, min_delay=1, max_delay=120",
        "ack": "self, mid, qos",
    }
    assert {name: arguments(getattr(mqtt.Client, name)) for name in wanted} == wanted


def test_every_public_name_has_words() -> None:
    missing = [name for name in dir(mqtt.Client) if not name.startswith("_") and name != "suppress_exceptions" and not inspect.getdoc(getattr(mqtt.Client, name))]
    assert missing == []


def test_a_logger_is_called_as_paho_calls_it() -> None:
    client = mqtt.Client(V2)
    client.enable_logger()
    assert client.logger is logging.getLogger("paho.mqtt.client")
    mine = logging.getLogger("mine")
    client.enable_logger(mine)
    assert client.logger is mine
    client.disable_logger()
    assert client.logger is None


def test_a_normal_end_leaves_no_line_on_stderr(broker: Server) -> None:
    broker.serve()
    program = (
        "import sys; from karere.paho import client as mqtt\n"
        "client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, 'x')\n"
        "client.enable_logger()\n"
        "client.on_connect = lambda client, *_: client.disconnect()\n"
        "client.connect('127.0.0.1', int(sys.argv[1]))\n"
        "print(int(client.loop_forever()))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(broker.port)], capture_output=True, text=True, timeout=20)
    assert (done.stdout, done.stderr) == ("4\n", "")

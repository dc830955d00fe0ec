"""A client as Home Assistant makes it: a subclass whose seven locks do nothing, in an event loop that minds the socket."""

import asyncio
import socket

from surroundings import Way, check_paho

import paho.mqtt.client as mqtt


class NullLock:
    def __enter__(self):
        return self

    def __exit__(self, *args):
        pass

    def acquire(self, blocking=False, timeout=-1):
        return True

    def release(self):
        pass


LOCKS = (
    "_in_callback_mutex",
    "_callback_mutex",
    "_msgtime_mutex",
    "_out_message_mutex",
    "_in_message_mutex",
    "_reconnect_delay_mutex",
    "_mid_generate_mutex",
)


class AsyncClient(mqtt.Client):
    def setup(self):
        for name in LOCKS:
            assert hasattr(self, name), name
            setattr(self, name, NullLock())


class Program:
    def __init__(self, way: Way, protocol: int) -> None:
        self.way = way
        self.loop = asyncio.get_running_loop()
        self.client = AsyncClient(mqtt.CallbackAPIVersion.VERSION2, protocol=protocol, reconnect_on_failure=False)
        self.client.setup()
        self.client.enable_logger()
        self.client.on_connect = self.on_connect
        self.client.on_disconnect = self.on_disconnect
        self.client.on_message = self.on_message
        self.client.on_publish = self.on_publish
        self.client.on_subscribe = self.on_subscribe
        self.client.on_socket_open = self.on_socket_open
        self.client.on_socket_close = self.on_socket_close
        self.client.on_socket_register_write = self.on_socket_register_write
        self.client.on_socket_unregister_write = self.on_socket_unregister_write
        self.changed = asyncio.Event()
        self.connected = False
        self.seen = {}
        self.acknowledged = set()
        self.subscribed = set()
        self.misc = None

    def in_loop(self, call, *args):
        # connect() runs in a thread of its own, and calls back from there.
        self.loop.call_soon_threadsafe(call, *args)

    def on_socket_open(self, client, userdata, sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 128 * 1024)
        self.in_loop(self.opened, sock)

    def opened(self, sock):
        if sock.fileno() != -1:
            self.loop.add_reader(sock, self.readable)
            self.misc = self.loop.call_later(1, self.tick)

    def readable(self):
        self.client.loop_read()

    def tick(self):
        if self.client.loop_misc() == mqtt.MQTT_ERR_SUCCESS:
            self.misc = self.loop.call_later(1, self.tick)

    def on_socket_close(self, client, userdata, sock):
        fd = sock.fileno()
        if fd != -1:
            self.in_loop(self.loop.remove_reader, fd)
        if self.misc is not None:
            self.in_loop(self.misc.cancel)

    def on_socket_register_write(self, client, userdata, sock):
        self.in_loop(self.wants_write, sock)

    def wants_write(self, sock):
        if sock.fileno() != -1:
            self.loop.add_writer(sock, self.client.loop_write)

    def on_socket_unregister_write(self, client, userdata, sock):
        fd = sock.fileno()
        if fd != -1:
            self.in_loop(self.loop.remove_writer, fd)

    def on_connect(self, client, userdata, flags, reason, properties):
        assert reason == 0, reason
        self.connected = True
        client.subscribe("d/#", 2)
        self.in_loop(self.changed.set)

    def on_disconnect(self, client, userdata, flags, reason, properties):
        self.connected = False
        self.in_loop(self.changed.set)

    def on_subscribe(self, client, userdata, mid, reasons, properties):
        self.subscribed.add(mid)
        self.in_loop(self.changed.set)

    def on_publish(self, client, userdata, mid, reason, properties):
        self.acknowledged.add(mid)
        self.in_loop(self.changed.set)

    def on_message(self, client, userdata, message):
        self.seen[message.topic] = (message.qos, message.payload)
        self.in_loop(self.changed.set)

    async def until(self, holds):
        async def wait():
            while not holds():
                self.changed.clear()
                await self.changed.wait()

        await asyncio.wait_for(wait(), 20)

    async def run(self):
        for turn in range(3):
            call = self.client.reconnect if turn else lambda: self.client.connect("127.0.0.1", self.way.port, 60)
            assert await self.loop.run_in_executor(None, call) == mqtt.MQTT_ERR_SUCCESS
            await self.until(lambda turn=turn: self.connected and len(self.subscribed) == turn + 1)
            self.seen.clear()
            infos = [self.client.publish(f"d/{qos}", f"{turn}", qos) for qos in range(3)]
            big = self.client.publish("big", b"x" * 3_000_000, 1)
            expected = {f"d/{qos}": (qos, f"{turn}".encode()) for qos in range(3)}
            mids = {info.mid for info in infos} | {big.mid}
            await self.until(lambda expected=expected, mids=mids: self.seen == expected and self.acknowledged >= mids)
            if turn < 2:
                self.way.cut()
                await self.until(lambda: not self.connected)
        self.client.disconnect()
        await self.until(lambda: not self.connected)
        assert all(type(getattr(self.client, name)) is NullLock for name in LOCKS)


async def main():
    check_paho()
    for protocol in (mqtt.MQTTv311, mqtt.MQTTv5):
        way = Way()
        await Program(way, protocol).run()
        assert way.connections == 3, way.connections


asyncio.run(main())
print("done")

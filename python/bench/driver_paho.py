"""Publishes or receives with paho's API: paho-mqtt's own, or karere in its place."""

import os
import threading
from collections import deque

import paho.mqtt.client as mqtt
from common import TOPIC, Clock, arguments, ready

a = arguments()


def connected() -> mqtt.Client:
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "bench")
    client.max_inflight_messages_set(a.inflight)
    client.connect("127.0.0.1", a.port)
    while not client.is_connected():
        client.loop(0.1)
    return client


def publish_beside_a_thread() -> None:
    client = connected()
    room, finished = threading.Semaphore(a.inflight if a.qos else 1000), threading.Event()
    done = 0

    def on_publish(*_: object) -> None:
        nonlocal done
        done += 1
        room.release()
        if done == a.count:
            finished.set()

    client.on_publish = on_publish
    client.loop_start()
    payload, clock = b"x" * a.size, Clock()
    for _ in range(a.count):
        room.acquire()
        client.publish(TOPIC, payload, a.qos)
    finished.wait()
    clock.report(a.count)


def publish_alone() -> None:
    client = connected()
    payload, clock = b"x" * a.size, Clock()
    if a.qos == 0:
        for number in range(a.count):
            client.publish(TOPIC, payload, 0)
            if number % 256 == 255:
                while client.want_write():
                    client.loop(0.1)
        while client.want_write():
            client.loop(0.1)
    else:
        waiting: deque = deque()
        left = a.count
        while left or waiting:
            for _ in range(min(left, a.inflight - len(waiting))):
                waiting.append(client.publish(TOPIC, payload, a.qos))
                left -= 1
            client.loop(0.1)
            while waiting and waiting[0].is_published():
                waiting.popleft()
    clock.report(a.count)


def receive() -> None:
    client = connected()
    got = 0
    clock = None

    def on_message(client: mqtt.Client, _: object, message: mqtt.MQTTMessage) -> None:
        nonlocal got, clock
        if clock is None:
            clock = Clock()
        got += len(message.payload) == a.size
        if got == a.count:
            clock.report(a.count)
            os._exit(0)

    client.on_message = on_message
    client.on_subscribe = lambda *_: ready()
    client.subscribe(TOPIC, a.qos)
    client.loop_forever()


if a.op == "sub":
    receive()
elif a.thread:
    publish_beside_a_thread()
else:
    publish_alone()
os._exit(0)

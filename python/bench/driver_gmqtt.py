"""Publishes or receives with gmqtt."""

import asyncio
import os

import gmqtt
import uvloop
from common import TOPIC, Clock, arguments, ready
from gmqtt.storage import HeapPersistentStorage

a = arguments()


class Counting(HeapPersistentStorage):
    """gmqtt tells acknowledgements to its storage only."""

    def __init__(self) -> None:
        super().__init__()
        self.room = asyncio.Semaphore(a.inflight)
        self.done = 0

    async def remove_message_by_mid(self, mid: int) -> None:
        await super().remove_message_by_mid(mid)
        self.done += 1
        self.room.release()


async def main() -> None:
    client = gmqtt.Client("bench")
    storage = client._persistent_storage = Counting()
    got = 0
    clock = None

    def on_message(_client: object, _topic: str, payload: bytes, _qos: int, _properties: dict) -> int:
        nonlocal got, clock
        if clock is None:
            clock = Clock()
        got += len(payload) == a.size
        if got == a.count:
            clock.report(a.count)
            os._exit(0)
        return 0

    client.on_message = on_message
    client.on_subscribe = lambda *_: ready()
    await client.connect("127.0.0.1", a.port, version=gmqtt.constants.MQTTv311)
    if a.op == "sub":
        client.subscribe(TOPIC, qos=a.qos)
        await asyncio.Event().wait()
    payload, clock = b"x" * a.size, Clock()
    for number in range(a.count):
        if a.qos:
            await storage.room.acquire()
        client.publish(TOPIC, payload, qos=a.qos)
        if number % 256 == 255:
            await asyncio.sleep(0)
    while a.qos and storage.done < a.count:
        await asyncio.sleep(0)
    clock.report(a.count)
    os._exit(0)


uvloop.run(main())

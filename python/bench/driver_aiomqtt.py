"""Publishes or receives with aiomqtt."""

import asyncio
import os

import aiomqtt
import uvloop
from common import TOPIC, Clock, arguments, ready

a = arguments()


async def main() -> None:
    async with aiomqtt.Client("127.0.0.1", a.port, max_inflight_messages=a.inflight) as client:
        if a.op == "sub":
            await client.subscribe(TOPIC, a.qos)
            ready()
            clock, got = None, 0
            async for message in client.messages:
                clock = clock or Clock()
                got += len(message.payload) == a.size
                if got == a.count:
                    clock.report(a.count)
                    os._exit(0)
        payload, clock = b"x" * a.size, Clock()
        workers = a.inflight if a.qos else 1

        async def work(count: int) -> None:
            for _ in range(count):
                await client.publish(TOPIC, payload, a.qos)

        share, rest = divmod(a.count, workers)
        await asyncio.gather(*(work(share + (number < rest)) for number in range(workers)))
        clock.report(a.count)
        os._exit(0)


uvloop.run(main())

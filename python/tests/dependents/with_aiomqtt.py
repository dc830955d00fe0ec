"""aiomqtt: its client is entered again after a loss, and its iterator of messages tells of it."""

import asyncio

import aiomqtt
from surroundings import Way, check_paho


async def exchange(client: aiomqtt.Client, begin: int) -> None:
    await client.subscribe("d/#", qos=2)
    for qos in range(3):
        await client.publish(f"d/{qos}", f"{begin + qos}", qos=qos)
    seen = {}
    async for message in client.messages:
        seen[str(message.topic)] = (message.qos, message.payload)
        if len(seen) == 3:
            break
    assert seen == {f"d/{qos}": (qos, f"{begin + qos}".encode()) for qos in range(3)}, seen
    await client.unsubscribe("d/#")


async def main() -> None:
    check_paho()
    way = Way()
    for protocol in (aiomqtt.ProtocolVersion.V311, aiomqtt.ProtocolVersion.V5):
        client = aiomqtt.Client("127.0.0.1", way.port, protocol=protocol)
        for begin in (10, 20):
            try:
                async with client:
                    await exchange(client, begin)
                    way.cut()
                    async for _ in client.messages:
                        pass
            except aiomqtt.MqttError:
                pass
            else:
                raise AssertionError("the loss was not told")
        async with client:
            await exchange(client, 30)
    assert way.connections == 6, way.connections


asyncio.run(main())
print("done")

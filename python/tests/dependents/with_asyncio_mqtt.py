"""asyncio-mqtt: the wrapper of 1.x's days, which makes its client without a callback version."""

import asyncio

import asyncio_mqtt
from surroundings import Way, check_paho


async def exchange(client: asyncio_mqtt.Client, begin: int) -> None:
    async with client.messages() as messages:
        await client.subscribe("d/#", qos=2)
        for qos in range(3):
            await client.publish(f"d/{qos}", f"{begin + qos}", qos=qos)
        seen = {}
        async for message in messages:
            seen[str(message.topic)] = (message.qos, message.payload)
            if len(seen) == 3:
                break
    assert seen == {f"d/{qos}": (qos, f"{begin + qos}".encode()) for qos in range(3)}, seen
    await client.unsubscribe("d/#")


async def main() -> None:
    check_paho()
    way = Way()
    for protocol in (asyncio_mqtt.ProtocolVersion.V311, asyncio_mqtt.ProtocolVersion.V5):
        for begin in (10, 20):
            client = asyncio_mqtt.Client("127.0.0.1", way.port, protocol=protocol)
            try:
                async with client:
                    await exchange(client, begin)
                    async with client.messages() as messages:
                        way.cut()
                        async for _ in messages:
                            pass
            except asyncio_mqtt.MqttError:
                pass
            else:
                raise AssertionError("the loss was not told")
        async with asyncio_mqtt.Client("127.0.0.1", way.port, protocol=protocol) as client:
            await exchange(client, 30)
    assert way.connections == 6, way.connections


asyncio.run(main())
print("done")

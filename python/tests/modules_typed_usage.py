"""A program as a type checker sees it: nobody runs this."""

from __future__ import annotations

import paho.mqtt
import paho.mqtt.client as mqtt
from paho.mqtt import publish, subscribe
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.matcher import MQTTMatcher
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions


def on_message(client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
    print(message.topic, message.payload)


def on_connect(
    client: mqtt.Client, userdata: object, flags: mqtt.ConnectFlags, reason: ReasonCode, properties: Properties | None
) -> None:
    if reason == 0 and flags.session_present:
        client.subscribe([("a", SubscribeOptions(1))])


client = mqtt.Client(CallbackAPIVersion.VERSION2)
client.on_message = on_message
client.on_connect = on_connect
properties = Properties(PacketTypes.PUBLISH)
properties.TopicAlias = 4
properties.UserProperty = ("a", "b")
client.publish("t", b"x", 1, properties=properties).wait_for_publish(1)

publish.single(
    "a",
    "b",
    hostname="h",
    auth={"username": "u", "password": "p"},
    tls={"ca_certs": "x", "insecure": True},
    will={"topic": "w", "payload": "x"},
)
publish.multiple([{"topic": "a", "payload": "x"}, ("a", "b", 0, False)], protocol=mqtt.MQTTv5)
message = subscribe.simple("a", msg_count=1)
if not isinstance(message, list):
    print(message.payload)
subscribe.callback(on_message, ["a", "b"], transport="websockets")

matcher = MQTTMatcher()
matcher["a/+"] = 3
for value in matcher.iter_match("a/b"):
    print(value)

print(paho.mqtt.__version__, mqtt.error_string(3))
try:
    client.connect("localhost")
except paho.mqtt.MQTTException as error:
    print(error)

"""Flask-MQTT: sets attributes of a client that is made already, and leaves reconnecting to the client's thread."""

from flask import Flask
from flask_mqtt import Mqtt
from surroundings import Way, check_paho, until

check_paho()
way = Way()
app = Flask(__name__)
app.config["MQTT_BROKER_URL"] = "127.0.0.1"
app.config["MQTT_BROKER_PORT"] = way.port
app.config["MQTT_CLIENT_ID"] = "flask"
app.config["MQTT_REFRESH_TIME"] = 0.1
mqtt = Mqtt(connect_async=True)

connected = 0
subscribed = 0
acknowledged = set()
seen = {}


@mqtt.on_connect()
def on_connect(client, userdata, flags, rc):
    global connected
    assert rc == 0, rc
    # The library subscribes again itself when it is connected again.
    if not connected:
        mqtt.subscribe("d/#", qos=2)
    connected += 1


@mqtt.on_subscribe()
def on_subscribe(client, userdata, mid, granted_qos):
    global subscribed
    assert tuple(granted_qos) == (2,), granted_qos
    subscribed += 1


@mqtt.on_publish()
def on_publish(client, userdata, mid):
    acknowledged.add(mid)


@mqtt.on_message()
def on_message(client, userdata, message):
    seen[message.topic] = (message.qos, message.payload)


mqtt.init_app(app)
assert mqtt.client._client_id == b"flask" or mqtt.client._client_id == "flask", mqtt.client._client_id
for turn in range(3):
    until(lambda: subscribed == connected == turn + 1)
    seen.clear()
    acknowledged.clear()
    mids = set()
    for qos in range(3):
        result, mid = mqtt.publish(f"d/{qos}", f"{turn}", qos=qos)
        assert result == 0, result
        mids.add(mid)
    until(lambda: seen == {f"d/{qos}": (qos, f"{turn}".encode()) for qos in range(3)} and acknowledged >= mids)
    if turn < 2:
        way.cut()
mqtt.unsubscribe_all()
mqtt._disconnect()
until(lambda: not mqtt.connected)
assert way.connections == 3, way.connections
print("done")

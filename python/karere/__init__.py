"""MQTT for Python. `karere.paho` has the interface of paho-mqtt."""

__version__ = "0.1.0"

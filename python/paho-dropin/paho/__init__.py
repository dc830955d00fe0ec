"""MQTT with the API of paho-mqtt, by karere."""

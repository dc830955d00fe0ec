//! A small MQTT broker for development and tests.

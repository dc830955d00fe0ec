//! MQTT client: callbacks or any event loop, sessions that survive.

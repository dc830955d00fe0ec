//! How MQTT bytes travel, without I/O: layers, dialing, back-off.

"""The exceptions of the package."""


class MQTTException(Exception):
    """Something that MQTT does not allow, or that the server refused."""


class MalformedPacket(MQTTException):
    """Bytes that are no MQTT packet."""

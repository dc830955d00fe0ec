"""Codes in words and in each other's terms, and the small conversions that `client` offers."""

from __future__ import annotations

import logging
from typing import Final, Union

from .._core import matches
from ._packet import convert_connack_rc_to_reason_code as convert_connack_rc_to_reason_code
from ._types import PayloadType
from .enums import ConnackCode, LogLevel, MQTTErrorCode
from .packettypes import PacketTypes
from .reasoncodes import ReasonCode

LOGGING_LEVEL: Final = {
    LogLevel.MQTT_LOG_DEBUG: logging.DEBUG,
    LogLevel.MQTT_LOG_INFO: logging.INFO,
    LogLevel.MQTT_LOG_NOTICE: logging.INFO,  # `logging` has nothing between INFO and WARNING
    LogLevel.MQTT_LOG_WARNING: logging.WARNING,
    LogLevel.MQTT_LOG_ERR: logging.ERROR,
}

_ERRORS: Final[dict[int, str]] = {
    MQTTErrorCode.MQTT_ERR_SUCCESS: "No error.",
    MQTTErrorCode.MQTT_ERR_NOMEM: "Out of memory.",
    MQTTErrorCode.MQTT_ERR_PROTOCOL: "A network protocol error occurred when communicating with the broker.",
    MQTTErrorCode.MQTT_ERR_INVAL: "Invalid function arguments provided.",
    MQTTErrorCode.MQTT_ERR_NO_CONN: "The client is not currently connected.",
    MQTTErrorCode.MQTT_ERR_CONN_REFUSED: "The connection was refused.",
    MQTTErrorCode.MQTT_ERR_NOT_FOUND: "Message not found (internal error).",
    MQTTErrorCode.MQTT_ERR_CONN_LOST: "The connection was lost.",
    MQTTErrorCode.MQTT_ERR_TLS: "A TLS error occurred.",
    MQTTErrorCode.MQTT_ERR_PAYLOAD_SIZE: "Payload too large.",
    MQTTErrorCode.MQTT_ERR_NOT_SUPPORTED: "This feature is not supported.",
    MQTTErrorCode.MQTT_ERR_AUTH: "Authorisation failed.",
    MQTTErrorCode.MQTT_ERR_ACL_DENIED: "Access denied by ACL.",
    MQTTErrorCode.MQTT_ERR_UNKNOWN: "Unknown error.",
    MQTTErrorCode.MQTT_ERR_ERRNO: "Error defined by errno.",
    MQTTErrorCode.MQTT_ERR_QUEUE_SIZE: "Message queue full.",
    MQTTErrorCode.MQTT_ERR_KEEPALIVE: "Client or broker did not communicate in the keepalive interval.",
}

_CONNACKS: Final[dict[int, str]] = {
    ConnackCode.CONNACK_ACCEPTED: "Connection Accepted.",
    ConnackCode.CONNACK_REFUSED_PROTOCOL_VERSION: "Connection Refused: unacceptable protocol version.",
    ConnackCode.CONNACK_REFUSED_IDENTIFIER_REJECTED: "Connection Refused: identifier rejected.",
    ConnackCode.CONNACK_REFUSED_SERVER_UNAVAILABLE: "Connection Refused: broker unavailable.",
    ConnackCode.CONNACK_REFUSED_BAD_USERNAME_PASSWORD: "Connection Refused: bad user name or password.",
    ConnackCode.CONNACK_REFUSED_NOT_AUTHORIZED: "Connection Refused: not authorised.",
}

# Reasons of DISCONNECT for what went wrong on this side. All else is an unspecified error.
_DISCONNECTS: Final = {
    MQTTErrorCode.MQTT_ERR_SUCCESS: "Normal disconnection",
    MQTTErrorCode.MQTT_ERR_KEEPALIVE: "Keep alive timeout",
    MQTTErrorCode.MQTT_ERR_PROTOCOL: "Protocol error",
}


def error_string(mqtt_errno: Union[MQTTErrorCode, int]) -> str:
    """An `MQTTErrorCode` in words."""
    return _ERRORS.get(mqtt_errno, "Unknown error.")


def connack_string(connack_code: Union[int, ReasonCode]) -> str:
    """What CONNACK said in words: a return code's, or a reason code's name."""
    if isinstance(connack_code, ReasonCode):
        return str(connack_code)
    return _CONNACKS.get(connack_code, "Connection Refused: unknown reason.")


def convert_disconnect_error_code_to_reason_code(rc: MQTTErrorCode) -> ReasonCode:
    """The reason that `on_disconnect` is given in VERSION2 for an `MQTTErrorCode`."""
    return ReasonCode(PacketTypes.DISCONNECT, _DISCONNECTS.get(rc, "Unspecified error"))


def topic_matches_sub(sub: str, topic: str) -> bool:
    """Whether a topic name matches a topic filter."""
    return matches(sub, topic)


def _base62(
    num: int,
    base: str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    padding: int = 1,
) -> str:
    if num < 0:
        raise ValueError("Number must be positive or zero")
    digits = ""
    while num:
        num, digit = divmod(num, len(base))
        digits = base[digit] + digits
    return digits.rjust(padding, base[0])


def _encode_payload(payload: PayloadType) -> Union[bytes, bytearray]:
    if payload is None:
        return b""
    if isinstance(payload, str):
        return payload.encode("utf-8")
    if isinstance(payload, (bytes, bytearray)):
        return payload
    if isinstance(payload, (int, float)):
        return str(payload).encode("ascii")
    raise TypeError("payload must be a string, bytearray, int, float or None.")


def _force_bytes(s: Union[str, bytes, bytearray]) -> Union[bytes, bytearray]:
    return s.encode("utf-8") if isinstance(s, str) else s

"""The packets that a server sends, decoded one by one.

The client has no use for these functions: its packets are decoded by the core. They are here for programs that call them.
"""

from __future__ import annotations

import functools
import struct
from typing import Any, Callable, Final, NamedTuple, Optional, TypeVar, Union, cast

from .enums import ConnackCode, MQTTProtocolVersion
from .exception import MalformedPacket, MQTTException
from .packettypes import PacketTypes
from .properties import Properties
from .reasoncodes import ReasonCode

_F = TypeVar("_F", bound=Callable[..., Any])
_Bytes = Union[bytes, bytearray]

DECODE_ERRORS: Final = (struct.error, IndexError, KeyError, ValueError, MQTTException)
"""What decoding may raise, besides `MalformedPacket`."""


class ConnackPacket(NamedTuple):
    flags: int
    reason: ReasonCode
    properties: Optional[Properties]
    rc: Union[int, ConnackCode]


class PublishPacket(NamedTuple):
    dup: bool
    qos: int
    retain: bool
    topic: bytes
    mid: int
    properties: Optional[Properties]
    payload: bytes


class PubackPacket(NamedTuple):
    mid: int
    reason: ReasonCode
    properties: Properties


class PubrecPacket(NamedTuple):
    mid: int
    reason: ReasonCode
    properties: Properties


class PubrelPacket(NamedTuple):
    mid: int
    reason: ReasonCode
    properties: Properties


class PubcompPacket(NamedTuple):
    mid: int
    reason: ReasonCode
    properties: Properties


class SubackPacket(NamedTuple):
    mid: int
    reason_codes: list[ReasonCode]
    granted_qos: tuple[int, ...]
    properties: Properties


class UnsubackPacket(NamedTuple):
    mid: int
    reason_codes: list[ReasonCode]
    properties: Properties


class DisconnectPacket(NamedTuple):
    reason: Optional[ReasonCode]
    properties: Optional[Properties]


def convert_exception(func: _F) -> _F:
    """Makes `MalformedPacket` of whatever decoding stumbles over."""

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return func(*args, **kwargs)
        except MalformedPacket:
            raise
        except DECODE_ERRORS as error:
            raise MalformedPacket(str(error)) from error

    return cast(_F, wrapper)


_CONNACK_NAMES: Final = {
    ConnackCode.CONNACK_ACCEPTED: "Success",
    ConnackCode.CONNACK_REFUSED_PROTOCOL_VERSION: "Unsupported protocol version",
    ConnackCode.CONNACK_REFUSED_IDENTIFIER_REJECTED: "Client identifier not valid",
    ConnackCode.CONNACK_REFUSED_SERVER_UNAVAILABLE: "Server unavailable",
    ConnackCode.CONNACK_REFUSED_BAD_USERNAME_PASSWORD: "Bad user name or password",
    ConnackCode.CONNACK_REFUSED_NOT_AUTHORIZED: "Not authorized",
}


def convert_connack_rc_to_reason_code(connack_code: Union[ConnackCode, int, ReasonCode]) -> ReasonCode:
    """The reason code of MQTT 5.0 that says what a return code of CONNACK says before it."""
    if isinstance(connack_code, ReasonCode):
        return connack_code
    return ReasonCode(PacketTypes.CONNACK, _CONNACK_NAMES.get(cast(ConnackCode, connack_code), "Unspecified error"))


@convert_exception
def decode_connack(header: int, packet: _Bytes, protocol: MQTTProtocolVersion) -> ConnackPacket:
    """Decodes what follows the fixed header of a CONNACK."""
    if protocol != MQTTProtocolVersion.MQTTv5:
        if len(packet) != 2:
            raise MalformedPacket("CONNACK packet size is wrong")
        return ConnackPacket(packet[0], convert_connack_rc_to_reason_code(packet[1]), None, packet[1])
    if len(packet) < 2:
        raise MalformedPacket("CONNACK packet is too small")
    flags, code = packet[0], packet[1]
    # A server that does not know 5.0 answers with a return code of the versions before it: there is no reason code 1.
    if code == ConnackCode.CONNACK_REFUSED_PROTOCOL_VERSION:
        return ConnackPacket(flags, convert_connack_rc_to_reason_code(code), None, code)
    reason = ReasonCode(PacketTypes.CONNACK, identifier=code)
    properties = Properties(PacketTypes.CONNACK)
    properties.unpack(packet[2:])
    return ConnackPacket(flags, reason, properties, code)


@convert_exception
def decode_publish(header: int, packet: _Bytes, protocol: MQTTProtocolVersion) -> PublishPacket:
    """Decodes what follows the fixed header of a PUBLISH; its flags are in `header`."""
    qos = header >> 1 & 0x03
    topic, rest = _topic(packet)
    if not topic and protocol != MQTTProtocolVersion.MQTTv5:
        raise MalformedPacket("topic can't be empty in MQTTv3")
    mid = 0
    if qos:
        mid, rest = _mid(rest)
    properties = None
    if protocol == MQTTProtocolVersion.MQTTv5:
        properties = Properties(PacketTypes.PUBLISH)
        _, used = properties.unpack(rest)
        rest = rest[used:]
    return PublishPacket(bool(header & 0x08), qos, bool(header & 0x01), topic, mid, properties, bytes(rest))


@convert_exception
def decode_puback(header: int, packet: _Bytes, protocol: MQTTProtocolVersion) -> PubackPacket:
    """Decodes what follows the fixed header of a PUBACK."""
    return PubackPacket(*_acknowledgement(PacketTypes.PUBACK, packet, protocol))


@convert_exception
def decode_pubrec(header: int, packet: _Bytes, protocol: MQTTProtocolVersion) -> PubrecPacket:
    """Decodes what follows the fixed header of a PUBREC."""
    return PubrecPacket(*_acknowledgement(PacketTypes.PUBREC, packet, protocol))


@convert_exception
def decode_pubrel(header: int, packet: _Bytes, protocol: MQTTProtocolVersion) -> PubrelPacket:
    """Decodes what follows the fixed header of a PUBREL."""
    return PubrelPacket(*_acknowledgement(PacketTypes.PUBREL, packet, protocol))


@convert_exception
def decode_pubcomp(header: int, packet: _Bytes, protocol: MQTTProtocolVersion) -> PubcompPacket:
    """Decodes what follows the fixed header of a PUBCOMP."""
    return PubcompPacket(*_acknowledgement(PacketTypes.PUBCOMP, packet, protocol))


@convert_exception
def decode_suback(header: int, packet: _Bytes, protocol: MQTTProtocolVersion) -> SubackPacket:
    """Decodes what follows the fixed header of a SUBACK. `granted_qos` is empty in 5.0."""
    mid, rest = _mid(packet)
    properties = Properties(PacketTypes.SUBACK)
    if protocol == MQTTProtocolVersion.MQTTv5:
        _, used = properties.unpack(rest)
        return SubackPacket(mid, _codes(PacketTypes.SUBACK, rest[used:]), (), properties)
    return SubackPacket(mid, _codes(PacketTypes.SUBACK, rest), tuple(rest), properties)


@convert_exception
def decode_unsuback(header: int, packet: _Bytes, protocol: MQTTProtocolVersion) -> UnsubackPacket:
    """Decodes what follows the fixed header of an UNSUBACK. There are no codes before 5.0."""
    properties = Properties(PacketTypes.UNSUBACK)
    if protocol != MQTTProtocolVersion.MQTTv5:
        if len(packet) != 2:
            raise MalformedPacket("wrong size of packet")
        return UnsubackPacket(_mid(packet)[0], [], properties)
    # An identifier, the length of the properties, a code.
    if len(packet) < 4:
        raise MalformedPacket("wrong size of packet")
    mid, rest = _mid(packet)
    _, used = properties.unpack(rest)
    return UnsubackPacket(mid, _codes(PacketTypes.UNSUBACK, rest[used:]), properties)


@convert_exception
def decode_disconnect(header: int, packet: _Bytes, protocol: MQTTProtocolVersion) -> DisconnectPacket:
    """Decodes what follows the fixed header of a DISCONNECT: nothing, a reason, or a reason and properties."""
    if not packet:
        return DisconnectPacket(None, None)
    reason = ReasonCode(PacketTypes.DISCONNECT, identifier=packet[0])
    if len(packet) == 1:
        return DisconnectPacket(reason, None)
    properties = Properties(PacketTypes.DISCONNECT)
    properties.unpack(packet[1:])
    return DisconnectPacket(reason, properties)


def _acknowledgement(kind: int, packet: _Bytes, protocol: MQTTProtocolVersion) -> tuple[int, ReasonCode, Properties]:
    properties = Properties(kind)
    if len(packet) < 2 or (protocol != MQTTProtocolVersion.MQTTv5 and len(packet) != 2):
        raise MalformedPacket("wrong size of packet")
    mid, rest = _mid(packet)
    reason = ReasonCode(kind, identifier=rest[0] if rest else 0)
    if len(rest) > 1:
        properties.unpack(rest[1:])
    return mid, reason, properties


def _topic(packet: _Bytes) -> tuple[bytes, _Bytes]:
    length, rest = _mid(packet)
    if len(rest) < length:
        raise MalformedPacket("Not enough data to read the topic")
    return bytes(rest[:length]), rest[length:]


def _mid(packet: _Bytes) -> tuple[int, _Bytes]:
    if len(packet) < 2:
        raise MalformedPacket("Not enough data to read a two byte integer")
    return packet[0] << 8 | packet[1], packet[2:]


def _codes(kind: int, codes: _Bytes) -> list[ReasonCode]:
    return [ReasonCode(kind, identifier=code) for code in codes]

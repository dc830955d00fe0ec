"""Reason codes: what MQTT 5.0 says of how something went."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Union

from .packettypes import PacketTypes

_CONNACK: Final = PacketTypes.CONNACK
_PUBACK: Final = PacketTypes.PUBACK
_PUBREC: Final = PacketTypes.PUBREC
_PUBREL: Final = PacketTypes.PUBREL
_PUBCOMP: Final = PacketTypes.PUBCOMP
_SUBACK: Final = PacketTypes.SUBACK
_UNSUBACK: Final = PacketTypes.UNSUBACK
_DISCONNECT: Final = PacketTypes.DISCONNECT
_AUTH: Final = PacketTypes.AUTH

# §2.4, table 2-6. A code has one name in one packet; only 0 has different ones in different packets.
_NAMES: Final[dict[int, dict[str, list[int]]]] = {
    0x00: {
        "Success": [_CONNACK, _PUBACK, _PUBREC, _PUBREL, _PUBCOMP, _UNSUBACK, _AUTH],
        "Normal disconnection": [_DISCONNECT],
        "Granted QoS 0": [_SUBACK],
    },
    0x01: {"Granted QoS 1": [_SUBACK]},
    0x02: {"Granted QoS 2": [_SUBACK]},
    0x04: {"Disconnect with will message": [_DISCONNECT]},
    0x10: {"No matching subscribers": [_PUBACK, _PUBREC]},
    0x11: {"No subscription found": [_UNSUBACK]},
    0x18: {"Continue authentication": [_AUTH]},
    0x19: {"Re-authenticate": [_AUTH]},
    0x80: {"Unspecified error": [_CONNACK, _PUBACK, _PUBREC, _SUBACK, _UNSUBACK, _DISCONNECT]},
    0x81: {"Malformed packet": [_CONNACK, _DISCONNECT]},
    0x82: {"Protocol error": [_CONNACK, _DISCONNECT]},
    0x83: {"Implementation specific error": [_CONNACK, _PUBACK, _PUBREC, _SUBACK, _UNSUBACK, _DISCONNECT]},
    0x84: {"Unsupported protocol version": [_CONNACK]},
    0x85: {"Client identifier not valid": [_CONNACK]},
    0x86: {"Bad user name or password": [_CONNACK]},
    0x87: {"Not authorized": [_CONNACK, _PUBACK, _PUBREC, _SUBACK, _UNSUBACK, _DISCONNECT]},
    0x88: {"Server unavailable": [_CONNACK]},
    0x89: {"Server busy": [_CONNACK, _DISCONNECT]},
    0x8A: {"Banned": [_CONNACK]},
    0x8B: {"Server shutting down": [_DISCONNECT]},
    0x8C: {"Bad authentication method": [_CONNACK, _DISCONNECT]},
    0x8D: {"Keep alive timeout": [_DISCONNECT]},
    0x8E: {"Session taken over": [_DISCONNECT]},
    0x8F: {"Topic filter invalid": [_SUBACK, _UNSUBACK, _DISCONNECT]},
    0x90: {"Topic name invalid": [_CONNACK, _PUBACK, _PUBREC, _DISCONNECT]},
    0x91: {"Packet identifier in use": [_PUBACK, _PUBREC, _SUBACK, _UNSUBACK]},
    0x92: {"Packet identifier not found": [_PUBREL, _PUBCOMP]},
    0x93: {"Receive maximum exceeded": [_DISCONNECT]},
    0x94: {"Topic alias invalid": [_DISCONNECT]},
    0x95: {"Packet too large": [_CONNACK, _DISCONNECT]},
    0x96: {"Message rate too high": [_DISCONNECT]},
    0x97: {"Quota exceeded": [_CONNACK, _PUBACK, _PUBREC, _SUBACK, _DISCONNECT]},
    0x98: {"Administrative action": [_DISCONNECT]},
    0x99: {"Payload format invalid": [_PUBACK, _PUBREC, _DISCONNECT]},
    0x9A: {"Retain not supported": [_CONNACK, _DISCONNECT]},
    0x9B: {"QoS not supported": [_CONNACK, _DISCONNECT]},
    0x9C: {"Use another server": [_CONNACK, _DISCONNECT]},
    0x9D: {"Server moved": [_CONNACK, _DISCONNECT]},
    0x9E: {"Shared subscription not supported": [_SUBACK, _DISCONNECT]},
    0x9F: {"Connection rate exceeded": [_CONNACK, _DISCONNECT]},
    0xA0: {"Maximum connect time": [_DISCONNECT]},
    0xA1: {"Subscription identifiers not supported": [_SUBACK, _DISCONNECT]},
    0xA2: {"Wildcard subscription not supported": [_SUBACK, _DISCONNECT]},
}

_BY_CODE: Final[dict[int, dict[int, str]]] = {}
"""packet type -> code -> name"""
_BY_NAME: Final[dict[int, dict[str, int]]] = {}
"""packet type -> name -> code"""
for _code, _names in _NAMES.items():
    for _name, _packets in _names.items():
        for _packet in _packets:
            _BY_CODE.setdefault(_packet, {})[_code] = _name
            _BY_NAME.setdefault(_packet, {})[_name] = _code
_NO_CODES: Final[dict[int, str]] = {}
_NO_NAMES: Final[dict[str, int]] = {}


class ReasonCode:
    """A reason code as a certain packet has it. Compares with codes, with numbers, and by name with strings.

    It can be changed, and is therefore not hashable; it is true whatever it says.
    """

    names: Mapping[int, dict[str, list[int]]] = MappingProxyType(_NAMES)
    """code -> name -> the packets that give it this name"""

    # One of these is made for each message that is published, hence no call that can be avoided.
    def __init__(self, packetType: int, aName: str = "Success", identifier: int = -1) -> None:
        self.packetType = packetType
        if identifier == -1:
            if packetType == _DISCONNECT and aName == "Success":
                aName = "Normal disconnection"
            self.value = self.getId(aName)
        else:
            self.value = identifier
            if identifier not in _BY_CODE.get(packetType, _NO_CODES):
                self.getName()

    def __getName__(self, packetType: int, identifier: int) -> str:
        """The name of a code in a packet. KeyError for no code of MQTT's, ValueError for one of another packet's."""
        name = _BY_CODE.get(packetType, _NO_CODES).get(identifier)
        if name is None:
            if identifier not in _NAMES:
                raise KeyError(identifier)
            raise ValueError("Expected exactly one name, found []")
        return name

    def getId(self, name: str) -> int:
        """The code of a name in this packet."""
        code = _BY_NAME.get(self.packetType, _NO_NAMES).get(name)
        if code is None:
            raise KeyError(f"Reason code name not found: {name}")
        return code

    def set(self, name: str) -> None:
        """Becomes the code with that name."""
        self.value = self.getId(name)

    def unpack(self, buffer: Union[bytes, bytearray]) -> int:
        """Becomes the code in the first byte, and says that it took one byte."""
        code = buffer[0]
        self.__getName__(self.packetType, code)
        self.value = code
        return 1

    def getName(self) -> str:
        """The name that MQTT gives the code in this packet."""
        return self.__getName__(self.packetType, self.value)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int):
            return self.value == other
        if isinstance(other, ReasonCode):
            return self.value == other.value
        if isinstance(other, str):
            return other == self.getName()
        return False

    # A code can be changed, so it can be no key.
    __hash__ = None  # type: ignore[assignment]

    def __lt__(self, other: object) -> bool:
        if isinstance(other, ReasonCode):
            return self.value < other.value
        return self.value < other if isinstance(other, int) else NotImplemented

    def __le__(self, other: object) -> bool:
        if isinstance(other, ReasonCode):
            return self.value <= other.value
        return self.value <= other if isinstance(other, int) else NotImplemented

    def __gt__(self, other: object) -> bool:
        if isinstance(other, ReasonCode):
            return self.value > other.value
        return self.value > other if isinstance(other, int) else NotImplemented

    def __ge__(self, other: object) -> bool:
        if isinstance(other, ReasonCode):
            return self.value >= other.value
        return self.value >= other if isinstance(other, int) else NotImplemented

    def __str__(self) -> str:
        return self.getName()

    def __repr__(self) -> str:
        return f"ReasonCode({PacketTypes.Names[self.packetType]}, {self.getName()!r})"

    def json(self) -> str:
        """The name, for JSON."""
        return self.getName()

    def pack(self) -> bytearray:
        """The byte of the wire."""
        return bytearray([self.value])

    @property
    def is_failure(self) -> bool:
        """Whether the code is one of those from 128 on, which refuse."""
        return self.value >= 0x80


class _CompatibilityIsInstance(type):
    def __instancecheck__(self, other: Any) -> bool:
        return isinstance(other, ReasonCode)


class ReasonCodes(ReasonCode, metaclass=_CompatibilityIsInstance):
    """The name of `ReasonCode` in paho 1.x. Deprecated; `isinstance` holds for every `ReasonCode`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn("ReasonCodes is deprecated, use ReasonCode (singular) instead", DeprecationWarning, stacklevel=2)
        super().__init__(*args, **kwargs)

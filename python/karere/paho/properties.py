"""The properties of MQTT 5.0 packets, and the data types that they are made of."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Callable, Final, Optional, Union

from .exception import MalformedPacket, MQTTException
from .packettypes import PacketTypes

_Bytes = Union[bytes, bytearray]
_UINT16: Final = struct.Struct("!H")
_UINT32: Final = struct.Struct("!L")


def writeInt16(length: int) -> bytearray:
    """A two byte integer (§1.5.2)."""
    return bytearray(_UINT16.pack(length))


def readInt16(buf: _Bytes) -> int:
    """The two byte integer that `buf` begins with."""
    value: int = _UINT16.unpack(buf[:2])[0]
    return value


def writeInt32(length: int) -> bytearray:
    """A four byte integer (§1.5.3)."""
    return bytearray(_UINT32.pack(length))


def readInt32(buf: _Bytes) -> int:
    """The four byte integer that `buf` begins with."""
    value: int = _UINT32.unpack(buf[:4])[0]
    return value


def writeUTF(data: Union[str, bytes]) -> bytearray:
    """A string (§1.5.4), from text or from bytes that are UTF-8 already."""
    encoded = data if type(data) is bytes else bytes(data, "utf-8")  # type: ignore[arg-type]
    return writeInt16(len(encoded)) + encoded


def readUTF(buffer: _Bytes, maxlen: int) -> tuple[str, int]:
    """The string that `buffer` begins with, of which `maxlen` bytes may be read, and how many were."""
    if maxlen < 2:
        raise MalformedPacket("Not enough data to read string length")
    end = 2 + readInt16(buffer)
    if end > maxlen:
        raise MalformedPacket("Length delimited string too long")
    text = bytes(buffer[2:end]).decode("utf-8")
    # Python's codec refuses surrogates, but not the two others that a server must not send.
    if "\x00" in text:
        raise MalformedPacket("[MQTT-1.5.4-2] Null found in UTF-8 data")
    if "\ufeff" in text:
        raise MalformedPacket("[MQTT-1.5.4-3] U+FEFF in UTF-8 data")
    return text, end


def writeBytes(buffer: _Bytes) -> bytearray:
    """Binary data (§1.5.6)."""
    return writeInt16(len(buffer)) + buffer


def readBytes(buffer: _Bytes, maxlen: int) -> tuple[bytes, int]:
    """The binary data that `buffer` begins with, of which `maxlen` bytes may be read, and how many bytes were."""
    if maxlen < 2:
        raise MalformedPacket("Not enough data to read binary data length")
    end = 2 + readInt16(buffer)
    if end > maxlen:
        raise MalformedPacket("Length delimited binary data too long")
    return bytes(buffer[2:end]), end


class VariableByteIntegers:
    """Integers of one to four bytes (§1.5.5)."""

    @staticmethod
    def encode(x: int) -> bytes:
        """The bytes of `x`."""
        if not 0 <= x <= _LARGEST:
            raise ValueError(f"Value {x!r} must be in range 0-268435455")
        if x < 128:
            return bytes((x,))
        out = bytearray()
        while x >= 128:
            out.append(x & 0x7F | 0x80)
            x >>= 7
        out.append(x)
        return bytes(out)

    @staticmethod
    def decode(buffer: _Bytes) -> tuple[int, int]:
        """The integer that `buffer` begins with, and how many bytes it takes."""
        value = 0
        for index, byte in enumerate(buffer[:4]):
            value |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                return value, index + 1
        if len(buffer) < 4:
            raise MalformedPacket("Not enough data to decode Variable Byte Integer")
        raise MalformedPacket("Variable Byte Integer is more than four bytes long")


_LARGEST: Final = 0x0FFF_FFFF

_TYPES: Final = [
    "Byte",
    "Two Byte Integer",
    "Four Byte Integer",
    "Variable Byte Integer",
    "Binary Data",
    "UTF-8 Encoded String",
    "UTF-8 String Pair",
]
_BYTE: Final = 0
_TWO_BYTES: Final = 1
_FOUR_BYTES: Final = 2
_VARIABLE: Final = 3
_BINARY: Final = 4
_STRING: Final = 5
_PAIR: Final = 6

_CONNECT: Final = PacketTypes.CONNECT
_CONNACK: Final = PacketTypes.CONNACK
_PUBLISH: Final = PacketTypes.PUBLISH
_DISCONNECT: Final = PacketTypes.DISCONNECT
_AUTH: Final = PacketTypes.AUTH
_WILL: Final = PacketTypes.WILLMESSAGE
_ACKNOWLEDGEMENTS: Final = [PacketTypes.PUBACK, PacketTypes.PUBREC, PacketTypes.PUBREL, PacketTypes.PUBCOMP]

# §2.2.2.2, table 2-4: name, identifier, data type, packets. Properties are packed in this order.
_TABLE: Final[list[tuple[str, int, int, list[int]]]] = [
    ("Payload Format Indicator", 0x01, _BYTE, [_PUBLISH, _WILL]),
    ("Message Expiry Interval", 0x02, _FOUR_BYTES, [_PUBLISH, _WILL]),
    ("Content Type", 0x03, _STRING, [_PUBLISH, _WILL]),
    ("Response Topic", 0x08, _STRING, [_PUBLISH, _WILL]),
    ("Correlation Data", 0x09, _BINARY, [_PUBLISH, _WILL]),
    ("Subscription Identifier", 0x0B, _VARIABLE, [_PUBLISH, PacketTypes.SUBSCRIBE]),
    ("Session Expiry Interval", 0x11, _FOUR_BYTES, [_CONNECT, _CONNACK, _DISCONNECT]),
    ("Assigned Client Identifier", 0x12, _STRING, [_CONNACK]),
    ("Server Keep Alive", 0x13, _TWO_BYTES, [_CONNACK]),
    ("Authentication Method", 0x15, _STRING, [_CONNECT, _CONNACK, _AUTH]),
    ("Authentication Data", 0x16, _BINARY, [_CONNECT, _CONNACK, _AUTH]),
    ("Request Problem Information", 0x17, _BYTE, [_CONNECT]),
    ("Will Delay Interval", 0x18, _FOUR_BYTES, [_WILL]),
    ("Request Response Information", 0x19, _BYTE, [_CONNECT]),
    ("Response Information", 0x1A, _STRING, [_CONNACK]),
    ("Server Reference", 0x1C, _STRING, [_CONNACK, _DISCONNECT]),
    (
        "Reason String",
        0x1F,
        _STRING,
        [_CONNACK, *_ACKNOWLEDGEMENTS, PacketTypes.SUBACK, PacketTypes.UNSUBACK, _DISCONNECT, _AUTH],
    ),
    ("Receive Maximum", 0x21, _TWO_BYTES, [_CONNECT, _CONNACK]),
    ("Topic Alias Maximum", 0x22, _TWO_BYTES, [_CONNECT, _CONNACK]),
    ("Topic Alias", 0x23, _TWO_BYTES, [_PUBLISH]),
    ("Maximum QoS", 0x24, _BYTE, [_CONNACK]),
    ("Retain Available", 0x25, _BYTE, [_CONNACK]),
    (
        "User Property",
        0x26,
        _PAIR,
        [
            _CONNECT,
            _CONNACK,
            _PUBLISH,
            *_ACKNOWLEDGEMENTS,
            PacketTypes.SUBSCRIBE,
            PacketTypes.SUBACK,
            PacketTypes.UNSUBSCRIBE,
            PacketTypes.UNSUBACK,
            _DISCONNECT,
            _AUTH,
            _WILL,
        ],
    ),
    ("Maximum Packet Size", 0x27, _FOUR_BYTES, [_CONNECT, _CONNACK]),
    ("Wildcard Subscription Available", 0x28, _BYTE, [_CONNACK]),
    ("Subscription Identifier Available", 0x29, _BYTE, [_CONNACK]),
    ("Shared Subscription Available", 0x2A, _BYTE, [_CONNACK]),
]

_LONG_NAMES: Final[dict[str, int]] = {name: identifier for name, identifier, _, _ in _TABLE}
_PROPERTIES: Final[dict[int, tuple[int, list[int]]]] = {identifier: (kind, packets) for _, identifier, kind, packets in _TABLE}
_ATTRIBUTES: Final[dict[str, tuple[int, int, frozenset[int]]]] = {
    name.replace(" ", ""): (identifier, kind, frozenset(packets)) for name, identifier, kind, packets in _TABLE
}
_BY_IDENTIFIER: Final[dict[int, tuple[str, int]]] = {
    identifier: (name.replace(" ", ""), kind) for name, identifier, kind, _ in _TABLE
}
_MULTIPLE: Final = frozenset({"SubscriptionIdentifier", "UserProperty"})
_OWN: Final = frozenset({"packetType", "types", "names", "properties"})

# What values may be, where the data type alone allows more: smallest, largest.
_RANGES: Final[dict[str, tuple[int, int]]] = {
    "ReceiveMaximum": (1, 65535),
    "TopicAlias": (1, 65535),
    "TopicAliasMaximum": (0, 65535),
    "MaximumPacketSize": (1, _LARGEST),
    "SubscriptionIdentifier": (1, _LARGEST),
}
_FLAGS: Final = frozenset({"PayloadFormatIndicator", "RequestProblemInformation", "RequestResponseInformation"})

_set: Final = object.__setattr__


class Properties:
    """The properties of a packet, as attributes: the names of the specification without their blanks.

    `UserProperty` and `SubscriptionIdentifier` are lists, and assigning to them adds. A property that is not there is no
    attribute. Assigning what MQTT does not know, or not in this packet, or with this value, raises `MQTTException`.
    """

    types: list[str] = _TYPES
    names: dict[str, int] = _LONG_NAMES
    """name, with its blanks -> identifier"""
    properties: dict[int, tuple[int, list[int]]] = _PROPERTIES
    """identifier -> index in `types`, packets that may have it"""
    packetType: int

    # One of these is made for each message that is published: `_set` spares the checks below.
    def __init__(self, packetType: int) -> None:
        _set(self, "packetType", packetType)

    def __setattr__(self, name: str, value: Any) -> None:
        name = name.replace(" ", "")
        known = _ATTRIBUTES.get(name)
        if known is None:
            if name not in _OWN:
                raise MQTTException(f"Property name must be one of {_LONG_NAMES.keys()}")
            _set(self, name, value)
            return
        if self.packetType not in known[2]:
            raise MQTTException(f"Property {name} does not apply to packet type {_packet_name(self.packetType)}")
        _check_value(name, value)
        if name in _MULTIPLE:
            # Always a new list: the caller's may be meant for something else.
            value = [*self.__dict__.get(name, ()), *(value if isinstance(value, list) else (value,))]
        _set(self, name, value)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __str__(self) -> str:
        return "[" + ", ".join(f"{name} : {value}" for name, value in self._items()) + "]"

    def _items(self) -> list[tuple[str, Any]]:
        values = self.__dict__
        return [(name, values[name]) for name in _ATTRIBUTES if name in values]

    def json(self) -> dict[str, Any]:
        """The properties by name, for JSON: bytes of `CorrelationData` as hexadecimal digits."""
        return {
            name: value.hex() if name == "CorrelationData" and isinstance(value, (bytes, bytearray)) else value
            for name, value in self._items()
        }

    def isEmpty(self) -> bool:
        """Whether there is none."""
        # `packetType` is always there, the other three only if somebody put them there.
        return len(self.__dict__) == 1 or not self._items()

    def clear(self) -> None:
        """Drops all of them."""
        for name, _ in self._items():
            delattr(self, name)

    def allowsMultiple(self, compressedName: str) -> bool:
        """Whether a packet may have more than one of this name."""
        return compressedName in _MULTIPLE

    def getIdentFromName(self, compressedName: str) -> int:
        """The identifier of a name without blanks, or -1."""
        known = _ATTRIBUTES.get(compressedName)
        return -1 if known is None else known[0]

    def getNameFromIdent(self, identifier: int) -> Optional[str]:
        """The name, with blanks, of an identifier, or None."""
        for name, known in _LONG_NAMES.items():
            if known == identifier:
                return name
        return None

    def pack(self) -> bytes:
        """The bytes of the wire, their length in front."""
        out = b""
        for name, value in self._items():
            identifier, kind, _ = _ATTRIBUTES[name]
            for one in value if name in _MULTIPLE else (value,):
                out += self.writeProperty(identifier, kind, one)
        return VariableByteIntegers.encode(len(out)) + out

    def writeProperty(self, identifier: int, type: int, value: Any) -> bytes:
        """The bytes of one property; `type` is an index in `types`."""
        write = _WRITERS.get(type)
        return VariableByteIntegers.encode(identifier) + (b"" if write is None else write(value))

    def unpack(self, buffer: _Bytes) -> tuple[Properties, int]:
        """Becomes what the length in front of `buffer` spans; returns itself and how many bytes it took."""
        self.clear()
        length, begin = VariableByteIntegers.decode(buffer)
        if length > len(buffer) - begin:
            raise MalformedPacket("Properties are longer than the packet")
        end = begin + length
        position = begin
        try:
            while position < end:
                identifier, used = VariableByteIntegers.decode(buffer[position:end])
                position += used
                if identifier not in _BY_IDENTIFIER:
                    raise MalformedPacket(f"Unknown property identifier {identifier}")
                name, kind = _BY_IDENTIFIER[identifier]
                value, used = self.readProperty(buffer[position:end], kind, end - position)
                position += used
                if name not in _MULTIPLE and name in self.__dict__:
                    raise MQTTException(f"Property {name} must not exist more than once")
                setattr(self, name, value)
        except (struct.error, IndexError, UnicodeDecodeError) as error:
            raise MalformedPacket(str(error)) from error
        return self, end

    def readProperty(self, buffer: _Bytes, type: int, propslen: int) -> tuple[Any, int]:
        """The value that `buffer` begins with, of which `propslen` bytes may be read, and how many were.

        `type` is an index in `types`."""
        if type == _BYTE:
            return buffer[0], 1
        if type == _TWO_BYTES:
            return readInt16(buffer), 2
        if type == _FOUR_BYTES:
            return readInt32(buffer), 4
        if type == _VARIABLE:
            return VariableByteIntegers.decode(buffer)
        if type == _BINARY:
            return readBytes(buffer, propslen)
        if type == _STRING:
            return readUTF(buffer, propslen)
        if type == _PAIR:
            key, used = readUTF(buffer, propslen)
            value, more = readUTF(buffer[used:], propslen - used)
            return (key, value), used + more
        raise MQTTException(f"Property type must be one of 0-{len(_TYPES) - 1}, not {type}")


_WRITERS: Final[dict[int, Callable[[Any], _Bytes]]] = {
    _BYTE: lambda value: bytes((value,)),
    _TWO_BYTES: writeInt16,
    _FOUR_BYTES: writeInt32,
    _VARIABLE: VariableByteIntegers.encode,
    _BINARY: writeBytes,
    _STRING: writeUTF,
    _PAIR: lambda value: writeUTF(value[0]) + writeUTF(value[1]),
}


def _check_value(name: str, value: Any) -> None:
    if name in _RANGES:
        smallest, largest = _RANGES[name]
        for one in value if name in _MULTIPLE and isinstance(value, list) else (value,):
            if one < smallest or one > largest:
                raise MQTTException(f"{name} property value must be in the range {smallest}-{largest}")
    elif name in _FLAGS and value != 0 and value != 1:
        raise MQTTException(f"{name} property value must be 0 or 1")


def _packet_name(packet: int) -> str:
    if packet == PacketTypes.WILLMESSAGE:
        return "Will"
    try:
        return PacketTypes.Names[packet]
    except (IndexError, TypeError):
        return repr(packet)

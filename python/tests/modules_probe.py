"""Asks the modules without a socket many questions, and prints the answers: one line of JSON, by question.

`python modules_probe.py ROOT`, where ROOT is `paho.mqtt` or `karere.paho`. The differential test compares the two.
"""

from __future__ import annotations

import copy
import importlib
import itertools
import json
import pickle
import re
import struct
import sys
import warnings
from typing import Any, Callable

ROOT = sys.argv[1]


def module(name: str) -> Any:
    return importlib.import_module(f"{ROOT}.{name}")


enums, properties, reasoncodes = module("enums"), module("properties"), module("reasoncodes")
exception, packet, matcher = module("exception"), module("_packet"), module("matcher")
Properties, VariableByteIntegers = properties.Properties, properties.VariableByteIntegers
ReasonCode, ReasonCodes = reasoncodes.ReasonCode, reasoncodes.ReasonCodes
PacketTypes = module("packettypes").PacketTypes
SubscribeOptions = module("subscribeoptions").SubscribeOptions
MQTTMatcher = matcher.MQTTMatcher

answers: dict[str, str] = {}


def ask(question: str, call: Callable[[], Any]) -> None:
    try:
        answer = repr(call())
    except Exception as error:
        kind = type(error)
        answer = f"{kind.__module__}.{kind.__name__}: {error}"
    answer = re.sub(r"0x[0-9a-f]{6,}", "0x…", answer).replace(ROOT, "ROOT")
    if question in answers:
        raise KeyError(f"asked twice: {question}")
    answers[question] = answer[:500]


def short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 40 else f"{text[:20]}…{len(text)}"


VALUES: list[Any] = [
    -1, 0, 1, 2, 255, 256, 65535, 65536, 268435455, 268435456, 2**32 - 1, 2**32, True, None, 5.5, "x", "é", b"x", "\ud800", "x" * 65536,
    ("a", "b"), [("a", "b")], [("a", "b"), ("c", "d")], ("a", "b", "c"), [1, 2], [0], [],
]  # fmt: skip
PACKETS = [*range(1, 16), PacketTypes.WILLMESSAGE]


def ask_properties() -> None:
    names = [name.replace(" ", "") for name in Properties(PacketTypes.CONNECT).names]
    ask("names", lambda: (list(Properties(1).names.items()), sorted(Properties(1).properties.items()), Properties(1).types))
    for name, kind in itertools.product(names, PACKETS):
        for value in VALUES:

            def assign(name: str = name, kind: int = kind, value: Any = value) -> Any:
                made = Properties(kind)
                setattr(made, name, value)
                return getattr(made, name), str(made), made.json(), made.pack(), made.isEmpty()

            ask(f"properties {name} of {kind} = {short(value)}", assign)
    for name in ["foo", "_foo", "packetType", "types", "names", "properties", "User Property", "Topic Alias", "topicAlias"]:

        def assign_any(name: str = name) -> Any:
            made = Properties(PacketTypes.PUBLISH)
            setattr(made, name, 3)
            return hasattr(made, name), str(made)

        ask(f"properties any {name}", assign_any)
        ask(f"properties ident {name}", lambda name=name: Properties(3).getIdentFromName(name))
        ask(f"properties multiple {name}", lambda name=name: Properties(3).allowsMultiple(name))
    for identifier in [-1, 0, 1, 35, 38, 99, 300]:
        ask(f"properties name {identifier}", lambda identifier=identifier: Properties(3).getNameFromIdent(identifier))
    ask("properties absent", lambda: Properties(3).ContentType)
    ask("properties hasattr", lambda: hasattr(Properties(3), "ContentType"))
    ask("properties eq", lambda: Properties(3) == Properties(3))
    ask("properties no packet", lambda: Properties())
    ask("properties odd packet", lambda: setattr(Properties(98), "foo", 1))

    def full() -> Any:
        made = Properties(PacketTypes.PUBLISH)
        made.UserProperty = ("a", "b")
        made.TopicAlias = 3
        made.UserProperty = [("c", "d")]
        made.SubscriptionIdentifier = 5
        made.SubscriptionIdentifier = [6, 7]
        made.ResponseTopic = "r"
        made.CorrelationData = b"\x01\xff"
        made.ContentType = "ab"
        return made

    ask("properties full", lambda: (str(full()), full().json(), full().pack(), full().isEmpty()))
    ask("properties copied", lambda: (str(copy.deepcopy(full())), str(pickle.loads(pickle.dumps(full())))))

    def again() -> Any:
        made = Properties(PacketTypes.PUBLISH)
        made.ReasonString = "x" if False else None
        return made

    ask("properties wrong packet", again)

    def round_trip() -> Any:
        other = Properties(PacketTypes.PUBLISH)
        other.TopicAlias = 9
        same, used = other.unpack(full().pack() + b"rest")
        text = str(other)
        other.clear()
        return same is other, used, text, str(other), other.isEmpty(), other.json(), other.pack()

    ask("properties round trip", round_trip)

    def callers_list() -> Any:
        mine = [("a", "b")]
        made = Properties(PacketTypes.PUBLISH)
        made.UserProperty = mine
        made.UserProperty = ("c", "d")
        return mine

    ask("properties caller's list", callers_list)
    ask("properties deleted", lambda: (lambda made: (delattr(made, "TopicAlias"), str(made)))(full()))

    bodies = """- 00 01 020101 020102 0201 0401010101 027f00 050200000001 0502000000 04030001ff 0403000100 0403000561 06030003eda080
        060300 03efbbbf 020b00 020b05 040b050b06 03230000 03230001 03210000 0321ffff 052700000000 0527ffffffff 0726000161000162
        0e2600016100016226000161000162 0726000161000562 0416000161 028001 80 022405 0424012400 03130000 ffffffff7f 8000""".split()
    for body, kind in itertools.product(bodies, PACKETS):

        def unpack(body: str = body, kind: int = kind) -> Any:
            made = Properties(kind)
            same, used = made.unpack(b"" if body == "-" else bytes.fromhex(body))
            return same is made, used, str(made)

        ask(f"unpack {body} as {kind}", unpack)


def ask_data_types() -> None:
    made = Properties(3)
    for kind, value in [(0, 5), (0, 300), (1, 5), (1, 70000), (2, 5), (2, 2**32), (3, 5), (3, 200), (4, b"a"), (4, "a"), (5, "a"),
                        (5, b"a"), (6, ("a", "b")), (7, 1), ("Byte", 3)]:  # fmt: skip
        ask(f"write {kind} {value!r}", lambda kind=kind, value=value: made.writeProperty(3, kind, value))
    for kind, room in itertools.product(range(8), (0, 1, 2, 5, 20)):
        ask(f"read {kind} {room}", lambda kind=kind, room=room: made.readProperty(b"\0\1a\0\1bcd", kind, room))
    texts = [b"", b"\0", b"\0\1a", b"\0\1ab", b"\0\5ab", b"\0\1\xff", b"\0\1\0", b"\0\3\xef\xbf\xbe", b"\0\3\xef\xbf\xbf",
             b"\0\3\xed\xa0\x80", b"\0\3\xef\xbb\xbf", b"\0\2\xc2\x85", b"\0\0"]  # fmt: skip
    for text, room in itertools.product(texts, (0, 1, 2, 3, 4, 9)):
        ask(f"readUTF {text!r} {room}", lambda text=text, room=room: properties.readUTF(text, room))
        ask(f"readBytes {text!r} {room}", lambda text=text, room=room: properties.readBytes(text, room))
    for data in [b"", b"\1", b"\1\2", b"\1\2\3\4\5"]:
        ask(f"readInt16 {data!r}", lambda data=data: properties.readInt16(data))
        ask(f"readInt32 {data!r}", lambda data=data: properties.readInt32(data))
    for value in [5, 70000, -1, 2**32, "x", None, 1.5, True]:
        ask(f"writeInt16 {value!r}", lambda value=value: properties.writeInt16(value))
        ask(f"writeInt32 {value!r}", lambda value=value: properties.writeInt32(value))
    for value in ["a", b"a", "é", "\ud800", "x" * 65535, "x" * 65536, bytearray(b"a"), None, 5]:
        ask(f"writeUTF {short(value)}", lambda value=value: properties.writeUTF(value))
        ask(f"writeBytes {short(value)}", lambda value=value: properties.writeBytes(value))
    for number in [0, 127, 128, 16383, 16384, 2097151, 2097152, 268435455, 268435456, -1, None, "a", 1.5, True]:
        ask(f"vbi encode {number!r}", lambda number=number: VariableByteIntegers.encode(number))
    for data in [b"", b"\x80", b"\x80\x00", b"\x01\x02", b"\xff\xff\xff\x7f", b"\x80\x80\x80\x80\x01", b"\xff\xff\xff\xff"]:
        ask(f"vbi decode {data!r}", lambda data=data: VariableByteIntegers.decode(data))


def ask_reason_codes() -> None:
    every = [{}, *({"aName": name} for name in ["Success", "Granted QoS 1", "Not authorized", "Nope", None, ""]),
             *({"identifier": code} for code in [-1, *range(0, 0xA5), 255, 300, True, None, "a"]),
             {"aName": "Nope", "identifier": 0}]  # fmt: skip
    for kind, how in itertools.product([0, *PACKETS], every):

        def make(kind: int = kind, how: Any = how) -> Any:
            made = ReasonCode(kind, **how)
            return made, str(made), made.value, made.packetType, made.is_failure, made.json(), made.pack(), made.getName()

        ask(f"reason {kind} {how}", make)
    refused = ReasonCode(PacketTypes.CONNACK, "Not authorized")
    for other in [
        135,
        0,
        200,
        "Not authorized",
        "x",
        ReasonCode(4, "Not authorized"),
        ReasonCode(2),
        None,
        5.0,
        True,
        [],
        b"a",
    ]:
        for operator in ["__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"]:
            ask(f"reason {operator} {other!r}", lambda o=other, operator=operator: getattr(refused, operator)(o))
    ask("reason < None", lambda: refused < None)
    ask("reason hash", lambda: hash(refused))
    ask("reason bool", lambda: bool(ReasonCode(2)))
    ask("reason int", lambda: int(refused))
    ask("reason in", lambda: refused in (1, 135))
    ask("reason copied", lambda: (copy.deepcopy(refused), pickle.loads(pickle.dumps(refused))))
    ask("reason names", lambda: sorted((code, names) for code, names in ReasonCode(2).names.items()))
    ask("reason attribute", lambda: setattr(ReasonCode(2), "foo", 1))

    def changed() -> Any:
        made = ReasonCode(PacketTypes.CONNACK)
        made.set("Banned")
        after_set = str(made), made.value
        used = made.unpack(b"\x87\x01")
        return after_set, used, str(made)

    ask("reason changed", changed)
    ask("reason set nonsense", lambda: ReasonCode(2).set("Zzz"))
    ask("reason unpack nonsense", lambda: ReasonCode(2).unpack(b"\x01"))
    ask("reason unpack nothing", lambda: ReasonCode(2).unpack(b""))
    ask("reason id", lambda: (ReasonCode(2).getId("Banned"), ReasonCode(14).getId("Normal disconnection")))
    ask("reason id of another packet", lambda: ReasonCode(2).getId("Granted QoS 0"))

    def deprecated() -> Any:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            old = ReasonCodes(PacketTypes.CONNACK)
        return old, type(old), isinstance(refused, ReasonCodes), [(str(one.message), one.category) for one in caught]

    ask("reason deprecated", deprecated)


def ask_subscribe_options() -> None:
    for arguments in [
        (),
        (1,),
        (3,),
        (0, False, False, 3),
        (0, 1, 0, 0),
        ("a",),
        (2, True, True, 2),
        (-1,),
        (True,),
        (0, 0, 0, -1),
    ]:

        def make(arguments: Any = arguments) -> Any:
            made = SubscribeOptions(*arguments)
            return str(made), repr(made), made.json(), made.pack()

        ask(f"options {arguments}", make)
    for name, value in [("QoS", 7), ("retainHandling", 7), ("noLocal", 5), ("names", []), ("foo", 1)]:

        def change(name: str = name, value: Any = value) -> Any:
            made = SubscribeOptions(1)
            setattr(made, name, value)
            return str(made), made.pack()

        ask(f"options {name}={value}", change)
    for byte in range(256):

        def unpack(byte: int = byte) -> Any:
            made = SubscribeOptions()
            return made.unpack(bytes([byte])), str(made)

        ask(f"options unpack {byte}", unpack)
    ask("options unpack nothing", lambda: SubscribeOptions().unpack(b""))
    ask("options eq", lambda: SubscribeOptions() == SubscribeOptions())


def ask_matcher() -> None:
    filters = [
        "a/b",
        "a/+",
        "a/#",
        "#",
        "+/b",
        "$SYS/#",
        "+",
        "",
        "/",
        "/+",
        "a/b/c",
        "+/#",
        "a/+/#",
        "a",
        "$x",
        "+/+",
        "/#",
        "a//b",
    ]
    topics = [
        "a/b",
        "a",
        "$SYS/x",
        "$SYS",
        "",
        "/",
        "a/b/c",
        "/a",
        "b",
        "x/y",
        "$x",
        "a/",
        "$SYS/",
        "a//b",
        "//",
        "$x/b",
        "+",
        "#",
    ]
    tree = MQTTMatcher()
    ask("matcher empty", lambda: tree["a"])
    ask("matcher delete from empty", lambda: tree.__delitem__("a"))
    for one in filters:
        tree[one] = one
    for topic in topics:
        ask(f"matcher {topic}", lambda topic=topic: list(tree.iter_match(topic)))
    for one in filters[::2]:
        ask(f"matcher delete {one}", lambda one=one: tree.__delitem__(one))
        ask(f"matcher delete {one} again", lambda one=one: tree.__delitem__(one))
        ask(f"matcher get {one} after", lambda one=one: tree[one])
    for topic in topics:
        ask(f"matcher {topic} after", lambda topic=topic: list(tree.iter_match(topic)))
    ask("matcher None", lambda: (tree.__setitem__("q", None), tree["q"]))
    ask("matcher number", lambda: tree.__setitem__(5, 1))
    ask("matcher bytes", lambda: tree.__setitem__(b"a/b", 1))


def ask_packets() -> None:
    flags = {"connack": 0x20, "publish": 0x30, "puback": 0x40, "pubrec": 0x50, "pubrel": 0x62, "pubcomp": 0x70, "suback": 0x90,
             "unsuback": 0xB0, "disconnect": 0xE0}  # fmt: skip
    bodies = """- 00 0001 000100 00010000 0000 0100 0005 0009 0200 00018700 000110 000105 000180 0001000102 00010280 0001000001
        000100051f00026162 000161000700706179 0001610007706179 000161 0001ff000100 008400 010005210000120000 000000 00000313000a
        000003210000 8e00 8e 0400 00070011 00070000 0000000000 000000070078 00012b000100 00019200 000192 00010092 000200010280
        0001001187 00010001 000103 0001000087 000174000506230001 00017405 230001""".split()
    for (name, header), version in itertools.product(flags.items(), [*enums.MQTTProtocolVersion, 5]):
        decode = getattr(packet, f"decode_{name}")
        for header_, body in itertools.product({header, header | 0x0B, header | 0x06}, bodies):

            def call(decode: Any = decode, header: int = header_, body: str = body, version: int = version) -> Any:
                made = decode(header, b"" if body == "-" else bytes.fromhex(body), version)
                return type(made).__name__, [str(part) if isinstance(part, Properties) else part for part in made]

            ask(f"decode {name} {version!r} {header_:x} {body}", call)
    for code in [*range(-1, 8), 255, "a", None, ReasonCode(2, "Banned")]:
        ask(f"connack code {code!r}", lambda code=code: packet.convert_connack_rc_to_reason_code(code))

    @packet.convert_exception
    def fails(error: Exception) -> None:
        """Words."""
        raise error

    for error in [struct.error("s"), IndexError("i"), KeyError("k"), ValueError("v"), UnicodeDecodeError("utf-8", b"a", 0, 1, "r"),
                  exception.MQTTException("m"), exception.MalformedPacket("p"), TypeError("t"), AssertionError("a")]:  # fmt: skip
        ask(f"convert_exception {error!r}", lambda error=error: fails(error))
    ask("convert_exception wraps", lambda: (fails.__name__, fails.__doc__))


def ask_enums() -> None:
    for name in ["MQTTErrorCode", "MQTTProtocolVersion", "CallbackAPIVersion", "MessageType", "LogLevel", "ConnackCode",
                 "_ConnectionState", "MessageState", "PahoClientMode"]:  # fmt: skip
        kind = getattr(enums, name)
        ask(
            f"enum {name}",
            lambda kind=kind: ([base.__name__ for base in kind.__mro__], [(one.name, one.value) for one in kind]),
        )
    ask("packet types", lambda: sorted((name, repr(value)) for name, value in vars(PacketTypes).items() if name[0] != "_"))
    ask("exceptions", lambda: [base.__name__ for base in exception.MalformedPacket.__mro__])
    package = importlib.import_module(ROOT)
    ask("one exception", lambda: package.MQTTException is properties.MQTTException is exception.MQTTException)
    ask("another exception", lambda: module("subscribeoptions").MQTTException is exception.MQTTException)
    ask("version", lambda: package.__version__)


for group in (ask_properties, ask_data_types, ask_reason_codes, ask_subscribe_options, ask_matcher, ask_packets, ask_enums):
    group()
json.dump(answers, sys.stdout)

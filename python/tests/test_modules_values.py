"""Bad input and odd input to the modules without a socket: what comes of it, row by row."""

from __future__ import annotations

import threading
import warnings
from typing import Any, Callable

import pytest

from karere.paho import MQTTException, subscribeoptions
from karere.paho.exception import MalformedPacket
from karere.paho.matcher import MQTTMatcher
from karere.paho.packettypes import PacketTypes
from karere.paho.properties import Properties, VariableByteIntegers
from karere.paho.reasoncodes import ReasonCode, ReasonCodes
from karere.paho.subscribeoptions import SubscribeOptions


def properties(kind: int, **values: Any) -> Properties:
    made = Properties(kind)
    for name, value in values.items():
        setattr(made, name, value)
    return made


PUBLISH, CONNECT, CONNACK = PacketTypes.PUBLISH, PacketTypes.CONNECT, PacketTypes.CONNACK

REFUSED: list[tuple[str, Callable[[], Any], type[BaseException], str]] = [
    (
        "no such property",
        lambda: properties(PUBLISH, Foo=1),
        MQTTException,
        "Property name must be one of dict_keys(['Payload",
    ),
    (
        "property of another packet",
        lambda: properties(PUBLISH, SessionExpiryInterval=1),
        MQTTException,
        "Property SessionExpiryInterval does not apply to packet type Publish",
    ),
    # paho: IndexError, because it looks the will's name up in the packets'.
    (
        "property that the will has not",
        lambda: properties(PacketTypes.WILLMESSAGE, TopicAlias=1),
        MQTTException,
        "Property TopicAlias does not apply to packet type Will",
    ),
    (
        "alias 0",
        lambda: properties(PUBLISH, TopicAlias=0),
        MQTTException,
        "TopicAlias property value must be in the range 1-65535",
    ),
    (
        "alias 70000",
        lambda: properties(PUBLISH, TopicAlias=70000),
        MQTTException,
        "TopicAlias property value must be in the range 1-65535",
    ),
    (
        "receive maximum 0",
        lambda: properties(CONNECT, ReceiveMaximum=0),
        MQTTException,
        "ReceiveMaximum property value must be in the range 1-65535",
    ),
    (
        "alias maximum -1",
        lambda: properties(CONNECT, TopicAliasMaximum=-1),
        MQTTException,
        "TopicAliasMaximum property value must be in the range 0-65535",
    ),
    (
        "packet size",
        lambda: properties(CONNECT, MaximumPacketSize=268435456),
        MQTTException,
        "MaximumPacketSize property value must be in the range 1-268435455",
    ),
    (
        "subscription identifier 0",
        lambda: properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=0),
        MQTTException,
        "SubscriptionIdentifier property value must be in the range 1-268435455",
    ),
    (
        "subscription identifier [0]",
        lambda: properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=[1, 0]),
        MQTTException,
        "SubscriptionIdentifier property value must be in the range 1-268435455",
    ),
    (
        "format indicator 2",
        lambda: properties(PUBLISH, PayloadFormatIndicator=2),
        MQTTException,
        "PayloadFormatIndicator property value must be 0 or 1",
    ),
    ("string 5", lambda: properties(PUBLISH, ResponseTopic=5).pack(), TypeError, "encoding without a string argument"),
    ("absent", lambda: Properties(PUBLISH).ContentType, AttributeError, "'Properties' object has no attribute 'ContentType'"),
    ("qos 3", lambda: SubscribeOptions(qos=3), AssertionError, "QoS should be 0, 1 or 2, not 3"),
    ("handling 3", lambda: SubscribeOptions(retainHandling=3), AssertionError, "Retain handling should be 0, 1 or 2, not 3"),
    (
        "no such option",
        lambda: setattr(SubscribeOptions(), "foo", 1),
        subscribeoptions.MQTTException,
        "foo Attribute name must be one of ['QoS', 'noLocal', 'retainAsPublished', 'retainHandling']",
    ),
    ("reason name", lambda: ReasonCode(CONNACK, "Nope"), KeyError, "'Reason code name not found: Nope'"),
    ("reason code", lambda: ReasonCode(CONNACK, identifier=1), ValueError, "Expected exactly one name, found []"),
    ("reason packet", lambda: ReasonCode(CONNECT), KeyError, "'Reason code name not found: Success'"),
    ("reason hash", lambda: hash(ReasonCode(CONNACK)), TypeError, "unhashable type: 'ReasonCode'"),
    ("reason int", lambda: int(ReasonCode(CONNACK)), TypeError, "int() argument must be"),  # type: ignore[call-overload]
    ("large integer", lambda: VariableByteIntegers.encode(2**28), ValueError, "Value 268435456 must be in range 0-268435455"),
]


@pytest.mark.parametrize(("call", "kind", "text"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(call: Callable[[], Any], kind: type[BaseException], text: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert caught.type is kind
    assert str(caught.value).startswith(text)


ACCEPTED: list[tuple[str, Callable[[], Any], Any]] = [
    ("str", lambda: str(properties(PUBLISH, ContentType="x")), "[ContentType : x]"),
    ("json", lambda: properties(PUBLISH, CorrelationData=b"\x01").json(), {"CorrelationData": "01"}),
    ("not equal", lambda: Properties(PUBLISH) == Properties(PUBLISH), False),
    (
        "order of the table",
        lambda: properties(PUBLISH, TopicAlias=1, ContentType="a").pack(),
        b"\x07\x03\x00\x01a\x23\x00\x01",
    ),
    (
        "options",
        lambda: str(SubscribeOptions(1, noLocal=True)),
        "{QoS=1, noLocal=True, retainAsPublished=False, retainHandling=0}",
    ),
    ("reason str", lambda: str(ReasonCode(CONNACK)), "Success"),
    ("reason repr", lambda: repr(ReasonCode(CONNACK, "Not authorized")), "ReasonCode(Connack, 'Not authorized')"),
    ("disconnect", lambda: str(ReasonCode(PacketTypes.DISCONNECT)), "Normal disconnection"),
    ("reason bool", lambda: bool(ReasonCode(CONNACK)), True),
    ("reason <", lambda: ReasonCode(CONNACK) < 1, True),
    ("reason == name", lambda: ReasonCode(CONNACK) == "Success", True),
]


@pytest.mark.parametrize(("call", "result"), [row[1:] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
def test_accepted(call: Callable[[], Any], result: Any) -> None:
    assert call() == result


def test_user_properties_accumulate_in_a_list_of_their_own() -> None:
    mine = [("a", "1")]
    made = properties(PUBLISH, UserProperty=mine)
    made.UserProperty = ("b", "2")
    assert made.UserProperty == [("a", "1"), ("b", "2")]
    assert mine == [("a", "1")]


def test_properties_that_reach_past_the_packet_are_malformed() -> None:
    for body in (b"\x05\x02\x00\x00\x00", b"\x02\x7f\x00", b"\x04\x03\x00\x01\xff", b"\x80"):
        with pytest.raises(MalformedPacket):
            Properties(PUBLISH).unpack(body)


def test_a_failed_assertion_does_not_depend_on_python_s_optimisation() -> None:
    # `python -O` drops `assert`; these are checks of what the application says.
    import inspect

    assert "assert " not in inspect.getsource(SubscribeOptions)


def test_reason_codes_is_deprecated_and_knows_every_reason_code() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DeprecationWarning, match="use ReasonCode"):
            ReasonCodes(CONNACK)
    assert isinstance(ReasonCode(CONNACK), ReasonCodes)
    assert not isinstance(0, ReasonCodes)


def matcher(*filters: str) -> MQTTMatcher:
    made = MQTTMatcher()
    for one in filters:
        made[one] = one
    return made


def test_matches_are_found_anew_after_every_change() -> None:
    made = matcher("a/+")
    assert list(made.iter_match("a/b")) == ["a/+"]
    made["a/#"] = "a/#"
    assert list(made.iter_match("a/b")) == ["a/+", "a/#"]
    made["a/+"] = "other"
    assert list(made.iter_match("a/b")) == ["other", "a/#"]
    del made["a/+"]
    assert list(made.iter_match("a/b")) == ["a/#"]


def test_a_deleted_filter_leaves_no_levels_behind() -> None:
    made = matcher("a/b/c", "a")
    del made["a/b/c"]
    assert list(made._root._children) == ["a"]
    assert made._root._children["a"]._children == {}
    assert made["a"] == "a"


def test_a_matcher_remembers_a_bounded_number_of_topics() -> None:
    made = matcher("#")
    for number in range(5000):
        assert list(made.iter_match(f"t/{number}")) == ["#"]
    assert len(made._found) <= 1024


def test_lookups_while_the_filters_change_never_see_what_is_gone() -> None:
    made = matcher("a/+")
    stop = threading.Event()
    wrong: list[Any] = []

    def look() -> None:
        while not stop.is_set():
            found = list(made.iter_match("a/b"))
            if found not in ([], ["a/+"], ["new"]):
                wrong.append(found)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(3000):
        made["a/+"] = "new"
        assert list(made.iter_match("a/b")) == ["new"]
        del made["a/+"]
        assert list(made.iter_match("a/b")) == [], number
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []

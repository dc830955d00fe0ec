"""The modules without a socket against paho-mqtt 2.2.0's: the same answers to the same questions, but for those named here.

KARERE_REFERENCE_PAHO is the directory that it is installed in: `pip install --target DIRECTORY paho-mqtt==2.2.0`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REFERENCE = os.environ.get("KARERE_REFERENCE_PAHO")
PROBE = Path(__file__).with_name("modules_probe.py")

pytestmark = pytest.mark.skipif(REFERENCE is None, reason="KARERE_REFERENCE_PAHO does not say where paho-mqtt 2.2.0 is")

# Question, paho's answer, ours, and why it is ours. Each must be met at least once.
DIFFERENCES = [
    (
        r"properties \w+ of 99 = .*|unpack \w+ as 99",
        r"builtins\.IndexError: tuple index out of range",
        r"ROOT\.exception\.MQTTException: Property \w+ does not apply to packet type Will",
        "a property that the will cannot have is refused as for any packet",
    ),
    (
        r"properties \w+ of \d+ = \[.*",
        r"(builtins\.TypeError|struct\.error): .*|\(\[0\], .*|\(\[\], .*",
        r"ROOT\.exception\.MQTTException: \w+ property value must be .*|builtins\.TypeError: .*",
        "a list is checked when it is assigned, not when it is packed",
    ),
    (
        r"properties any names",
        r"builtins\.TypeError: 'int' object is not iterable",
        r"\(True, '\[\]'\)",
        "str() needs no table that callers can replace",
    ),
    (
        r"read 7 \d+",
        r"builtins\.UnboundLocalError: .*",
        r"ROOT\.exception\.MQTTException: Property type must be one of 0-6, not 7",
        "says what is wrong",
    ),
    (
        r"unpack .*",
        r"ROOT\.exception\.MQTTException: Property '<class 'property'>' must not exist more than once",
        r"ROOT\.exception\.MQTTException: Property \w+ must not exist more than once",
        "names the property",
    ),
    (
        r"unpack .*",
        r"(builtins\.(IndexError|KeyError|UnicodeDecodeError)|struct\.error|ROOT\.exception\.MalformedPacket): .*",
        r"ROOT\.exception\.MalformedPacket: .*",
        "what cannot be parsed is a malformed packet, whatever Python stumbles over first",
    ),
    (
        r"decode .*",
        r"ROOT\.exception\.MalformedPacket: .*",
        r"ROOT\.exception\.MalformedPacket: .*",
        "other words",
    ),
    (
        r"connack code ReasonCode\(Connack, 'Banned'\)",
        r"ReasonCode\(Connack, 'Unspecified error'\)",
        r"ReasonCode\(Connack, 'Banned'\)",
        "what is a reason code already stays what it is",
    ),
]


def answers(root: str, path: list[str]) -> dict[str, str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONIOENCODING": "utf-8"}
    run = subprocess.run([sys.executable, str(PROBE), root], env=environment, stdout=subprocess.PIPE, timeout=300, check=True)
    found: dict[str, str] = json.loads(run.stdout)
    return found


def test_every_answer_is_pahos_or_a_named_difference() -> None:
    assert REFERENCE is not None
    theirs = answers("paho.mqtt", [REFERENCE])
    ours = answers("karere.paho", [entry for entry in sys.path if entry])
    assert theirs["version"] == "'2.2.0'"
    assert theirs.keys() == ours.keys()
    assert len(theirs) > 20_000
    met = [0] * len(DIFFERENCES)
    unexplained = []
    for question, answer in theirs.items():
        if ours[question] == answer:
            continue
        for index, (asked, paho, karere, _) in enumerate(DIFFERENCES):
            if (
                re.fullmatch(asked, question, re.DOTALL)
                and re.fullmatch(paho, answer, re.DOTALL)
                and re.fullmatch(karere, ours[question], re.DOTALL)
            ):
                met[index] += 1
                break
        else:
            unexplained.append((question, answer, ours[question]))
    assert unexplained[:20] == []
    assert all(met), [difference for difference, count in zip(DIFFERENCES, met) if not count]

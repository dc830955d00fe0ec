"""The options of a subscription in MQTT 5.0."""

from __future__ import annotations

from typing import Any, Final, Union

_NAMES: Final = ["QoS", "noLocal", "retainAsPublished", "retainHandling"]


class MQTTException(Exception):
    """An option that does not exist. paho keeps this one apart from `karere.paho.MQTTException`, so it stays apart."""


class SubscribeOptions:
    """The options of one subscription (§3.8.3.1): `QoS`, `noLocal`, `retainAsPublished`, `retainHandling`."""

    RETAIN_SEND_ON_SUBSCRIBE: Final = 0
    RETAIN_SEND_IF_NEW_SUB: Final = 1
    RETAIN_DO_NOT_SEND: Final = 2

    QoS: int
    noLocal: bool
    retainAsPublished: bool
    retainHandling: int
    names: list[str]

    def __init__(
        self,
        qos: int = 0,
        noLocal: bool = False,
        retainAsPublished: bool = False,
        retainHandling: int = RETAIN_SEND_ON_SUBSCRIBE,
    ) -> None:
        object.__setattr__(self, "names", _NAMES)
        self.QoS = qos
        self.noLocal = noLocal
        self.retainAsPublished = retainAsPublished
        self.retainHandling = retainHandling
        self._check()

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _NAMES:
            raise MQTTException(f"{name} Attribute name must be one of {_NAMES}")
        object.__setattr__(self, name, value)

    def _check(self) -> None:
        # AssertionError is what callers know; raised by hand, because `python -O` drops `assert`.
        if self.retainHandling not in (0, 1, 2):
            raise AssertionError(f"Retain handling should be 0, 1 or 2, not {self.retainHandling}")
        if self.QoS not in (0, 1, 2):
            raise AssertionError(f"QoS should be 0, 1 or 2, not {self.QoS}")

    def pack(self) -> bytes:
        """The byte of the wire."""
        self._check()
        options = self.QoS | self.retainHandling << 4
        if self.noLocal:
            options |= 0x04
        if self.retainAsPublished:
            options |= 0x08
        return bytes([options])

    def unpack(self, buffer: Union[bytes, bytearray]) -> int:
        """Becomes what the first byte says, and says that it took one byte."""
        options = buffer[0]
        self.QoS = options & 0x03
        self.noLocal = bool(options & 0x04)
        self.retainAsPublished = bool(options & 0x08)
        self.retainHandling = options >> 4 & 0x03
        self._check()
        return 1

    def __str__(self) -> str:
        return "{" + ", ".join(f"{name}={getattr(self, name)}" for name in _NAMES) + "}"

    __repr__ = __str__

    def json(self) -> dict[str, Any]:
        """The options by name, for JSON."""
        return {name: getattr(self, name) for name in _NAMES}

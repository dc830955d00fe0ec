"""What waits in the core, as the collections that programs look into."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from .._core import Core, MQTTMessage


class OutMessages(Mapping[int, MQTTMessage]):
    """Messages of QoS 1 and 2 that are not done, by mid, in order. Always as things are now."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def __len__(self) -> int:
        return self._core.out_len()

    def __iter__(self) -> Iterator[int]:
        return iter([mid for mid, _ in self._core.out_messages()])

    def __getitem__(self, mid: int) -> MQTTMessage:
        return dict(self._core.out_messages())[mid]

    def clear(self) -> None:
        """Gives all of them up."""
        self._core.drop_out_messages()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self)!r})"


class InMessages(Collection[int]):
    """Mids of received messages that are not done."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def __len__(self) -> int:
        return len(self._core.in_messages())

    def __iter__(self) -> Iterator[int]:
        return iter(self._core.in_messages())

    def __contains__(self, mid: object) -> bool:
        return mid in self._core.in_messages()

    def keys(self) -> list[int]:
        """All of them."""
        return self._core.in_messages()

    def clear(self) -> None:
        """Forgets them: they are never acknowledged."""
        self._core.clear_in_messages()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.keys()!r})"


class OutPackets:
    """What waits to be written. It can be counted in bytes only, so the length is that."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def __len__(self) -> int:
        return self._core.unsent()

    def clear(self) -> None:
        """Gives up messages of QoS 0 that wait. Other packets are part of an exchange that goes on."""
        self._core.drop_unsent()

    def __repr__(self) -> str:
        return f"<{len(self)} bytes to be written>"

"""Values by topic filter, found by topic name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Optional


class MQTTMatcher:
    """A mapping from topic filters to values, with all values that match a topic name.

    Lookups may go on in some threads while another changes the mapping, if those that change it take turns.
    """

    class Node:
        """A level of the filters that begin alike."""

        __slots__ = ("_children", "_content")

        def __init__(self) -> None:
            self._children: dict[str, MQTTMatcher.Node] = {}
            self._content: Any = None

    def __init__(self) -> None:
        self._root = self.Node()
        self._found: dict[str, tuple[Any, ...]] = {}

    def __setitem__(self, key: str, value: Any) -> None:
        node = self._root
        for level in key.split("/"):
            child = node._children.get(level)
            if child is None:
                child = node._children[level] = self.Node()
            node = child
        node._content = value
        self._found = {}

    def __getitem__(self, key: str) -> Any:
        node: Optional[MQTTMatcher.Node] = self._root
        for level in key.split("/"):
            node = node._children.get(level) if node is not None else None
        if node is None or node._content is None:
            raise KeyError(key)
        return node._content

    def __delitem__(self, key: str) -> None:
        path = [(self._root, "")]
        node = self._root
        for level in key.split("/"):
            child = node._children.get(level)
            if child is None:
                raise KeyError(key)
            path.append((child, level))
            node = child
        if node._content is None:
            raise KeyError(key)
        node._content = None
        # Levels that lead nowhere any more go too, or filters that come and go would fill the memory.
        for (parent, _), (child, level) in zip(path[-2::-1], path[:0:-1]):
            if child._children or child._content is not None:
                break
            del parent._children[level]
        self._found = {}

    def iter_match(self, topic: str) -> Iterator[Any]:
        """The values of all filters that match `topic`: exact levels before `+` before `#`."""
        return iter(self._matches(topic))

    def _matches(self, topic: str) -> tuple[Any, ...]:
        """What `iter_match` gives, remembered: a client sees the same topics again and again."""
        # A change puts a new dictionary here. What a search that began before it finds goes into the old one.
        found = self._found
        values = found.get(topic)
        if values is None:
            out: list[Any] = []
            # Wildcards do not match a first level that begins with $ (§4.7.2).
            _collect(self._root, topic.split("/"), 0, not topic.startswith("$"), out)
            values = tuple(out)
            if len(found) >= _REMEMBERED:
                found.clear()
            found[topic] = values
        return values


_REMEMBERED = 1024


def _collect(node: MQTTMatcher.Node, levels: list[str], depth: int, wildcards: bool, out: list[Any]) -> None:
    children = node._children
    if depth == len(levels):
        if node._content is not None:
            out.append(node._content)
    else:
        child = children.get(levels[depth])
        if child is not None:
            _collect(child, levels, depth + 1, True, out)
        if wildcards:
            child = children.get("+")
            if child is not None:
                _collect(child, levels, depth + 1, True, out)
    if wildcards:
        # `a/#` matches `a` as well (§4.7.1.2).
        child = children.get("#")
        if child is not None and child._content is not None:
            out.append(child._content)

"""The typed contract with the native part. Private: `karere.paho` is its only caller.

Codes are those of the wire. Properties cross as encoded bytes, the length in front, as `Properties.pack()` makes them;
`None` means that the packet had none, or that the version knows none.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, Optional, Union, final

from typing_extensions import Self, disjoint_base

# Kinds of events. An event is an `MQTTMessage`, or a tuple that begins with one of these.

CONNACK: Final[int]
"""(CONNACK, accepted: bool, session_present: bool, code: int, properties: bytes | None, short: bool)

`code` is the return code before 5.0 and the reason code in 5.0. `short`: a 5.0 client got the two-byte form of 3.1.1, and
`code` is 3.1.1's return code. A refusal is followed by DISCONNECTED."""

PUBLISHED: Final[int]
"""(PUBLISHED, mid: int, code: int, properties: bytes | None, outcome: int, packet: int), only after `tell_published(True)`.

`outcome`: 0 acknowledged (QoS 0: written), 1 refused by the server, 2 never sent, 3 sent and unknown. `packet` is the type of
the packet that `code` came in: 4 PUBACK (QoS 0 too), 5 PUBREC, 7 PUBCOMP."""

SUBACK: Final[int]
"""(SUBACK, mid: int, codes: tuple[int, ...], properties: bytes | None)"""

UNSUBACK: Final[int]
"""(UNSUBACK, mid: int, codes: tuple[int, ...], properties: bytes | None); no codes before 5.0"""

DISCONNECTED: Final[int]
"""(DISCONNECTED, cause: int, code: int | None, properties: bytes | None, text: str): the last event of a connection.

Close the transport. `cause` is one of the constants below; `code` and `properties` are the server's own, for
DISCONNECTED_BY_SERVER and REFUSED; `None` where its DISCONNECT left them out."""

AUTH: Final[int]
"""(AUTH, code: int, properties: bytes | None)"""

LOG: Final[int]
"""(LOG, level: int, text: str): a packet that passed, in paho's words, only after `tell_packets(True)`. `level` is a
LogLevel."""

# Causes of DISCONNECTED.

REQUESTED: Final[int]
"""`disconnect()` was called, and DISCONNECT has been written."""
LOST: Final[int]
"""The transport ended."""
KEEPALIVE: Final[int]
"""The server was silent for too long."""
PROTOCOL: Final[int]
"""The server broke the protocol: `text` says how."""
REFUSED: Final[int]
"""CONNACK refused the connection."""
DISCONNECTED_BY_SERVER: Final[int]
"""The server sent DISCONNECT (5.0)."""
TIMED_OUT: Final[int]
"""No CONNACK came in time."""

Event = Union["MQTTMessage", tuple[Any, ...]]
Will = tuple[bytes, bytes, int, bool, Optional[bytes]]
"""topic, payload, qos, retain, properties"""

@disjoint_base
class MQTTMessageInfo:
    """What `publish()` returns."""

    mid: int
    rc: int
    """An MQTTErrorCode."""
    def __new__(cls, mid: int) -> Self: ...
    def __str__(self) -> str: ...
    def __iter__(self) -> Iterator[int]: ...
    def __next__(self) -> int: ...
    def next(self) -> int: ...
    def __getitem__(self, index: int, /) -> int: ...
    def wait_for_publish(self, timeout: Optional[float] = None) -> None:
        """Waits without the GIL; Ctrl-C leaves it. ValueError for MQTT_ERR_QUEUE_SIZE, RuntimeError for any other rc > 0."""
    def is_published(self) -> bool: ...

@disjoint_base
class MQTTMessage:
    """A message. `==` compares mids; not hashable; no further attributes."""

    timestamp: float
    """When it was received, by `time.monotonic()`."""
    state: int
    dup: bool
    mid: int
    topic: str
    """UnicodeDecodeError when the server sent bytes that are not UTF-8. Set as bytes, as in paho."""
    payload: bytes
    qos: int
    retain: bool
    info: MQTTMessageInfo
    properties: Any
    """A Properties of PUBLISH in 5.0, decoded when first read; None before 5.0."""
    def __new__(cls, mid: int = 0, topic: bytes = ...) -> Self: ...

@final
class Core:
    """A client's session, its bytes, and the part of the loop that waits and moves them.

    Every method may be called from any thread, from callbacks too. Nothing here calls Python code.
    """

    def __new__(cls) -> Self: ...

    # What the next CONNECT says, and limits.

    def configure(
        self,
        *,
        protocol: int,
        client_id: bytes,
        clean: bool,
        keepalive: int,
        username: Optional[bytes],
        password: Optional[bytes],
        will: Optional[Will],
        properties: Optional[bytes],
        bridge: bool,
        connack_timeout: float,
    ) -> None:
        """Messages in flight stay. ValueError says what cannot be said in this version. `connack_timeout`: seconds; 0: none."""

    def limit(self, *, inflight: int, queued: int) -> None:
        """0 is no limit. `queued` counts messages of QoS 1 and 2 that are not done, in flight or not."""

    def tell_published(self, on: bool) -> None: ...
    def tell_packets(self, on: bool) -> None: ...
    def reset(self) -> None:
        """Begins a new session: everything is forgotten, waiters are released."""

    # The transport.

    def open(self, fd: Optional[int]) -> None:
        """The transport is up: CONNECT is queued, not written. `fd`: a non-blocking plain stream socket that stays the
        caller's; the core reads and writes it in `turn`, `read`, `write`. None: bytes go through `feed` and `drain`.

        What the last connection left is settled first: QoS 0 messages that were not written are lost."""

    def close(self, failed: Optional[str]) -> None:
        """The transport has ended, for the reason `failed` if it failed; DISCONNECTED follows. Nothing if there is none."""

    def abandon(self) -> None:
        """The caller has dropped the transport, to connect anew: no DISCONNECTED is told. QoS 0 messages that were not
        written are lost: MQTT_ERR_CONN_LOST."""

    def has_transport(self) -> bool: ...
    def is_connected(self) -> bool:
        """Between a CONNACK of success and the end of the connection."""

    # Commands.

    def publish(
        self, topic: Any, payload: Any, qos: Any, retain: Any, properties: Optional[bytes], flush: bool
    ) -> MQTTMessageInfo:
        """Checks as paho does, in its order, with its exceptions. `flush`: writes at once what can be written (native fd);
        what follows from that stands in `events()`."""

    def subscribe(self, filters: Sequence[tuple[str, int]], properties: Optional[bytes]) -> int:
        """Filter and options byte (QoS before 5.0). Returns the mid. ValueError for what cannot be sent."""

    def unsubscribe(self, filters: Sequence[str], properties: Optional[bytes]) -> int: ...
    def disconnect(self, code: Optional[int], properties: Optional[bytes]) -> None:
        """Queues DISCONNECT, before CONNACK too. None, None: the shortest form."""

    def done(self, message: MQTTMessage) -> None:
        """The application has had this message: acknowledge it. Nothing at QoS 0."""

    def ack(self, mid: int, qos: int) -> bool:
        """The same by mid; False when no such message waits."""

    def auth(self, code: int, properties: Optional[bytes]) -> None: ...
    def drop_out_messages(self) -> None: ...

    # What waits.

    def out_messages(self) -> list[tuple[int, MQTTMessage]]:
        """By mid, in order: messages of QoS 1 and 2 that are not done."""
    def in_messages(self) -> list[int]:
        """Mids of received messages that are not done."""
    def out_len(self) -> int:
        """As `len(out_messages())`."""
    def clear_in_messages(self) -> None: ...
    def drop_unsent(self) -> None:
        """Gives up QoS 0 messages that wait: before CONNACK, or behind a full send buffer. MQTT_ERR_CONN_LOST."""
    def inflight(self) -> int: ...
    def unsent(self) -> int:
        """Bytes of packets that are begun or may be begun and have not been written."""
    def last_mid(self) -> int: ...

    # The loop. Each returns what happened, in order.

    def turn(self, timeout: float, patient: bool = False) -> list[Event]:
        """Waits up to `timeout` seconds, without the GIL, until something is to be told or bytes were moved, and returns what
        is to be told; minds deadlines meanwhile. Returns at once after `wake()`, and when there is no transport. A native fd
        only. Ctrl-C leaves it.

        `patient`: goes on until something is to be told. For threads that do nothing else: what others publish, and the
        answers to it, then need no GIL. Not for `loop()`, whose caller looks at `is_published()` and `want_write()` after it.

        Brings few messages at a time when Python took long for the last ones; the rest follows in the next turn."""

    def read(self) -> list[Event]:
        """Reads what is there, without waiting (native fd)."""
    def write(self) -> list[Event]:
        """Writes what can be written, without waiting (native fd)."""
    def feed(self, data: bytes) -> list[Event]:
        """Bytes the server sent (no native fd)."""
    def drain(self) -> bytes:
        """The next bytes to send, at most 64 KiB, not copied out before `sent` (no native fd)."""
    def sent(self, count: int) -> list[Event]: ...
    def misc(self) -> list[Event]:
        """Minds deadlines: keep alive, CONNACK."""
    def events(self) -> list[Event]:
        """What is still to be told."""
    def has_events(self) -> bool: ...
    def deadline(self) -> Optional[float]:
        """Seconds until `misc` has something to do."""
    def want_write(self) -> bool: ...
    def wake(self) -> None:
        """Makes the `turn` that waits, or the next one, return."""
    def wake_fd(self) -> int:
        """Readable after `wake()`, for loops that wait for other descriptors too; whatever returns events resets it. Without a
        native fd also once there is something new to send or to tell, from the first call of this on."""

def after_fork() -> None:
    """In the child: every Core made before refuses to work from now on, with a RuntimeError that says why."""

def matches(filter: str, topic: str) -> bool:
    """`topic_matches_sub`."""

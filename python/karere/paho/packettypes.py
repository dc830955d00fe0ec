"""The control packets by number."""

from typing import Final


class PacketTypes:
    """Packet type numbers, as the upper half of a packet's first byte has them.

    `WILLMESSAGE` is no packet: it stands for the properties of the will, which CONNECT carries beside its own.
    """

    indexes: Final = range(1, 16)

    CONNECT: Final = 1
    CONNACK: Final = 2
    PUBLISH: Final = 3
    PUBACK: Final = 4
    PUBREC: Final = 5
    PUBREL: Final = 6
    PUBCOMP: Final = 7
    SUBSCRIBE: Final = 8
    SUBACK: Final = 9
    UNSUBSCRIBE: Final = 10
    UNSUBACK: Final = 11
    PINGREQ: Final = 12
    PINGRESP: Final = 13
    DISCONNECT: Final = 14
    AUTH: Final = 15
    WILLMESSAGE: Final = 99

    Names: Final = (
        "reserved",
        "Connect",
        "Connack",
        "Publish",
        "Puback",
        "Pubrec",
        "Pubrel",
        "Pubcomp",
        "Subscribe",
        "Suback",
        "Unsubscribe",
        "Unsuback",
        "Pingreq",
        "Pingresp",
        "Disconnect",
        "Auth",
    )

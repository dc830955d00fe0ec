"""What paho-mqtt 1.6.1 accepted and 2.2.0 refuses, as a variant of the modules.

`install(api="1.6")` puts these in place of `paho.mqtt`'s modules; `karere.paho` itself stays as it is.
"""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any, Final, Optional

import karere.paho.client as _client
from .enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion, _ConnectionState
from .properties import Properties
from .reasoncodes import ReasonCode

_LOST: Final = MQTTErrorCode.MQTT_ERR_CONN_LOST
_NO_CONN: Final = MQTTErrorCode.MQTT_ERR_NO_CONN
_SUCCESS: Final = MQTTErrorCode.MQTT_ERR_SUCCESS


class _Unclaimed:
    """A property that 2.x added, under a name that programs for 1.6.1 use for attributes of their own.

    Reads like the property until something is assigned, which then is the instance's alone.
    """

    def __init__(self, name: str) -> None:
        self._property: property = getattr(_client.Client, name)
        self.__doc__ = self._property.__doc__

    def __get__(self, instance: Optional[_client.Client], owner: type) -> Any:
        return self if instance is None else self._property.__get__(instance, owner)


class Client(_client.Client):
    """The client with 1.6.1's arguments. The callbacks are VERSION1's unless the first argument is a CallbackAPIVersion."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not (args and isinstance(args[0], CallbackAPIVersion)) and "callback_api_version" not in kwargs:
            args, kwargs = (CallbackAPIVersion.VERSION1,), _arguments(*args, **kwargs)
        version = kwargs.pop("callback_api_version", None) or args[0]
        # VERSION1 is what these programs have: nobody is to be told that it is old.
        super().__init__(CallbackAPIVersion.VERSION2, *args[1:], **kwargs)
        self._callback_api_version = version

    def reinitialise(self, client_id: Any = "", clean_session: Optional[bool] = True, userdata: Any = None) -> None:
        version = self._callback_api_version
        super().reinitialise(client_id, clean_session, userdata)  # type: ignore[arg-type]
        self._callback_api_version = version

    def connect_srv(  # type: ignore[override]
        self,
        domain: Optional[str] = None,
        keepalive: int = 60,
        bind_address: str = "",
        clean_start: Any = _client.MQTT_CLEAN_START_FIRST_ONLY,
        properties: Optional[Properties] = None,
        bind_port: int = 0,
    ) -> MQTTErrorCode:
        return super().connect_srv(domain, keepalive, bind_address, bind_port, clean_start, properties)

    def subscribe(self, topic: Any, qos: int = 0, options: Any = None, properties: Optional[Properties] = None) -> Any:
        if isinstance(topic, list) and not topic and self._sock is None:
            return _NO_CONN, None
        return super().subscribe(topic, qos, options, properties)

    def loop(self, timeout: float = 1.0, max_packets: int = 1) -> MQTTErrorCode:
        rc = super().loop(timeout)
        return _LOST if rc == _NO_CONN else rc

    def loop_forever(  # type: ignore[override]
        self, timeout: float = 1.0, max_packets: int = 1, retry_first_connection: bool = False
    ) -> MQTTErrorCode:
        rc = super().loop_forever(timeout, retry_first_connection=retry_first_connection)
        return _LOST if rc == _NO_CONN else rc

    def loop_write(self, max_packets: int = 1) -> MQTTErrorCode:
        return super().loop_write()

    def loop_start(self) -> Optional[MQTTErrorCode]:  # type: ignore[override]
        rc = super().loop_start()
        return None if rc == _SUCCESS else rc

    def loop_stop(self, force: bool = False) -> Optional[MQTTErrorCode]:  # type: ignore[override]
        rc = super().loop_stop()
        return None if rc == _SUCCESS else rc

    def message_retry_set(self, retry: float) -> None:
        """Does nothing, as in 1.6.1: messages are sent again when the connection is, and not before."""


for _name in (
    "callback_api_version",
    "connect_timeout",
    "host",
    "keepalive",
    "logger",
    "max_inflight_messages",
    "max_queued_messages",
    "password",
    "port",
    "protocol",
    "transport",
    "username",
    "will_payload",
    "will_topic",
):
    setattr(Client, _name, _Unclaimed(_name))


def _arguments(
    client_id: Any = "",
    clean_session: Optional[bool] = None,
    userdata: Any = None,
    protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311,
    transport: Any = "tcp",
    reconnect_on_failure: bool = True,
) -> dict[str, Any]:
    return locals()


def base62(num: int, base: str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", padding: int = 1) -> str:
    """A number in the digits `base`, with zeros in front up to `padding` of them."""
    if num < 0:
        raise ValueError("Number must be positive or zero")
    digits: list[str] = []
    while num:
        num, digit = divmod(num, len(base))
        digits.append(base[digit])
    return "".join(reversed(digits)).rjust(padding, base[0])


def modules(package: ModuleType, modules: dict[str, ModuleType]) -> tuple[ModuleType, dict[str, ModuleType]]:
    """The variant of the package and of its modules; those that did not change are the same objects."""
    variant = dict(modules)

    client = variant["client"] = _variant(modules["client"])
    vars(client).update(
        Client=Client,
        ConnectionState=_ConnectionState,
        ReasonCodes=ReasonCode,
        WebsocketWrapper=_client._WebsocketWrapper,
        base62=base62,
        mqtt_cs_new=0,
        mqtt_cs_connected=1,
        mqtt_cs_disconnecting=2,
        mqtt_cs_connect_async=3,
    )
    reasoncodes = variant["reasoncodes"] = _variant(modules["reasoncodes"])
    # There it was the class's only name, so using it is nothing to warn of.
    vars(reasoncodes)["ReasonCodes"] = ReasonCode

    for name in ("publish", "subscribe"):
        variant[name] = _executed_again(modules[name])
        vars(variant[name])["mqtt"] = client
    publish = vars(variant["publish"])
    publish["multiple"] = _multiple(publish["multiple"])

    top = _variant(package)
    vars(top).update(variant, __version__="1.6.1", __path__=package.__path__)
    return top, variant


def _variant(module: ModuleType) -> ModuleType:
    copy = ModuleType(module.__name__, module.__doc__)
    vars(copy).update({name: value for name, value in vars(module).items() if not name.startswith("__")})
    copy.__file__ = module.__file__
    copy.__package__ = module.__package__
    return copy


def _executed_again(module: ModuleType) -> ModuleType:
    """A module whose functions look their globals up in itself, and not in the one it was made from."""
    spec = module.__spec__
    if spec is None or spec.loader is None:
        raise ImportError(f"{module.__name__} cannot be loaded a second time")
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    return copy


def _multiple(multiple: Any) -> Any:
    def accepts_iterators(msgs: Any, *args: Any, **kwargs: Any) -> None:
        multiple(msgs if hasattr(msgs, "__len__") or not hasattr(msgs, "__iter__") else list(msgs), *args, **kwargs)

    accepts_iterators.__name__ = "multiple"
    accepts_iterators.__doc__ = multiple.__doc__
    return accepts_iterators

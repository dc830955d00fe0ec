"""Lets code that imports `paho.mqtt` find this package."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Final

from .exception import MQTTException

_MODULES: Final = (
    "_packet",
    "client",
    "enums",
    "exception",
    "matcher",
    "packettypes",
    "properties",
    "publish",
    "reasoncodes",
    "subscribe",
    "subscribeoptions",
)

_APIS: Final = ("2.2", "1.6")


def install(api: str = "2.2") -> None:
    """From here on `import paho.mqtt.client` and its like import this package's modules, the same objects.

    `api="1.6"` also accepts what paho-mqtt 1.6.1 accepted and 2.2.0 refuses; it changes `paho.mqtt` alone, not
    `karere.paho`. Call it before anything imports `paho`: RuntimeError if that has happened.
    """
    if api not in _APIS:
        raise ValueError(f"api must be one of {', '.join(_APIS)}, not {api}")
    if _is_installed(api):
        return
    package = importlib.import_module(__package__)
    modules = {name: importlib.import_module(f"{__package__}.{name}") for name in _MODULES}
    if api == "1.6":
        from . import _api16

        package, modules = _api16.modules(package, modules)
    top = ModuleType("paho", "MQTT with the API of paho-mqtt, by karere.")
    top.__path__ = []
    top.mqtt = package  # type: ignore[attr-defined]
    sys.modules["paho"] = top
    sys.modules["paho.mqtt"] = package
    for name, module in modules.items():
        sys.modules[f"paho.mqtt.{name}"] = module


_VERSIONS: Final = {"2.2": "2.2.0", "1.6": "1.6.1"}


def _is_installed(api: str) -> bool:
    """Whether `paho.mqtt` is this already. RuntimeError if it is somebody else's, or this with the other API."""
    if "paho" not in sys.modules:
        return False
    try:
        taken: object = importlib.import_module("paho.mqtt")
    except ImportError:
        taken = sys.modules["paho"]
    if getattr(taken, "MQTTException", None) is not MQTTException:
        raise RuntimeError(
            f"paho has been imported already, from {getattr(taken, '__file__', None)}: call karere.paho.install() before "
            "anything imports it, or run the program with python -m karere.paho"
        )
    if getattr(taken, "__version__", None) != _VERSIONS[api]:
        raise RuntimeError("paho.mqtt is karere.paho already, with another api: the first import decides")
    return True

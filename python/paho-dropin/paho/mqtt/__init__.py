"""The API of paho-mqtt 2.2.0. Each module of this package is the module of the same name in `karere.paho`."""

from karere.paho import MQTTException as MQTTException
from karere.paho import __version__ as __version__

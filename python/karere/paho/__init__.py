"""MQTT with the API of paho-mqtt 2.2.0: `import karere.paho.client as mqtt`.

Code that imports `paho.mqtt` itself runs with `python -m karere.paho`, or after `install()`.
"""

from ._install import install as install
from .exception import MQTTException as MQTTException

__version__ = "2.2.0"
"""The version of paho-mqtt whose API this is."""

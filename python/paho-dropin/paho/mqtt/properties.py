"""`karere.paho.properties`: importing this module gives that one, so that there is one object to patch."""

import sys
from typing import TYPE_CHECKING

from karere.paho import properties

if TYPE_CHECKING:
    from karere.paho.properties import *

sys.modules[__name__] = properties

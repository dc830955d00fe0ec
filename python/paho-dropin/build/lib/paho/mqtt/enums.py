"""`karere.paho.enums`: importing this module gives that one, so that there is one object to patch."""

import sys
from typing import TYPE_CHECKING

from karere.paho import enums

if TYPE_CHECKING:
    from karere.paho.enums import *

sys.modules[__name__] = enums

"""`karere.paho._packet`: importing this module gives that one, so that there is one object to patch."""

import sys
from typing import TYPE_CHECKING

from karere.paho import _packet

if TYPE_CHECKING:
    from karere.paho._packet import *

sys.modules[__name__] = _packet

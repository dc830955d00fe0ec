"""`karere.paho.subscribe`: importing this module gives that one, so that there is one object to patch."""

import sys
from typing import TYPE_CHECKING

from karere.paho import subscribe

if TYPE_CHECKING:
    from karere.paho.subscribe import *

sys.modules[__name__] = subscribe

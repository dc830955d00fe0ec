"""`karere.paho.subscribeoptions`: importing this module gives that one, so that there is one object to patch."""

import sys
from typing import TYPE_CHECKING

from karere.paho import subscribeoptions

if TYPE_CHECKING:
    from karere.paho.subscribeoptions import *

sys.modules[__name__] = subscribeoptions

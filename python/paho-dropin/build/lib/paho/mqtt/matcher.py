"""`karere.paho.matcher`: importing this module gives that one, so that there is one object to patch."""

import sys
from typing import TYPE_CHECKING

from karere.paho import matcher

if TYPE_CHECKING:
    from karere.paho.matcher import *

sys.modules[__name__] = matcher

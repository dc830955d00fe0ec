"""`karere.paho.packettypes`: importing this module gives that one, so that there is one object to patch."""

import sys
from typing import TYPE_CHECKING

from karere.paho import packettypes

if TYPE_CHECKING:
    from karere.paho.packettypes import *

sys.modules[__name__] = packettypes

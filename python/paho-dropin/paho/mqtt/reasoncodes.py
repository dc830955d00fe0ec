"""`karere.paho.reasoncodes`: importing this module gives that one, so that there is one object to patch."""

import sys
from typing import TYPE_CHECKING

from karere.paho import reasoncodes

if TYPE_CHECKING:
    from karere.paho.reasoncodes import *

sys.modules[__name__] = reasoncodes

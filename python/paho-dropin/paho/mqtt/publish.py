"""`karere.paho.publish`: importing this module gives that one, so that there is one object to patch."""

import sys
from typing import TYPE_CHECKING

from karere.paho import publish

if TYPE_CHECKING:
    from karere.paho.publish import *

sys.modules[__name__] = publish

"""`karere.paho.exception`: importing this module gives that one, so that there is one object to patch."""

import sys
from typing import TYPE_CHECKING

from karere.paho import exception

if TYPE_CHECKING:
    from karere.paho.exception import *

sys.modules[__name__] = exception

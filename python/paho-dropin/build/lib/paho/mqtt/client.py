"""`karere.paho.client`: importing this module gives that one, so that there is one object to patch."""

import sys
from typing import TYPE_CHECKING

from karere.paho import client

if TYPE_CHECKING:
    from karere.paho.client import *

sys.modules[__name__] = client

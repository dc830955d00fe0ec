"""Ctrl-C reaches the programs that tests start, also where the tests run in the background of a shell, which ignores it."""

import signal

signal.signal(signal.SIGINT, signal.default_int_handler)

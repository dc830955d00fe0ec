"""`python -m karere.paho [--api 1.6] SCRIPT …`: runs a program whose `paho.mqtt` is this package."""

from __future__ import annotations

import os
import runpy
import sys
from typing import NoReturn

from ._install import _APIS, install

_USAGE = """\
usage: python -m karere.paho [--api {2.2,1.6}] SCRIPT [ARGUMENT ...]
       python -m karere.paho [--api {2.2,1.6}] -m MODULE [ARGUMENT ...]
"""


def _main(arguments: list[str]) -> None:
    # By hand: whatever follows the script is the script's, and argparse would look into it.
    api = _APIS[0]
    while arguments:
        option = arguments.pop(0)
        if option in ("-h", "--help"):
            sys.stdout.write(f"{_USAGE}\n{__doc__}\n")
            return
        if option == "--api":
            api = arguments.pop(0) if arguments else ""
        elif option.startswith("--api="):
            api = option[len("--api=") :]
        elif option == "-m":
            if not arguments:
                _refuse("-m needs a module")
            _install(api)
            _put_in_front(os.getcwd())
            sys.argv[:] = arguments
            runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
            return
        elif option.startswith("-"):
            _refuse(f"unknown option {option}")
        else:
            _install(api)
            sys.argv[:] = [option, *arguments]
            _put_in_front(os.path.dirname(os.path.realpath(option)))
            runpy.run_path(option, run_name="__main__")
            return
    _refuse("which script?")


def _install(api: str) -> None:
    if api not in _APIS:
        _refuse(f"--api is one of {', '.join(_APIS)}")
    install(api)
    # `-m` has put the current directory in front.
    if not _SAFE_PATH:
        del sys.path[0]


_SAFE_PATH = getattr(sys.flags, "safe_path", False)


def _put_in_front(directory: str) -> None:
    """As `python SCRIPT` and `python -m MODULE` do, so that a program finds its own modules."""
    if not _SAFE_PATH:
        sys.path.insert(0, directory)


def _refuse(why: str) -> NoReturn:
    sys.stderr.write(f"{_USAGE}{why}\n")
    raise SystemExit(2)


if __name__ == "__main__":
    _main(sys.argv[1:])

"""The native part in interpreters beside the main one."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
print(interpreters.run_string(interpreters.create(), "import karere.paho.client"))
"""


@pytest.mark.parametrize("before", ["", "import karere.paho.client\n"], ids=["alone", "beside the main one"])
def test_a_subinterpreter_is_refused_and_told_why(before: str) -> None:
    """Only what is said counts: some interpreters do not end well after that, whatever was refused."""
    run = subprocess.run([sys.executable, "-c", before + PROGRAM], capture_output=True, text=True, timeout=30)
    said = run.stdout + run.stderr
    assert "module karere._core does not support loading in subinterpreters" in said, said

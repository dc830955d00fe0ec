"""What a type checker makes of programs that use the modules."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def check(text: str, folder: Path) -> str:
    pytest.importorskip("mypy")
    program = folder / "program.py"
    program.write_text(text)
    environment = {**os.environ, "MYPYPATH": os.pathsep.join([str(HERE.parent), str(HERE.parent / "paho-dropin")])}
    # Of the package itself only what the program sees: it is checked by itself.
    options = ["--strict", "--follow-imports", "silent", "--cache-dir", str(folder / "cache")]
    mypy = [sys.executable, "-m", "mypy", *options, str(program)]
    return subprocess.run(mypy, env=environment, cwd=folder, stdout=subprocess.PIPE, text=True, check=False).stdout


@pytest.mark.timeout(300)
@pytest.mark.parametrize("package", ["paho.mqtt", "karere.paho"])
def test_a_typed_program_is_accepted(package: str, tmp_path: Path) -> None:
    text = (HERE / "modules_typed_usage.py").read_text()
    assert check(text.replace("paho.mqtt", package), tmp_path) == "Success: no issues found in 1 source file\n"


@pytest.mark.timeout(300)
def test_a_wrong_type_is_found(tmp_path: Path) -> None:
    said = check("from paho.mqtt import publish\npublish.single(5)\n", tmp_path)
    assert 'Argument 1 to "single" has incompatible type "int"; expected "str"' in said

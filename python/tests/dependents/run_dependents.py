"""Runs programs that use libraries made for paho-mqtt, with karere in paho's place.

    python tests/dependents/run_dependents.py [--folder FOLDER] [NAME ...]

`karere` and `karere-paho` must be installed in the interpreter that runs this, and paho-mqtt must not be. The libraries come
from the package index, each into a directory of its own, without paho-mqtt; FOLDER keeps them. The server is a mosquitto
(KARERE_MOSQUITTO, or PATH).
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Program:
    """A library that requires paho-mqtt, and is therefore installed without what it requires, and what else it needs."""

    library: str = ""
    needs: tuple[str, ...] = ()
    launcher: tuple[str, ...] = ()
    """How it is run, if not by the interpreter alone."""


PROGRAMS = {
    "with_aiomqtt": Program("aiomqtt==2.5.1", ("typing-extensions",)),
    # It calls `message_retry_set`, which went with 2.0.
    "with_asyncio_mqtt": Program("asyncio-mqtt==0.16.2", ("typing-extensions",), ("-m", "karere.paho", "--api", "1.6")),
    "with_flask_mqtt": Program("Flask-MQTT==1.3.0", ("Flask==3.1.2",)),
    "with_null_locks": Program(),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where the libraries are kept")
    parser.add_argument("names", nargs="*", help="the programs to run; all by default")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - PROGRAMS.keys():
        parser.error(f"there is no program {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="dependents-") as work:
        broker, port = start_broker(Path(work))
        try:
            failed = [name for name in arguments.names or PROGRAMS if not run(name, arguments.folder or Path(work), port)]
        finally:
            broker.kill()
            broker.wait()
    return 1 if failed else 0


def start_broker(work: Path) -> tuple[subprocess.Popen[bytes], int]:
    program = os.environ.get("KARERE_MOSQUITTO") or shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
    if not program:
        sys.exit("there is no mosquitto: neither KARERE_MOSQUITTO nor in PATH")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    configuration = work / "mosquitto.conf"
    configuration.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    broker = subprocess.Popen([program, "-c", str(configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return broker, port
    sys.exit("mosquitto does not answer")


def run(name: str, folder: Path, port: int) -> bool:
    program = PROGRAMS[name]
    libraries = folder / name
    if not libraries.exists():
        install = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--target",
            str(libraries),
        ]
        libraries.mkdir(parents=True)
        if program.needs:
            subprocess.run([*install, *program.needs], check=True)
        if program.library:
            subprocess.run([*install, "--no-deps", program.library], check=True)
    if (libraries / "paho").exists():
        sys.exit(f"{libraries} has a paho of its own")
    environment = {**os.environ, "PYTHONPATH": str(libraries)}
    command = [sys.executable, *program.launcher, str(HERE / f"{name}.py"), str(port)]
    try:
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False
        )
        code, output = str(done.returncode), done.stdout
    except subprocess.TimeoutExpired as expired:
        code, output = "none: it hung", str(expired.stdout or "")
    passed = code == "0" and output.rstrip().endswith("done")
    print(f"{'passed' if passed else 'failed'}  {name}" + ("" if passed else f": exit code {code}\n{output}"), flush=True)
    return passed


if __name__ == "__main__":
    sys.exit(main())

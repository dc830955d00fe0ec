"""Runs paho-mqtt's own tests, unchanged, with karere in paho's place.

    python tests/paho_suite.py [--folder FOLDER] [pytest options]

Takes the source distribution of paho-mqtt 2.2.0 from the package index, or from FOLDER when it was put there, and runs its
tests with the interpreter that runs this: `karere` and `karere-paho` must be installed there, and paho-mqtt must not be.
`openssl` must be in PATH: the tests make certificates with it.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

NAME = "paho_mqtt-2.2.0"
SHA256 = "bcf706f03f1f49e0fc3ae166dc7b67ee35463496f8bdfd7c9c36181f6ba635c9"

# Needs a broker that is not in the package index; without it all of its tests are skipped.
NEEDS_A_BROKER = "tests/test_mqttv5.py"


def fetch(folder: Path) -> Path:
    """The source distribution, checked."""
    archive = folder / f"{NAME}.tar.gz"
    if not archive.exists():
        folder.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        subprocess.run([*pip, "--dest", str(folder), "paho-mqtt==2.2.0"], check=True)
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != SHA256:
        sys.exit(f"{archive} is not paho-mqtt 2.2.0 as it was published: SHA-256 {found}")
    return archive


def whose_paho() -> str:
    """Where `paho.mqtt.client` comes from, asked as the tests will import it."""
    ask = "import paho.mqtt.client as client; print(client.__name__)"
    asked = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, cwd="/")
    return asked.stdout.strip() or asked.stderr.strip()


def main() -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it, and so would what is started
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=None, help="where the source distribution is kept")
    arguments, pytest = parser.parse_known_args()
    if (found := whose_paho()) != "karere.paho.client":
        sys.exit(f"paho.mqtt.client is not karere's here but: {found}")
    if shutil.which("openssl") is None:
        sys.exit("openssl is not in PATH; the tests make certificates with it")
    with tempfile.TemporaryDirectory(prefix="paho-suite-") as work:
        archive = fetch(arguments.folder or Path(work))
        with tarfile.open(archive) as tar:
            tar.extractall(work, filter="data") if hasattr(tarfile, "data_filter") else tar.extractall(work)
        run = Path(work) / "run"  # not the folder with paho's own sources, which would be imported
        run.mkdir()
        for name in ("tests", "pyproject.toml"):
            (Path(work) / NAME / name).rename(run / name)
        # Programs that the tests start import from `tests` too.
        path = os.pathsep.join(filter(None, [str(run), os.environ.get("PYTHONPATH")]))
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--timeout", "60"]
        command += ["--ignore", NEEDS_A_BROKER, *(pytest or ["-q"]), "tests"]
        return subprocess.run(command, cwd=run, env={**os.environ, "PYTHONPATH": path}).returncode


if __name__ == "__main__":
    sys.exit(main())

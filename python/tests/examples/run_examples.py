"""Runs the examples of paho-mqtt's source distributions, unchanged, with karere in paho's place.

    python tests/examples/run_examples.py [--api {2.2,1.6}] [--folder FOLDER] [--paho DIRECTORY] [NAME ...]

The examples talk to public servers. They run in a network namespace where those names are a mosquitto on this machine
(KARERE_MOSQUITTO, or PATH) with MQTT on port 1883 and WebSockets on 80 and 8080; nothing leaves the machine. The distribution
comes from the package index, or from FOLDER when it was put there. `karere`, dnspython and trio must be installed where this
runs.
`--paho` runs them with the paho-mqtt that is installed in a directory, to compare.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

import wire

HOSTS = ("mqtt.eclipseprojects.io", "test.mosquitto.org")
DOMAINS = {"_mqtt._tcp.eclipseprojects.io": HOSTS[0], "_mqtt._tcp.mosquitto.org": HOSTS[1]}

SOURCES = {
    "2.2": ("2.2.0", "paho_mqtt-2.2.0", "bcf706f03f1f49e0fc3ae166dc7b67ee35463496f8bdfd7c9c36181f6ba635c9"),
    "1.6": ("1.6.1", "paho-mqtt-1.6.1", "2a8291c81623aec00372b5a85558a372c747cbca8e9934dfe218638b8eefc26f"),
}


@dataclass(frozen=True)
class Example:
    """What an example does when all is well."""

    name: str
    arguments: tuple[str, ...] = ()
    lines: int = 0
    """How many lines like `shows` it must print. If it `ends`, by itself and with exit code 0; else it is stopped then."""
    shows: str = "."
    ends: bool = True
    sent: tuple[str, bytes] = ("", b"")
    """What the server must have got from it: topic, payload."""
    partner: str = ""
    """The example that must run beside it."""
    races: str = ""
    """Why it fails at times whatever client it uses; it is tried again then."""
    fails: tuple[str, str] = ("", "")
    """With which API it fails whatever client it uses, and the error that it fails with."""


EXAMPLES = [
    # Without access keys it has nothing to sign, and ends after importing.
    Example("aws_iot"),
    Example("client_logger", shows=r"Received PUBLISH \(d0, q0, r[01], m0\), '\$SYS/", ends=False, lines=20),
    Example("client_mqtt_clear_retain", ("-v", "-t", "clear/#"), 2, "Clearing topic clear/(one|two)"),
    Example("client_pub-wait", (), 2, r"mid: [12]$", sent=("class", b"bar")),
    Example(
        "client_pub_opts",
        ("-N", "3", "-q", "2", "-S", "0.1", "-D"),
        3,
        "Publishing: ",
        sent=("paho/test/opts", b'{"msgnum": "2"}'),
    ),
    Example(
        "client_rpc_math",
        ("add", "1", "2", "3"),
        1,
        "Response: 6.0",
        partner="server_rpc_math",
        races="it sends its request as soon as it is connected, but learns in a callback where the answer is to go",
    ),
    Example("client_session_present", (), 3, "Connection result: (Success|0)"),
    Example("client_sub-class", shows=r"^\$SYS/", ends=False, lines=20),
    Example("client_sub-multiple-callback", shows=r"^(MESSAGES|BYTES): \$SYS/", ends=False, lines=20),
    Example("client_sub-srv", ends=False, lines=1, shows=r"^\$SYS/broker/version"),
    Example("client_sub-ws", ends=False, lines=1, shows=r"^\$SYS/broker/version"),
    Example("client_sub", shows=r"^\$SYS/", ends=False, lines=20),
    Example("client_sub_opts", ("-D",), shows=r"^\$SYS/", ends=False, lines=20),
    Example("context"),
    Example("loop_asyncio", (), 3, "Got response with 200000 bytes"),
    Example("loop_select", (), 3, "Got response with 200000 bytes|Got message with 200000 bytes|200000"),
    # Ends right after the third message is sent: two answers are sure.
    Example("loop_trio", (), 2, "Got response with 200000 bytes", fails=("1.6", "module 'trio' has no attribute 'hazmat'")),
    Example("publish_multiple", sent=("paho/test/multiple", b"multiple 2")),
    Example("publish_single", sent=("paho/test/single", b"boo")),
    Example("publish_utf8-27", sent=("paho/test/single/ô", "bôô".encode())),
    Example("publish_utf8-3", sent=("paho/test/single/ô", 'German umlauts like "ä" ü"ö" are not supported'.encode())),
    Example(
        "server_rpc_math",
        ends=False,
        lines=1,
        shows="Sending response 6.0 on",
        partner="client_rpc_math",
        races="its partner races, as said there",
    ),
    Example("subscribe_callback", shows="fed : b'", ends=False, lines=20),
    Example("subscribe_simple", (), 2, "^fed$"),
]

PARTNERS = {"server_rpc_math": (), "client_rpc_math": ("add", "1", "2", "3")}


def main() -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it, and so would what is started
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--api", choices=SOURCES, default="2.2")
    parser.add_argument("--folder", type=Path, help="where the source distributions are kept")
    parser.add_argument("--paho", type=Path, help="run with the paho-mqtt in this directory")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", help="the examples to run; all by default")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - {example.name for example in EXAMPLES}:
        parser.error(f"there is no example {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="paho-examples-") as work:
        if arguments.inside:
            return inside(arguments, Path(work))
        folder = arguments.folder or Path(work)
        fetch(folder, arguments.api)
        again = [sys.executable, __file__, *sys.argv[1:], "--inside", "--folder", str(folder)]
        return subprocess.run(["unshare", "--map-root-user", "--net", "--mount", *again], check=False).returncode


def fetch(folder: Path, api: str) -> Path:
    """The source distribution, checked."""
    version, name, sha256 = SOURCES[api]
    archive = folder / f"{name}.tar.gz"
    if not archive.exists():
        folder.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        subprocess.run([*pip, "--dest", str(folder), f"paho-mqtt=={version}"], check=True)
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != sha256:
        sys.exit(f"{archive} is not paho-mqtt {version} as it was published: SHA-256 {found}")
    return archive


def inside(arguments: argparse.Namespace, work: Path) -> int:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    names = {"/etc/hosts": f"127.0.0.1 localhost {' '.join(HOSTS)}\n", "/etc/resolv.conf": "nameserver 127.0.0.1\n"}
    for path, text in names.items():
        file = work / Path(path).name
        file.write_text(text)
        subprocess.run(["mount", "--bind", str(file), path], check=True)
    wire.serve_names(DOMAINS, 1883)
    with tarfile.open(fetch(arguments.folder, arguments.api)) as tar:
        tar.extractall(work, filter="data") if hasattr(tarfile, "data_filter") else tar.extractall(work)
    examples = work / SOURCES[arguments.api][1] / "examples"
    missing = {file.stem for file in examples.glob("*.py")} ^ {example.name for example in EXAMPLES}
    if missing:
        sys.exit(f"the table and the distribution differ in {', '.join(sorted(missing))}")
    # `context.py` looks here for a paho that is not installed.
    shutil.rmtree(examples.parent / "src", ignore_errors=True)
    broker = start_broker(work)
    try:
        return run_all(arguments, examples)
    finally:
        broker.kill()
        broker.wait()


def start_broker(work: Path) -> subprocess.Popen[bytes]:
    program = os.environ.get("KARERE_MOSQUITTO") or shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
    if not program:
        sys.exit("there is no mosquitto: neither KARERE_MOSQUITTO nor in PATH")
    configuration = work / "mosquitto.conf"
    configuration.write_text(
        "listener 1883 127.0.0.1\n"
        "listener 80 127.0.0.1\nprotocol websockets\n"
        "listener 8080 127.0.0.1\nprotocol websockets\n"
        "allow_anonymous true\nsys_interval 1\nuser root\n"
    )
    broker = subprocess.Popen([program, "-c", str(configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(100):
        try:
            wire.Client("first").close()
        except OSError:
            time.sleep(0.1)
        else:
            return broker
    sys.exit("mosquitto does not answer")


def run_all(arguments: argparse.Namespace, examples: Path) -> int:
    command, environment = how(arguments)
    observer = wire.Client("observer", "#")
    observer.publish_for_ever("fed", b"x", 0.2)
    for name in ("one", "two"):
        observer.publish(f"clear/{name}", b"kept", retain=True)

    def run(example: Example) -> str:
        problem = attempt(example, command, environment, examples, observer)
        api, error = example.fails
        if api == arguments.api:
            return "" if error in problem else f"did not fail with {error}:\n{problem}"
        return problem

    chosen = [example for example in EXAMPLES if not arguments.names or example.name in arguments.names]
    # Those of a pair share topics, and take turns.
    pairs = [example for example in chosen if example.partner]
    failed = 0
    with ThreadPoolExecutor(6) as pool:
        futures = [(example, pool.submit(run, example)) for example in chosen if not example.partner]
        results = [(example, future.result()) for example, future in futures]
    for example, problem in results + [(example, run(example)) for example in pairs]:
        failed += bool(problem)
        known = example.fails[1] if example.fails[0] == arguments.api else ""
        print(
            f"{'failed' if problem else 'passed'}  {example.name}",
            f"(as known: {known})" if known and not problem else "",
            problem,
        )
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return 1 if failed else 0


def how(arguments: argparse.Namespace) -> tuple[list[str], dict[str, str]]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    if arguments.paho is None:
        return [sys.executable, "-m", "karere.paho", "--api", arguments.api], environment
    environment["PYTHONPATH"] = str(arguments.paho)
    return [sys.executable], environment


def attempt(example: Example, command: list[str], environment: dict[str, str], examples: Path, observer: wire.Client) -> str:
    problem = ""
    for _ in range(6 if example.races else 1):
        partner = None
        if example.partner:
            partner = Run([*command, f"{example.partner}.py", *PARTNERS[example.partner]], environment, examples)
            if example.partner == "server_rpc_math":
                partner.until(lambda lines: any("Subscribing" in line for line in lines), 10)
        run = Run([*command, f"{example.name}.py", *example.arguments], environment, examples)
        problem = judge(example, run, observer)
        run.stop()
        if partner is not None:
            partner.stop()
        if not problem:
            return ""
    return problem


def judge(example: Example, run: Run, observer: wire.Client) -> str:
    """What is wrong, or nothing."""

    def enough(lines: list[str]) -> bool:
        return sum(bool(re.search(example.shows, line)) for line in lines) >= example.lines

    if example.ends:
        code = run.ended(10 if example.races else 40)
        if code != 0:
            return f"exit code {code}:\n{run.text()}"
        if not enough(run.lines):
            return f"fewer than {example.lines} lines like {example.shows}:\n{run.text()}"
    elif not run.until(enough, 10 if example.races else 30):
        return f"fewer than {example.lines} lines like {example.shows}, exit code {run.ended(0)}:\n{run.text()}"
    if "Traceback" in "".join(run.lines):
        return f"a traceback:\n{run.text()}"
    topic, payload = example.sent
    if topic:
        for _ in range(50):
            if any(message[:2] == (topic.encode(), payload) for message in observer.received):
                return ""
            time.sleep(0.1)
        return f"the server did not get {payload!r} to {topic}:\n{run.text()}"
    return ""


class Run:
    """An example that runs."""

    def __init__(self, command: list[str], environment: dict[str, str], directory: Path) -> None:
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        self._more: queue.Queue[Optional[str]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._more.put(line)
        self._more.put(None)

    def until(self, enough: Callable[[list[str]], bool], seconds: float) -> bool:
        """Reads until there are enough lines. False when the time is over, or the program."""
        deadline = time.monotonic() + seconds
        while not enough(self.lines):
            try:
                line = self._more.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                return False
            if line is None:
                return False
            self.lines.append(line.rstrip("\n"))
        return True

    def ended(self, seconds: float) -> Optional[int]:
        """The exit code, or None when it still runs."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self._reader.join(5)
        self.until(lambda _: False, 1)
        return code

    def text(self) -> str:
        return "\n".join(f"    {line}" for line in self.lines[-25:])

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()


if __name__ == "__main__":
    sys.exit(main())

"""How fast is karere under paho's API, beside paho-mqtt, gmqtt and aiomqtt?

    python python/bench/compare.py [--rounds 5] [--seconds 1] [--quick]

Makes two environments below target/python-bench, one with karere and one with the others, starts the development broker,
and lets each client publish and receive in turn, round after round. Prints messages a second (median) and the ratio to
paho-mqtt, as a Markdown table. Takes about ten minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import venv
from pathlib import Path
from typing import Optional

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = ["paho-mqtt==2.2.0", "gmqtt==0.8.0", "aiomqtt==2.5.1", "uvloop==0.22.1"]

# What is measured: operation, QoS, whether a thread of the library runs the loop.
CASES = [
    ("pub", 0, True), ("pub", 1, True), ("pub", 2, True),
    ("pub", 0, False), ("pub", 1, False), ("pub", 2, False),
    ("sub", 0, False), ("sub", 1, False), ("sub", 2, False),
]  # fmt: skip


class Bench:
    def __init__(self, seconds: float) -> None:
        self.folder = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "python-bench"
        self.seconds = seconds
        self.counts: dict[tuple[str, str, int, bool], int] = {}

    def prepare(self) -> None:
        run = lambda *command: subprocess.run(command, check=True, cwd=ROOT)  # noqa: E731
        for name, packages in [("peers", PEERS), ("karere", ["maturin==1.16.0"])]:
            python = self.python(name)
            if not python.exists():
                venv.create(python.parent.parent, with_pip=True)
            run(python, "-m", "pip", "install", "--quiet", *packages)
        python = self.python("karere")
        pip = (python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--force-reinstall")
        run(*pip, "./python")
        run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", "./python/paho-dropin")
        examples = ["--release", "--example", "broker", "--example", "bench_driver"]
        run("cargo", "build", "-p", "karere-broker", "-p", "karere", *examples)

    def python(self, environment: str) -> Path:
        return self.folder / environment / "bin" / "python"

    def example(self, name: str) -> Path:
        return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "examples" / name

    def clients(self) -> dict[str, list[str]]:
        driver = lambda environment, name: [str(self.python(environment)), "-B", str(HERE / f"driver_{name}.py")]  # noqa: E731
        return {
            "karere": driver("karere", "paho"),
            "paho-mqtt 2.2.0": driver("peers", "paho"),
            "gmqtt 0.8.0": driver("peers", "gmqtt"),
            "aiomqtt 2.5.1": driver("peers", "aiomqtt"),
        }

    def measure(self, client: str, op: str, qos: int, thread: bool) -> Optional[float]:
        """Messages a second, from a run of about `seconds`."""
        key = (client, op, qos, thread)
        if key not in self.counts:
            first = self.drive(client, op, qos, thread, 2000)
            if first is None:
                return None
            self.counts[key] = max(2000, int(first * self.seconds))
        return self.drive(client, op, qos, thread, self.counts[key])

    def drive(self, client: str, op: str, qos: int, thread: bool, count: int) -> Optional[float]:
        broker = subprocess.Popen([self.example("broker"), "--port", "0"], stdout=subprocess.PIPE, text=True)
        feeder = None
        try:
            assert broker.stdout
            port = broker.stdout.readline().strip().rsplit(":", 1)[1]
            same = ["--port", port, "--qos", str(qos), "--count", str(count)]
            command = [*self.clients()[client], op, *same, *(["--thread"] if thread else [])]
            driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            try:
                assert driver.stdout
                if op == "sub":
                    driver.stdout.readline()
                    feed = [str(self.example("bench_driver")), "pub", "--host", "127.0.0.1", *same]
                    feed += ["--size", "64", "--inflight", "100", "--proto", "4"]
                    feeder = subprocess.Popen(feed, stdout=subprocess.DEVNULL)
                said, _ = driver.communicate(timeout=60)
                return float(json.loads(said.splitlines()[-1])["rate"]) if said.strip() else None
            except (subprocess.TimeoutExpired, ValueError):
                return None
            finally:
                driver.kill()
                driver.wait()
        finally:
            for process in filter(None, [feeder, broker]):
                process.kill()
                process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="how long a run takes, roughly")
    parser.add_argument("--quick", action="store_true", help="karere and paho-mqtt only, three rounds")
    arguments = parser.parse_args()
    bench = Bench(arguments.seconds)
    bench.prepare()
    clients = list(bench.clients())[: 2 if arguments.quick else None]
    rounds = 3 if arguments.quick else arguments.rounds
    print("| | " + " | ".join(clients) + " | karere to paho-mqtt |")
    print("|---|" + "---:|" * (len(clients) + 1))
    for op, qos, thread in CASES:
        rates: dict[str, list[float]] = {client: [] for client in clients}
        for _ in range(rounds):
            for client in clients:
                # Only paho's API has a choice.
                rate = bench.measure(client, op, qos, thread)
                if rate is not None:
                    rates[client].append(rate)
        median = {client: statistics.median(values) if values else None for client, values in rates.items()}
        how = {"pub": "publish", "sub": "receive"}[op] + f" QoS {qos}" + (", loop thread" if thread else "")
        cells = [f"{value:,.0f}" if (value := median[client]) else "failed" for client in clients]
        ours, paho = median["karere"], median["paho-mqtt 2.2.0"]
        ratio = f"{ours / paho:.1f}" if ours and paho else "–"
        print(f"| {how} | {' | '.join(cells)} | {ratio} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

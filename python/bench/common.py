"""What the drivers share: one command line, one line of JSON."""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time

TOPIC = "bench/topic/01234567"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("op", choices=["pub", "sub"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--qos", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--inflight", type=int, default=100)
    parser.add_argument("--thread", action="store_true", help="publish while a thread of the library runs the loop")
    return parser.parse_args()


def ready() -> None:
    """Says that the subscription is there: whoever started this sends the messages now."""
    print("ready", flush=True)


class Clock:
    def __init__(self) -> None:
        self.began, self.used = time.perf_counter(), cpu()

    def report(self, count: int) -> None:
        seconds, used = time.perf_counter() - self.began, cpu() - self.used
        print(json.dumps({"rate": count / seconds, "cpu_us": used / count * 1e6}), flush=True)
        sys.stdout.flush()


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime

"""Does the client keep anything of what has passed?

    python tests/memory.py [--messages 1000000]

Sends a million messages through a mosquitto on this machine (KARERE_MOSQUITTO, or PATH) and receives them, at QoS 1, and fails when
this process has grown by 2 MiB or more since the first hundred thousand.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import karere.paho.client as mqtt

TOPIC = "memory/a-topic-of-24-bytes"
WINDOW = 1000
LIMIT = 2 * 1024
"""KiB."""


def resident() -> int:
    """KiB of this process in memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise RuntimeError("no VmRSS in /proc/self/status")


def start_mosquitto(folder: str) -> tuple[subprocess.Popen[bytes], int]:
    program = os.environ.get("KARERE_MOSQUITTO") or shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    conf = Path(folder, "mosquitto.conf")
    conf.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n")
    server = subprocess.Popen([program, "-c", str(conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return server, port
        except OSError:
            time.sleep(0.05)
    server.kill()
    sys.exit("mosquitto does not answer")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=1_000_000)
    messages = parser.parse_args().messages
    room, subscribed, all_there = threading.Semaphore(WINDOW), threading.Event(), threading.Event()
    got = 0

    def on_message(_client: mqtt.Client, _userdata: object, _message: mqtt.MQTTMessage) -> None:
        nonlocal got
        got += 1
        room.release()
        if got == messages:
            all_there.set()

    with tempfile.TemporaryDirectory() as folder:
        server, port = start_mosquitto(folder)
        try:
            client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
            client.on_connect = lambda client, *_: client.subscribe(TOPIC, 1)
            client.on_subscribe = lambda *_: subscribed.set()
            client.on_message = on_message
            client.connect("127.0.0.1", port)
            client.loop_start()
            if not subscribed.wait(10):
                sys.exit("no subscription")
            before = 0
            for number in range(messages):
                if not room.acquire(timeout=20):
                    sys.exit(f"stuck after {got} of {number} messages")
                client.publish(TOPIC, b"x" * 64, 1)
                if number == messages // 10:
                    before = resident()
            if not all_there.wait(30):
                sys.exit(f"{got} of {messages} messages came")
            grown = resident() - before
            client.disconnect()
            client.loop_stop()
        finally:
            server.terminate()
            server.wait()
    print(f"{messages} messages each way: {grown} KiB more, of {LIMIT} KiB allowed")
    return int(grown >= LIMIT)


if __name__ == "__main__":
    sys.exit(main())

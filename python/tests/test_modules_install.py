"""`install()`, `python -m karere.paho` and the drop-in: what `import paho.mqtt` gives.

Each test is a process of its own, since what is imported stays imported.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

DROP_IN = Path(__file__).parent.parent / "paho-dropin"
PATH = [entry for entry in sys.path if entry]

MODULES = (
    "_packet client enums exception matcher packettypes properties publish reasoncodes subscribe subscribeoptions".split()
)


def run(*arguments: str, path: tuple[str, ...] = (), cwd: Path | str = "/", code: int = 0) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, path), *PATH])}
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments], env=environment, cwd=cwd, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def test_install_gives_the_same_objects_under_paho_s_names() -> None:
    run(
        "-c",
        f"""
import karere.paho, sys
karere.paho.install()
karere.paho.install()
import paho, paho.mqtt, importlib
assert paho.mqtt is karere.paho and paho.mqtt.__version__ == "2.2.0"
for name in {MODULES}:
    assert importlib.import_module("paho.mqtt." + name) is importlib.import_module("karere.paho." + name), name
import paho.mqtt.client as mqtt
from paho.mqtt import publish
from paho.mqtt.client import Client
assert publish is karere.paho.publish and Client is karere.paho.client.Client and mqtt.Client is Client
""",
    )


def test_install_refuses_an_api_that_it_does_not_know() -> None:
    assert "api must be one of 2.2, 1.6, not 3" in run("-c", "import karere.paho; karere.paho.install(api='3')", code=1)


def test_install_says_so_when_another_paho_is_imported_already(tmp_path: Path) -> None:
    package = tmp_path / "paho" / "mqtt"
    package.mkdir(parents=True)
    (tmp_path / "paho" / "__init__.py").touch()
    (package / "__init__.py").write_text("class MQTTException(Exception): pass")
    for statement in ("import paho", "import paho.mqtt"):
        said = run("-c", f"{statement}\nimport karere.paho\nkarere.paho.install()", path=(str(tmp_path),), code=1)
        assert "RuntimeError: paho has been imported already, from" in said
        assert "python -m karere.paho" in said


def test_install_refuses_to_change_the_api_afterwards() -> None:
    said = run("-c", "import karere.paho as k\nk.install()\nk.install('1.6')", code=1)
    assert "RuntimeError: paho.mqtt is karere.paho already, with another api" in said
    run(
        "-c",
        "import karere.paho as k\nk.install('1.6')\nk.install('1.6')\nimport paho.mqtt\nassert paho.mqtt.__version__ == '1.6.1'",
    )


def test_a_script_is_run_as_the_interpreter_runs_it(tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text("value = 5")
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, neighbour, paho.mqtt.client as c\n"
        "assert __name__ == '__main__' and neighbour.value == 5\n"
        "print(c.__name__, sys.argv[1:], sys.argv[0] == __file__, sys.path[0])\n"
        "sys.exit(7)"
    )
    said = run("-m", "karere.paho", str(script), "--api", "-m", "x", code=7)
    assert said == f"karere.paho.client ['--api', '-m', 'x'] True {tmp_path}\n"


def test_a_module_is_run_as_the_interpreter_runs_it(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import sys, paho.mqtt\nprint(__name__, paho.mqtt.__version__, sys.argv == [__file__, 'a'])"
    )
    assert run("-m", "karere.paho", "--api", "1.6", "-m", "program", "a", cwd=tmp_path) == "__main__ 1.6.1 True\n"


@pytest.mark.parametrize("arguments", [[], ["--api", "3", "x.py"], ["--api"], ["-m"], ["--what", "x.py"]], ids=str)
def test_a_wrong_call_says_how_it_is_called(arguments: list[str]) -> None:
    assert "usage: python -m karere.paho" in run("-m", "karere.paho", *arguments, code=2)


def test_the_drop_in_s_modules_are_karere_s(tmp_path: Path) -> None:
    for name in MODULES:
        run(
            "-c",
            f"import paho.mqtt.{name} as theirs, karere.paho.{name} as ours, paho.mqtt\n"
            f"assert theirs is ours and paho.mqtt.{name} is ours\n"
            f"from paho.mqtt import {name} as again\nassert again is ours",
            path=(str(DROP_IN),),
        )
    said = run(
        "-c",
        "import paho, paho.mqtt, karere.paho\n"
        "assert paho.mqtt.MQTTException is karere.paho.MQTTException\n"
        "karere.paho.install()\n"
        "print(paho.__file__, paho.mqtt.__version__)",
        path=(str(DROP_IN),),
    )
    assert said == f"{DROP_IN / 'paho' / '__init__.py'} 2.2.0\n"
    run("-c", "import paho, karere.paho\nkarere.paho.install()", path=(str(DROP_IN),))
    said = run("-c", "import paho, karere.paho\nkarere.paho.install('1.6')", path=(str(DROP_IN),), code=1)
    assert "with another api" in said


def test_the_drop_in_gives_way_to_the_older_api() -> None:
    run(
        "-c",
        "import karere.paho\nkarere.paho.install(api='1.6')\nimport paho.mqtt.client as mqtt\nmqtt.Client('id')",
        path=(str(DROP_IN),),
    )


def test_patching_through_paho_s_name_patches_the_one_module() -> None:
    run(
        "-c",
        "import paho.mqtt.client as mqtt, karere.paho.client\n"
        "from unittest import mock\n"
        "with mock.patch('paho.mqtt.client.Client') as patched:\n"
        "    assert karere.paho.client.Client is patched",
        path=(str(DROP_IN),),
    )


OLD = """
import karere.paho, sys
karere.paho.install(api="1.6")
import paho.mqtt.client as mqtt
"""

ACCEPTED = {
    "positional identifier": "assert mqtt.Client('id')._client_id == b'id'",
    "every argument by position": "c = mqtt.Client('id', False, 'data', mqtt.MQTTv31, 'websockets', False)\n"
    "assert (c._userdata, c._transport, c._protocol) == ('data', 'websockets', 3)",
    "arguments by name": "assert mqtt.Client(client_id='x', clean_session=True)._clean_session is True",
    "the newer form": "c = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, 'id')\n"
    "assert c._client_id == b'id' and c._callback_api_version is mqtt.CallbackAPIVersion.VERSION2",
    "the newer form by name": "c = mqtt.Client(callback_api_version=mqtt.CallbackAPIVersion.VERSION1, client_id='id')\n"
    "assert c._callback_api_version is mqtt.CallbackAPIVersion.VERSION1",
    "the older callbacks": "assert mqtt.Client()._callback_api_version is mqtt.CallbackAPIVersion.VERSION1",
    "max_packets": "c = mqtt.Client()\n"
    "assert c.loop(0.1, 5) == c.loop(timeout=0.1, max_packets=5) == mqtt.MQTT_ERR_CONN_LOST\n"
    "assert c.loop_write(5) == c.loop_read(5) == mqtt.MQTT_ERR_NO_CONN",
    "force": "c = mqtt.Client()\nassert c.loop_stop(True) == c.loop_stop(force=True) == mqtt.MQTT_ERR_INVAL\n"
    "c.connect_async('127.0.0.1', 1)\nassert c.loop_start() is None and c.loop_stop(force=True) is None",
    "message_retry_set": "assert mqtt.Client().message_retry_set(20) is None",
    "base62": "assert [mqtt.base62(n) for n in (61, 62, 3844)] == ['Z', '10', '100'] and mqtt.base62(5, padding=4) == '0005'",
    "WebsocketWrapper": "assert mqtt.WebsocketWrapper is mqtt._WebsocketWrapper",
    "states": "assert (mqtt.mqtt_cs_new, mqtt.mqtt_cs_connected) == (0, 1)\n"
    "assert (mqtt.mqtt_cs_disconnecting, mqtt.mqtt_cs_connect_async) == (2, 3)",
    "an empty list of topics": "assert mqtt.Client().subscribe([]) == (mqtt.MQTT_ERR_NO_CONN, None)",
    "ReasonCodes": "from paho.mqtt.reasoncodes import ReasonCodes\n"
    "assert str(ReasonCodes(2)) == 'Success' and mqtt.ReasonCodes is ReasonCodes",
    "reinitialise": "c = mqtt.Client('a')\nc.reinitialise('b', True, 5)\n"
    "assert c._client_id == b'b' and c._userdata == 5 and c._callback_api_version is mqtt.CallbackAPIVersion.VERSION1",
    "attributes that are properties now": "class Mine(mqtt.Client):\n"
    "    def __init__(self):\n"
    "        super().__init__('id')\n"
    "        self.host, self.port, self.keepalive, self.protocol, self.logger = 'h', 0, -1, 'p', print\n"
    "m = Mine()\nassert (m.host, m.port, m.protocol) == ('h', 0, 'p') and m._host == ''\n"
    "n = mqtt.Client(); n._host = 'there'\nassert n.host == 'there'",
    "an iterator of messages": "from paho.mqtt import publish\n"
    "try: publish.multiple((one for one in [('a', 'b')]), port=1)\n"
    "except ConnectionRefusedError: pass\n"
    "else: raise AssertionError",
    "helpers use the older client": "from paho.mqtt import publish, subscribe\n"
    "assert publish.mqtt.Client is subscribe.mqtt.Client is mqtt.Client\n"
    "assert karere.paho.publish.mqtt.Client is not mqtt.Client",
    "the package itself stays as it is": "import karere.paho.client as new\n"
    "assert new.Client is not mqtt.Client and not hasattr(new, 'base62')\n"
    "try: new.Client('id')\nexcept TypeError: pass\nelse: raise AssertionError",
}


@pytest.mark.parametrize("program", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_the_older_api_accepts(program: str) -> None:
    # Run with -W error: nobody is told that what he has is old.
    run("-c", OLD + program)


def test_the_older_api_refuses_what_1_6_1_refused() -> None:
    assert "unexpected keyword argument 'foo'" in run("-c", OLD + "mqtt.Client(foo=1)", code=1)
    assert "ValueError: transport must be" in run("-c", OLD + "mqtt.Client(transport='foo')", code=1)
    assert "ValueError: A client id must be provided if clean session is False." in run(
        "-c", OLD + "mqtt.Client('', False)", code=1
    )

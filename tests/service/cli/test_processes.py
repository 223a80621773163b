"""Commands that run until they are told to end."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx

Process = Callable[..., "subprocess.Popen[str]"]


def test_watching_ends_quietly(process: Process, hands: Any) -> None:
    hands.study()
    watching = process("status", "--watch")
    assert watching.stdout is not None
    first = watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    _, errors = watching.communicate(timeout=60)
    assert first and watching.returncode == 130
    assert errors == ""


def test_the_api_serves_until_it_is_told_to_end(process: Process, hands: Any) -> None:
    hands.study()
    api = process("api")
    assert api.stderr is not None
    port = 0
    for line in api.stderr:
        record = json.loads(line)
        assert record["role"] == "api"
        if record["event"] == "api listens":
            port = record["port"]
            break
    deadline = monotonic() + 60
    while True:
        try:
            assert httpx.get(f"http://127.0.0.1:{port}/healthz").json() == {"alive": True}
            break
        except httpx.ConnectError:
            assert monotonic() < deadline and api.poll() is None
            sleep(0.1)
    assert httpx.get(f"http://127.0.0.1:{port}/v1/studies").json()["items"][0]["study_instance_uid"] == "1.2.3"
    roles = {c["name"]: c["ok"] for c in httpx.get(f"http://127.0.0.1:{port}/readyz").json()["checks"]}
    assert roles["node"] is False
    assert "raysight_studies" in httpx.get(f"http://127.0.0.1:{port}/metrics").text

    second = process("api")
    _, errors = second.communicate(timeout=60)
    assert second.returncode == 2 and errors.startswith("raysight: api already runs in ")

    api.send_signal(signal.SIGTERM)
    api.communicate(timeout=60)
    assert api.returncode in (0, -signal.SIGTERM)


def test_a_home_that_cannot_be_written_is_one_line(process: Process, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("no folder", encoding="utf-8")
    serve = process("serve")
    _, errors = serve.communicate(timeout=60)
    assert serve.returncode == 1
    assert errors == f"raysight: can't write the home {tmp_path / 'home'}: Not a directory\n"

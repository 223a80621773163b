"""Commands that run until they are told to end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

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


HEAVY = ("torch", "monai", "mlflow", "onnxscript", "training")
WATCH = f"""
import os, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY}:
            with open(os.environ["SEEN"], "a") as seen:
                seen.write(name + "\\n")

sys.meta_path.insert(0, Watch())
"""


def test_the_service_loads_no_torch_monai_mlflow(process: Process, tmp_path: Path) -> None:
    """Node, receiver, worker and API, from their start until they are ready: asked of the import system itself."""
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
    seen = tmp_path / "seen"
    ways = os.pathsep.join(p for p in (str(tmp_path / "watch"), os.environ.get("PYTHONPATH")) if p)
    watched = {"PYTHONPATH": ways, "SEEN": str(seen)}
    script = "import training.places, contextlib\nwith contextlib.suppress(ImportError): import torch"
    subprocess.run([sys.executable, "-c", script], env={**os.environ, **watched}, check=True)
    assert {"training", "torch"} <= set(seen.read_text(encoding="utf-8").split())
    seen.write_text("")

    serve = process("serve", **watched)
    assert serve.stderr is not None
    waited_for = {"node ready", "storage SCP listens", "worker ready", "api listens"}
    for line in serve.stderr:
        waited_for -= {json.loads(line)["event"]}
        if not waited_for:
            break
    serve.send_signal(signal.SIGTERM)
    serve.communicate(timeout=60)
    assert not waited_for
    assert seen.read_text(encoding="utf-8") == ""


def test_a_home_that_cannot_be_written_is_one_line(process: Process, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("no folder", encoding="utf-8")
    serve = process("serve")
    _, errors = serve.communicate(timeout=60)
    assert serve.returncode == 1
    assert errors == f"raysight: can't write the home {tmp_path / 'home'}: Not a directory\n"


def test_mlflows_pages_need_a_run(process: Process, tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    pages = process("mlflow")
    _, errors = pages.communicate(timeout=60)
    assert (
        pages.returncode,
        errors.startswith(f"raysight: no run was logged in {tmp_path / 'home' / 'mlruns'} yet"),
    ) == (
        2,
        True,
    )


def test_mlflows_pages_are_served_here_only(process: Process, tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    import psutil

    from training.registry.store import Store

    store = Store(tmp_path / "home" / "mlruns")
    store.create("toy", "toy-1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        taken = process("mlflow", "--port", str(port))
        _, errors = taken.communicate(timeout=60)
        assert (taken.returncode, errors) == (
            2,
            f"raysight: port {port}: address already in use; give another --port\n",
        )
    pages = process("mlflow", "--port", str(port))
    assert pages.stdout is not None
    assert pages.stdout.readline() == f"http://127.0.0.1:{port}\n"
    deadline = monotonic() + 120
    while True:
        try:
            found = httpx.get(f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/get-by-name?experiment_name=toy")
            break
        except httpx.ConnectError:
            assert monotonic() < deadline and pages.poll() is None
            sleep(0.2)
    assert found.json()["experiment"]["experiment_id"] == store.experiment("toy")
    telemetry = httpx.get(f"http://127.0.0.1:{port}/ajax-api/3.0/mlflow/ui-telemetry").json()
    assert telemetry["disable_ui_telemetry"] is True
    ours = psutil.Process(pages.pid)
    sockets = [c for p in (ours, *ours.children(recursive=True)) for c in p.net_connections("inet") if not c.raddr]
    assert {c.laddr.ip for c in sockets} == {"127.0.0.1"}
    pages.send_signal(signal.SIGINT)
    pages.communicate(timeout=60)

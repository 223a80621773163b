"""Raysight itself as its users run it: `raysight serve` in a process group of its own, seen through its command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import yaml

from tests.integration.orthanc import free_port

PATIENCE_SECONDS = 120


@dataclass
class Raysight:
    """A home, a configuration and the processes on it.

    Parameters
    ----------
    folder
        Home and configuration.
    settings
        What differs from the test defaults, as in raysight.yaml.
    """

    folder: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    pipelines: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ae_title: str = "RAYSIGHT"
    port: int = field(default_factory=free_port)
    api_port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self.home = self.folder / "home"
        self.configs = self.folder / "configs"
        (self.configs / "pipelines").mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Raysight:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def write_configuration(self) -> None:
        """The YAML files, from the settings."""
        defaults: dict[str, Any] = {
            "node": {"ae_title": self.ae_title, "port": self.port, "limits": {"free_mb": 100}},
            "api": {"port": self.api_port},
            "completeness": {"quiet_seconds": 3, "count_interval_seconds": 1},
            "retention": {"watermark_mb": 0},
        }
        merged = _merge(defaults, self.settings)
        (self.configs / "raysight.yaml").write_text(yaml.safe_dump(merged), encoding="utf-8")
        for name, values in self.pipelines.items():
            (self.configs / "pipelines" / f"{name}.yaml").write_text(yaml.safe_dump(dict(values)), encoding="utf-8")

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"RAYSIGHT_HOME": str(self.home), "RAYSIGHT_CONFIG": str(self.configs)}

    def start(self) -> None:
        """Start all roles and wait until they live."""
        self.write_configuration()
        with (self.folder / "serve.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "service.cli", "serve"],
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.wait("all roles live", lambda: all(self.pid(role) for role in ("node", "worker-0", "api")))
        self.wait("the node listens", self.listening)

    def listening(self) -> bool:
        """Whether the node answers C-ECHO."""
        return self.run("echo", f"{self.ae_title}@127.0.0.1:{self.port}", check=False).returncode == 0

    def pid(self, role: str) -> int | None:
        """The process that holds a role now."""
        from service.roles import role_alive

        if not role_alive(self.home, role):
            return None
        try:
            return int(json.loads((self.home / "run" / f"{role}.lock").read_text(encoding="utf-8"))["pid"])
        except (json.JSONDecodeError, KeyError):
            return None

    def kill(self, role: str) -> None:
        """`kill -9` of one role; the supervisor starts it again."""
        pid = self.pid(role)
        assert pid is not None, f"{role} doesn't run"
        os.kill(pid, signal.SIGKILL)

    def kill_group(self) -> None:
        """`kill -9` of everything at once."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        """SIGTERM, as a service manager does."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill_group()
        self._process = None

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """One `raysight` command on this home."""
        done = subprocess.run(
            [sys.executable, "-m", "service.cli", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def status(self, study: str | None = None) -> Any:
        """`raysight status [STUDY] --json`."""
        return json.loads(self.run("status", *([study] if study else []), "--json").stdout)

    def log(self) -> str:
        """Everything the processes printed."""
        return (self.folder / "serve.log").read_text(encoding="utf-8", errors="replace")

    def wait(self, what: str, happened: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
        """Look until something was observed; fails with the log's end when it never is."""
        deadline = monotonic() + seconds
        while not happened():
            if monotonic() > deadline:
                raise AssertionError(f"never observed: {what}\n{self.log()[-6000:]}")
            sleep(0.1)

    def wait_for(self, study: str, states: Sequence[str], seconds: float = PATIENCE_SECONDS) -> Any:
        """Wait until a study is in one of these states; its status."""
        seen: list[Any] = []

        def there() -> bool:
            answer = self.run("status", study, "--json", check=False)
            if answer.returncode != 0:
                return False
            seen.append(json.loads(answer.stdout))
            return seen[-1]["state"] in states

        self.wait(f"study {study} is {' or '.join(states)}", there, seconds)
        return seen[-1]


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def deliver_to(name: str, ae_title: str, port: int, **more: Any) -> dict[str, Any]:
    """A destination that gets the lung nodule results."""
    switch = {"mode": "deliver", "responsible": "the tests", "since": "2026-01-01"}
    return {
        "name": name,
        "ae_title": ae_title,
        "host": "127.0.0.1",
        "port": port,
        "pipelines": {"lung_nodule": switch},
    } | more

"""Raysight as its users run it: `raysight serve` in a process group of its own, seen by command line and REST."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import yaml
from pydantic import TypeAdapter
from sqlalchemy import Engine, select

from dicom_node.network.echo import verify
from dicom_node.network.peers import RemoteAE
from imaging.errors import PeerError
from service.database.engine import connect, reading
from service.database.tables import instances
from service.roles import role_alive
from service.settings import Settings
from service.status import StudyStatus, study_status
from tests.integration.orthanc import free_port

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 300
FINAL = ("confirmed", "parked", "failed", "not read", "held", "read", "stopped")


@dataclass
class Raysight:
    """A home, a configuration and the processes on it.

    Parameters
    ----------
    folder
        Home and configuration.
    settings
        What differs from the test defaults, as in raysight.yaml.
    pipelines
        Pipelines' own configurations, by name; the shipped ones where absent.
    variables
        Further environment variables.
    tree
        The product's source tree.
    """

    folder: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    pipelines: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    tree: Path = ROOT
    ae_title: str = "RAYSIGHT"
    port: int = field(default_factory=free_port)
    api_port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._database: Engine | None = None
        # no connection outlives its request, so that stopping is enough
        at = f"http://127.0.0.1:{self.api_port}"
        limits = httpx.Limits(max_keepalive_connections=0)
        self._rest = httpx.Client(base_url=at, timeout=30, trust_env=False, limits=limits)
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
        """What every command of this home is given."""
        places = {"RAYSIGHT_HOME": str(self.home), "RAYSIGHT_CONFIG": str(self.configs), "PYTHONPATH": str(self.tree)}
        return os.environ | places | self.variables

    @property
    def remote(self) -> RemoteAE:
        """How peers reach the node."""
        return RemoteAE(self.ae_title, "127.0.0.1", self.port)

    def start(self) -> None:
        """Start all roles and wait until they live."""
        self.write_configuration()
        with (self.folder / "serve.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "service.cli", "serve"],
                cwd=self.tree,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.wait("all roles live", lambda: all(self.pid(role) for role in ("node", "worker-0", "api")))
        self.wait("the node listens", self.listening)

    def listening(self) -> bool:
        """Whether the node answers C-ECHO."""
        try:
            verify(self.remote, "TESTS")
        except PeerError:
            return False
        return True

    def pid(self, role: str) -> int | None:
        """The process that holds a role now."""
        if not role_alive(self.home, role):
            return None
        try:
            return int(json.loads((self.home / "run" / f"{role}.lock").read_text(encoding="utf-8"))["pid"])
        except (json.JSONDecodeError, KeyError):
            return None

    def kill(self, role: str) -> None:
        """`kill -9` of one role, once it runs; the supervisor starts it again."""
        self.wait(f"{role} runs", lambda: self._killed(role))

    def _killed(self, role: str) -> bool:
        pid = self.pid(role)
        if pid is None:
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False  # who has just taken the role has not yet written over the pid of the one before
        return True

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
        if self._database is not None:
            self._database.dispose()
            self._database = None

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """One `raysight` command on this home."""
        done = subprocess.run(
            [sys.executable, "-m", "service.cli", *arguments],
            cwd=self.tree,
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

    @property
    def database(self) -> Engine:
        """What the processes write, for looks that no command offers."""
        if self._database is None:
            url = self.variables.get("RAYSIGHT_DATABASE_URL", f"sqlite:///{self.home / 'raysight.db'}")
            self._database = connect(url)
        return self._database

    def times_received(self, study: str, sop_instance_uids: Iterable[str] | None = None) -> set[int]:
        """How often each instance of a study came, as a set of the numbers that occur."""
        i = instances.c
        query = select(i.times_received).where(i.study_instance_uid == study)
        if sop_instance_uids is not None:
            query = query.where(i.sop_instance_uid.in_(list(sop_instance_uids)))
        with reading(self.database).connect() as connection:
            return set(connection.execute(query).scalars())

    def study(self, uid: str) -> Any:
        """What `status --json` says, faster: by REST, else from the database; None while there is no such study."""
        if self._process is None:
            return self._looked_up(uid)
        try:
            answer = self._rest.get(f"/v1/studies/{uid}")
        except httpx.TransportError:
            return None  # the API starts
        return None if answer.status_code == 404 else answer.raise_for_status().json()

    def _looked_up(self, uid: str) -> Any:
        settings = Settings.model_validate(yaml.safe_load((self.configs / "raysight.yaml").read_text("utf-8")))
        found = study_status(self.database, settings, uid)
        return None if found is None else TypeAdapter(StudyStatus).dump_python(found, mode="json")

    def wait_for(self, uid: str, states: Sequence[str] = FINAL, seconds: float = PATIENCE_SECONDS) -> Any:
        """Wait until a study is in one of these states; its status."""
        return self.wait_until(uid, lambda study: study["state"] in states, f"it is {' or '.join(states)}", seconds)

    def wait_until(
        self, uid: str, happened: Callable[[Any], bool], what: str, seconds: float = PATIENCE_SECONDS
    ) -> Any:
        """Wait until a study's status shows something; that status."""
        seen: list[Any] = [None]

        def there() -> bool:
            seen.append(self.study(uid))
            return seen[-1] is not None and happened(seen[-1])

        try:
            self.wait(f"study {uid}: {what}", there, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\nlast status: {json.dumps(seen[-1], indent=1)}") from None
        return seen[-1]


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def switch(mode: str = "deliver") -> dict[str, str]:
    """A pipeline's switch at a destination."""
    return {"mode": mode, "responsible": "the tests", "since": "2026-01-01"}


def deliver_to(name: str, ae_title: str, port: int, **more: Any) -> dict[str, Any]:
    """A destination that gets the lung nodule results."""
    return {
        "name": name,
        "ae_title": ae_title,
        "host": "127.0.0.1",
        "port": port,
        "pipelines": {"lung_nodule": switch()},
    } | more

"""What holds for every command: speed, help, errors, exit codes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from service.cli import app

HEAVY = (
    "pydicom",
    "pynetdicom",
    "highdicom",
    "numpy",
    "scipy",
    "SimpleITK",
    "sqlalchemy",
    "fastapi",
    "dbos",
    "pydantic",
)


def test_importing_it_loads_nothing_heavy() -> None:
    program = f"import sys, service.cli; print(*(m for m in {HEAVY} if m in sys.modules))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        yield (*path, name)
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))


@pytest.mark.parametrize("path", list(commands(typer.main.get_command(app))), ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0
    assert f"Usage: raysight {' '.join(path)}" in result.output.replace("root", "raysight")


def test_the_help_names_the_exit_codes() -> None:
    output = " ".join(CliRunner().invoke(app, ["--help"]).output.split())
    assert "0 done · 1 a peer, a reading or the disk said no · 2 wrong usage or configuration · 130" in output


MISTAKES: dict[str, tuple[list[str], str]] = {
    "no such peer form": (["echo", "PACS@10.1.2.3"], "'PACS@10.1.2.3' is no peer; write AE@HOST:PORT"),
    "no AE title": (["echo", "10.1.2.3:104"], "is no peer; write AE@HOST:PORT"),
    "port out of range": (["echo", "PACS@10.1.2.3:70000"], "is no peer: a port is 1 to 65535"),
    "long AE title": (["echo", f"{'A' * 17}@h:104"], "is no peer: an AE title has 1 to 16"),
    "calling title": (["echo", "PACS@h:104", "--calling", "A\\B"], "--calling: an AE title has 1 to 16"),
    "no folder to send": (["send", "/no/such", "PACS@h:104"], "there is no /no/such"),
    "no folder to read": (["read", "/no/such", "--out", "/tmp/x"], "/no/such is no folder"),
    "no such pipeline to read": (
        ["read", "/", "--out", "/tmp/x", "--pipeline", "lungs"],
        "there is no pipeline 'lungs'; known: lung_nodule",
    ),
    "nothing stored yet": (["status"], "yet; start `raysight serve`, or give another --home"),
    "no such state": (["status", "--state", "lost"], "--state: 'lost' is none of received, waiting, reading"),
    "no such delivery state": (["deliveries", "list", "--state", "x"], "--state: 'x' is none of held, stopped"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(mistake: str, raysight: Callable[..., Any]) -> None:
    arguments, words = MISTAKES[mistake]
    result = raysight(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("raysight: ") and words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_peer_that_is_not_there_is_exit_code_1(raysight: Callable[..., Any], free_port: int) -> None:
    result = raysight("echo", f"PACS@127.0.0.1:{free_port}")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"raysight: PACS@127.0.0.1:{free_port} ")


@pytest.fixture
def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_wrong_options_are_exit_code_2(raysight: Callable[..., Any]) -> None:
    assert raysight("nonsense").exit_code == 2
    assert raysight("status", "--nonsense").exit_code == 2
    assert raysight("read", "x").exit_code == 2


def test_the_traceback_is_shown_when_asked_for(raysight: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYSIGHT_DEBUG", "1")
    result = raysight("status")
    assert type(result.exception).__name__ == "UsageError"


def test_configuration_mistakes_stop_every_command(raysight: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "configs" / "raysight.yaml").write_text("node: {prot: 1}\ntime_zone: Mars")
    for command in (["config", "check"], ["serve"], ["status"], ["db", "upgrade"]):
        result = raysight(*command)
        assert result.exit_code == 2
        first, second = result.stderr.splitlines()
        assert first.endswith("node.prot: unknown key; did you mean 'port'?")
        assert second.endswith("time_zone: 'Mars' is no IANA time zone such as Asia/Shanghai")
    assert not (tmp_path / "home").exists()


def test_config_check_prints_every_default(raysight: Callable[..., Any]) -> None:
    import json

    import yaml

    result = raysight("config", "check")
    assert result.exit_code == 0 and "is valid" in result.stdout
    settings = yaml.safe_load(result.stdout.split("# pipelines/")[0])
    assert settings["destinations"][0]["sr_class"] == "comprehensive"
    assert json.loads(raysight("config", "check", "--json").stdout)["settings"] == settings


def test_db_upgrade_makes_the_tables(raysight: Callable[..., Any], tmp_path: Path) -> None:
    assert "is up to date" in raysight("db", "upgrade").stdout
    assert (tmp_path / "home" / "raysight.db").is_file()
    assert "No studies." in raysight("status").stdout


def test_an_old_database_is_named(raysight: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "raysight.db").touch()
    result = raysight("status")
    assert result.exit_code == 2
    assert "no such table" in result.stderr and "`raysight db upgrade`" in result.stderr


def test_index_rebuild_says_what_it_found(raysight: Callable[..., Any]) -> None:
    result = raysight("index", "rebuild")
    assert result.exit_code == 0
    assert "0 log lines: 0 studies, 0 instances, 0 readings" in result.stdout

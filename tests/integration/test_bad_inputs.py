"""Every bad input gets a clear answer and harms nothing; the next good study is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.bad_inputs import Case, House, all_cases, started, table

CASES = [case for cases in all_cases().values() for case in cases]
ROLES = ("node", "receiver", "worker-0", "api")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with started(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture(scope="module")
def first_processes(house: House) -> dict[str, int | None]:
    """The processes before any bad input."""
    return processes(house)


def processes(house: House) -> dict[str, int | None]:
    return {role: house.raysight.pid(role) for role in ROLES}


@pytest.mark.usefixtures("first_processes")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.given)
def test_answer(house: House, case: Case) -> None:
    assert house.answer(case).startswith(case.expected)


def test_the_table_says_what_is_observed(house: House, repo_root: Path) -> None:
    assert table(house) == (repo_root / "docs" / "bad-inputs.md").read_text(encoding="utf-8")


def test_afterwards_nothing_is_broken_and_a_good_study_is_read(
    house: House, first_processes: dict[str, int | None]
) -> None:
    assert table(house).endswith("| a good study | 0000 each; read |\n")
    assert processes(house) == first_processes
    assert None not in first_processes.values()
    assert house.scratch == []
    log = house.raysight.log()
    assert "Traceback" not in log
    assert '"exception"' not in log

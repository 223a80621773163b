"""What every test may ask for, and the check that nothing is skipped unnoticed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repo_root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real images, from RAYSIGHT_TEST_DATA; the test is skipped where it is absent."""
    folder = Path(os.environ.get("RAYSIGHT_TEST_DATA", ROOT.parent / "shared" / "data")).resolve()
    if not folder.is_dir():
        pytest.skip("RAYSIGHT_TEST_DATA: the folder of real images is absent")
    return folder


def _allowed_skips() -> tuple[str, ...]:
    lines = (ROOT / "tests" / "allowed_skips.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With RAYSIGHT_STRICT_SKIPS=1 a skip whose reason isn't listed fails the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("RAYSIGHT_STRICT_SKIPS") != "1" or reporter is None:
        return
    allowed = _allowed_skips()
    for report in reporter.stats.get("skipped", []):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else ""
        if not reason.startswith(allowed or ("\0",)):
            reporter.write_line(f"skip not listed in tests/allowed_skips.txt: {report.nodeid}: {reason}", red=True)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

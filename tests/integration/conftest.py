"""Real peers for the whole test session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.loop import Loop, make_loop
from tests.integration.orthanc import ABSENT, BINARY, Orthanc


@pytest.fixture(scope="session")
def the_orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """The session's one Orthanc; tests ask for ``orthanc``."""
    if BINARY is None:
        pytest.skip(ABSENT)
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as archive:
        yield archive


@pytest.fixture
def orthanc(the_orthanc: Orthanc) -> Orthanc:
    """The session's Orthanc: running, empty, and knowing nobody (see `Orthanc.know`)."""
    if not the_orthanc.running:
        the_orthanc.start()
    the_orthanc.clear()
    return the_orthanc


@pytest.fixture(scope="session")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    """The session's one Raysight between three Orthancs; its tests leave no study unfinished."""
    if BINARY is None:
        pytest.skip(ABSENT)
    made = make_loop(tmp_path_factory.mktemp("loop"))
    with made.pacs, made.mirror, made.slow, made.raysight:
        yield made

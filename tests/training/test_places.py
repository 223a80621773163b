"""Where the training line keeps its things."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.store import SHIPPED
from service.cli.context import places
from training.places import Places


def test_a_store_is_one_for_all_who_ask(tmp_path: Path) -> None:
    """Else what it knows of files that it has read is lost, and each is hashed again."""
    where = Places(tmp_path)
    assert where.store is where.store and where.all_versions is where.all_versions
    assert where.candidate_store is where.candidate_store


@pytest.mark.parametrize("own", [True, False])
def test_mlflows_folder_doesnt_depend_on_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    monkeypatch.setenv("RAYSIGHT_HOME", str(tmp_path / "home") if own else "")
    monkeypatch.chdir(tmp_path)
    assert places().mlruns == (tmp_path / "home" / "mlruns" if own else SHIPPED.parent / "mlruns")

"""The house: its import contract, and names that collide with nobody's."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

PACKAGES = ("imaging", "models", "inference", "dicom_node", "pipelines", "training", "service")


def test_no_import_name_is_also_another_distributions() -> None:
    owners = packages_distributions()
    for name in PACKAGES:
        assert set(owners.get(name, ["raysight"])) == {"raysight"}, name


def test_the_import_contract_is_kept(repo_root: Path) -> None:
    lint = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=repo_root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert lint.returncode == 0, lint.stdout


def test_the_import_contract_can_be_broken(repo_root: Path, tmp_path: Path) -> None:
    """A pipeline that opens DICOM itself is refused."""
    for name in (*PACKAGES, "pyproject.toml"):
        source = repo_root / name
        (tmp_path / name).symlink_to(source) if name != "pipelines" else None
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "__init__.py").write_text("import pydicom\n", encoding="utf-8")
    lint = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert lint.returncode != 0
    assert "pydicom" in lint.stdout

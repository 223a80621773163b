"""The page "Bring your own model" of docs/training.md, followed to the letter."""

from __future__ import annotations

import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from models.spec import load_spec
from training.cohort import load_description
from training.evaluation.card import BEGIN, SECTIONS
from training.gate.rules import load_rules
from training.runs.configuration import load_configuration

PACKAGES = ("imaging", "models", "inference", "dicom_node", "pipelines", "training", "service", "configs")
BLOCK = re.compile(r"`(?P<path>[\w./]+)`[^`]*?:\n\n```(?:python|yaml|markdown)\n(?P<content>.*?)^```$", re.M | re.S)
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.M | re.S)


@pytest.fixture
def page(repo_root: Path) -> str:
    text = (repo_root / "docs" / "training.md").read_text(encoding="utf-8")
    section = text.partition("\n## Bring your own model\n")[2]
    headings = re.sub(r"^```.*?^```$", lambda block: "x" * len(block[0]), section, flags=re.M | re.S)
    return section[: headings.find("\n## ")] if "\n## " in headings else section


@pytest.fixture
def checkout(page: str, repo_root: Path, tmp_path: Path) -> Path:
    """A checkout with the page's files in it."""
    folder = tmp_path / "checkout"
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__", "toy", "toy.yaml")
        shutil.copytree(repo_root / name, folder / name, ignore=ignored)
    for found in BLOCK.finditer(page):
        path = folder / found["path"]
        path.parent.mkdir(exist_ok=True)
        path.write_text(found["content"], encoding="utf-8")
    return folder


def new_files(folder: Path, root: Path) -> Iterator[str]:
    """What a checkout has that the original hasn't, or has otherwise."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        original = root / path.relative_to(folder)
        if not original.is_file() or not filecmp.cmp(path, original, shallow=False):
            yield str(path.relative_to(folder))


FILES = [
    "configs/cohorts/toy.yaml",
    "configs/gates/toy.yaml",
    "configs/training/toy.yaml",
    "models/toy/card.md",
    "models/toy/make_cases.py",
    "models/toy/network.py",
    "models/toy/spec.yaml",
]


def test_its_files_are_valid(checkout: Path, repo_root: Path) -> None:
    assert list(new_files(checkout, repo_root)) == FILES
    labels = [label.name for label in load_spec(checkout / "models" / "toy").output.labels]
    description, _ = load_description(checkout / "configs" / "cohorts" / "toy.yaml")
    assert list(description.classes.values()) == ["background", *labels]
    rules = load_rules(checkout / "configs" / "gates" / "toy.yaml")
    training = load_configuration(checkout / "configs" / "training" / "toy.yaml", {})
    assert {rules.cohort, training.cohort} == {description.name}
    card = (checkout / "models" / "toy" / "card.md").read_text(encoding="utf-8")
    assert BEGIN in card and re.findall(r"^## (.*)$", card, re.M) == list(SECTIONS)


def test_its_commands_lead_to_a_champion(page: str, checkout: Path, repo_root: Path, tmp_path: Path) -> None:
    for needed in ("torch", "monai", "onnxscript"):
        pytest.importorskip(needed, reason="torch is not installed")
    ways = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-ec", "".join(SHELL.findall(page))],
        cwd=checkout,
        env={"PATH": ways, "HOME": str(tmp_path), "PYTHONPATH": str(checkout), "USER": "li", "COLUMNS": "140"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    home = tmp_path / "toy" / "home"
    assert yaml.safe_load((home / "models" / "toy" / "aliases.yaml").read_text())["champion"] == "1"
    provenance = json.loads((home / "models" / "toy" / "1" / "provenance.json").read_text())
    decision = provenance["lineage"]["decision"]
    assert (decision["kind"], decision["promoted"], decision["by"]) == ("gate", True, "li")
    for words in (
        f"run {provenance['lineage']['run']['run']}",
        "version toy/1",
        "approval Whoever follows this page",
    ):
        assert words in done.stdout
    assert list(new_files(checkout, repo_root)) == sorted([*FILES, "models/toy/__init__.py"])

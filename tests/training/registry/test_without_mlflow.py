"""Where MLflow isn't installed, nothing is mirrored and nothing fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
sys.modules["mlflow"] = None  # as if it were not there: importing it fails
import importlib.util
importlib.util.find_spec = lambda name, package=None: None
from pathlib import Path
from training.places import Places
from training.registry import installed, log_report, mirror_decision
places = Places(Path("home"))
log_report(places, None)
mirror_decision(places, None)
print(installed(), list(Path().iterdir()))
"""


def test_nothing_is_mirrored(tmp_path: Path, repo_root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        cwd=tmp_path,
        env={"PYTHONPATH": str(repo_root), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "False []\n", "")


def test_its_makers_hear_nothing_whoever_imports_it(repo_root: Path) -> None:
    names = ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")
    script = f"import os, training; print(*(os.environ[n] for n in {names}))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(repo_root), "PATH": "", "MLFLOW_DISABLE_TELEMETRY": "false"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "true true\n"

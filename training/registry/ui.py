"""MLflow's own pages, on this machine only."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path


def command(mlruns: Path, port: int) -> list[str]:
    """The command that serves the pages of the store in ``mlruns`` at 127.0.0.1."""
    folder = mlruns.resolve()
    store = ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    files = ["--default-artifact-root", (folder / "artifacts").as_uri()]
    address = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    return [sys.executable, "-m", "mlflow", "ui", *store, *files, *address]


def environment() -> Mapping[str, str]:
    """What that process gets: nothing goes out, and none of the jobs that MLflow runs for language models."""
    return {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}

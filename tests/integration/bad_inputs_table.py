"""Prints `docs/bad-inputs.md` as this machine's Raysight answers."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.integration.bad_inputs import started, table

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, started(Path(folder)) as house:
        print(table(house), end="")

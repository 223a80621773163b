"""Locks that hold between processes and die with them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from imaging.errors import StorageError, UsageError
from training.locking import locked

HOLDER = """
import sys
from pathlib import Path
from training.locking import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_process_is_refused_until_the_holder_dies(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match="in use"), locked(folder, "in use"):
            pass
        holder.kill()
        holder.wait()
        with locked(folder, "in use"):
            assert list(folder.iterdir()) == []


def test_what_goes_wrong_inside_is_not_taken_for_the_lock(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError), locked(tmp_path, "in use"):
        raise BlockingIOError
    with locked(tmp_path, "in use"):
        pass


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"), locked(tmp_path / "file" / "below"):
        pass

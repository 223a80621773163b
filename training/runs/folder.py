"""A run's folder: what lies in it, and how it is written so that a kill leaves either the old or the new."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from imaging.errors import StorageError, UsageError
from training.cohort import Cohort, load_cohort, to_gzip
from training.runs.record import RunRecord, read_record, write_record

MANIFEST, EPOCHS, WEIGHTS, CHECKPOINT, PICTURES = (
    "cohort.json.gz",
    "epochs.jsonl",
    "weights.pt",
    "checkpoint.pt",
    "pictures",
)


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run."""

    path: Path

    @property
    def record(self) -> RunRecord:
        """Read anew; UsageError when there is none."""
        return read_record(self.path)

    @property
    def cohort(self) -> Cohort:
        """The manifest that the run was made with; UsageError when it isn't the one that the record names."""
        found, named = load_cohort(self.path / MANIFEST), self.record.cohort
        if found.digest != named.digest:
            raise UsageError(f"{self.path / MANIFEST} is another cohort than run.json names: the folder was altered")
        return found

    @property
    def checkpoint(self) -> Path:
        """What is needed to go on; absent when the run is done."""
        return self.path / CHECKPOINT

    @property
    def weights(self) -> Path:
        """state_dict of the best epoch."""
        return self.path / WEIGHTS

    @property
    def pictures(self) -> Path:
        """PNGs of validation cases."""
        return self.path / PICTURES

    def epochs(self) -> list[dict[str, float]]:
        """Metrics of each epoch that is done; the key ``epoch`` counts from 1."""
        path = self.path / EPOCHS
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.is_file() else []

    def write_epochs(self, epochs: Sequence[Mapping[str, float]]) -> None:
        """Replace them."""
        write_whole(self.path / EPOCHS, "".join(json.dumps(dict(e)) + "\n" for e in epochs).encode())


def new_folder(runs: Path, record: RunRecord, cohort: Cohort) -> RunFolder:
    """Begin a run's folder below ``runs``; StorageError when it can't be written."""
    folder = RunFolder(runs / record.run)
    try:
        folder.path.mkdir(parents=True)
        write_whole(folder.path / MANIFEST, to_gzip(cohort))
        write_record(folder.path, record)
    except OSError as error:
        raise StorageError(f"{folder.path}: {error.strerror}") from None
    return folder


def new_id(model: str, fold: int | None) -> str:
    """An id for a run: model, fold, time, and four characters of chance."""
    part = "" if fold is None else f"-fold{fold}"
    return f"{model}{part}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def find_run(runs: Path, reference: str) -> RunFolder:
    """A run by its id, an unambiguous beginning of it, or ``latest``; UsageError when there is none, or several."""
    known = all_runs(runs)
    found = [f for f in known if f.path.name == reference]
    if reference == "latest":
        found = known[-1:]
    elif not found and re.fullmatch(r"[a-z0-9_-]+", reference):
        found = [f for f in known if f.path.name.startswith(reference)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(f.path.name for f in (found or known)[-5:]) or "none"
    what = f"begins {len(found)} runs" if found else "is no run"
    raise UsageError(f"{reference!r} {what} in {runs}; {'such as' if found else 'the last ones'}: {names}")


def all_runs(runs: Path) -> list[RunFolder]:
    """Every run, oldest first."""
    folders = [RunFolder(p.parent) for p in runs.glob("*/run.json")]
    return sorted(folders, key=lambda f: (f.record.started, f.path.name))


def write_whole(path: Path, content: bytes) -> str:
    """Replace a file at once, synced to disk; returns its sha256. StorageError when it can't be written."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise StorageError(f"{path} can't be written: {error.strerror}") from None
    return hashlib.sha256(content).hexdigest()

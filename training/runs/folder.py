"""A run's folder: what lies in it, and the runs of an installation."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from imaging.errors import ConfigurationError, StorageError, UsageError
from imaging.files import make_folder, replace
from training.cohort import Cohort, load_cohort, to_gzip
from training.runs.record import RunRecord, read_record, write_record

MANIFEST, EPOCHS, WEIGHTS, CHECKPOINT, PICTURES, ONNX, PARITY = (
    "cohort.json.gz",
    "epochs.jsonl",
    "weights.pt",
    "checkpoint.pt",
    "pictures",
    "model.onnx",
    "parity.json",
)
DRAWN = ("worst", "median", "best")
"""The pictures, by the case that they show."""


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run."""

    path: Path

    @property
    def record(self) -> RunRecord:
        """Read anew; UsageError when there is none, ConfigurationError when it isn't valid."""
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

    def weights_bytes(self) -> bytes:
        """The weights of a run that is done; UsageError when they aren't those that its record names."""
        return self._checked(WEIGHTS, self.record.weights_sha256)

    def onnx(self) -> bytes:
        """The exported model; UsageError when there is none, or it isn't the one that the record names."""
        return self._checked(ONNX, self.record.onnx_sha256)

    def parity(self) -> Mapping[str, Any]:
        """What the export's comparison with torch found; UsageError when that isn't there."""
        path = self.path / PARITY
        try:
            found = json.loads(path.read_bytes())
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}; export the run again") from None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise UsageError(f"{path} was altered; export the run again")
        return found

    def epochs(self) -> list[dict[str, float]]:
        """Metrics of each epoch that is done; the key ``epoch`` counts from 1. UsageError when they were altered."""
        path = self.path / EPOCHS
        try:
            return [json.loads(line) for line in path.read_bytes().splitlines()] if path.is_file() else []
        except ValueError:
            raise UsageError(f"{path} was altered: a line isn't JSON; put the original back") from None

    def write_epochs(self, epochs: Sequence[Mapping[str, float]]) -> None:
        """Replace them."""
        replace(self.path / EPOCHS, "".join(json.dumps(dict(e)) + "\n" for e in epochs).encode())

    def export_to(self, runs: Path) -> None:
        """Copy what an evaluation needs, record, manifest and model, below another folder of runs."""
        files = {ONNX: self.onnx(), MANIFEST: (self.path / MANIFEST).read_bytes()}
        folder = runs / self.path.name
        make_folder(folder)
        for name, content in files.items():
            replace(folder / name, content)
        write_record(folder, self.record)

    def _checked(self, name: str, digest: str | None) -> bytes:
        path, record = self.path / name, self.record
        if digest is None:
            raise UsageError(
                f"{self.path} has no {name} yet: `raysight train {record.model} --resume {record.run}` ends it"
            )
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}; put it back, or train again") from None
        if hashlib.sha256(content).hexdigest() != digest:
            raise UsageError(f"{path} was altered: run.json names another digest; put the original back")
        return content


@dataclass(frozen=True)
class Runs:
    """The runs below a folder.

    Parameters
    ----------
    sound
        Oldest first.
    problems
        By folder, the first that is wrong with the record of each that can't be read.
    """

    sound: tuple[RunFolder, ...]
    problems: Mapping[str, str]


def new_folder(runs: Path, record: RunRecord, cohort: Cohort) -> RunFolder:
    """Begin a run's folder below ``runs``; StorageError when it can't be written."""
    folder = RunFolder(runs / record.run)
    try:
        make_folder(runs)
        folder.path.mkdir()
    except OSError as error:
        raise StorageError(f"{folder.path}: {error.strerror}") from None
    replace(folder.path / MANIFEST, to_gzip(cohort))
    write_record(folder.path, record)
    return folder


def new_id(model: str, fold: int | None) -> str:
    """An id for a run: model, fold, time, and four characters of chance."""
    part = "" if fold is None else f"-fold{fold}"
    return f"{model}{part}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def find_run(runs: Path, reference: str) -> RunFolder:
    """A run by its id, an unambiguous beginning of it, or ``latest``.

    Raises
    ------
    UsageError
        There is none, or there are several.
    ConfigurationError
        The record of the one that was named isn't valid.
    """
    known = look_through(runs)
    found = [f for f in known.sound if f.path.name == reference]
    if reference == "latest":
        found = list(known.sound[-1:])
    elif reference in known.problems:
        raise ConfigurationError(known.problems[reference])
    elif not found and re.fullmatch(r"[a-z0-9_-]+", reference):
        found = [f for f in known.sound if f.path.name.startswith(reference)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(f.path.name for f in (found or known.sound)[-5:]) or "none"
    what = f"begins {len(found)} runs" if found else "is no run"
    raise UsageError(f"{reference!r} {what} in {runs}; {'such as' if found else 'the last ones'}: {names}")


def all_runs(runs: Path) -> tuple[RunFolder, ...]:
    """Every run whose record can be read, oldest first."""
    return look_through(runs).sound


def look_through(runs: Path) -> Runs:
    """Every run, and every folder whose record can't be read."""
    sound, problems = [], {}
    for path in sorted(p.parent for p in runs.glob("[!.]*/run.json")):
        try:
            sound.append((RunFolder(path).record.started, RunFolder(path)))
        except (UsageError, ConfigurationError) as error:
            problems[path.name] = str(error).splitlines()[0]
    return Runs(tuple(run for _, run in sorted(sound, key=lambda s: (s[0], s[1].path.name))), problems)

"""A run in one folder: what another machine needs to train it, and the way back.

    <pack>/{pack.json, cohort.json.gz, data/…, runs/…}

The data are the development files only: gate and test never travel. The other machine has the source. What comes back
is foreign: only files that a run has are taken, and none through a link.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from imaging.configuration import explain
from imaging.errors import ConfigurationError, StorageError, UsageError
from imaging.files import replace, sync
from models.provenance import Digest
from models.spec import ModelSpec
from training.cohort import Cohort, Split, Use, load_cohort, require, to_gzip
from training.places import Places
from training.runs.configuration import TrainingConfiguration
from training.runs.folder import DRAWN, EPOCHS, MANIFEST, ONNX, PARITY, PICTURES, WEIGHTS, RunFolder, look_through
from training.runs.record import RunRecord, write_record

PACK, DATA = "pack.json", "data"
FITS_BYTES = 50_000_000
"""A pack is larger only where that was asked for."""
TAKEN = (MANIFEST, EPOCHS, WEIGHTS, ONNX, PARITY, *(f"{PICTURES}/{word}.png" for word in DRAWN))
"""What is taken over of a run, beside its record."""


class Pack(BaseModel):
    """`pack.json`: what is to be trained, and the sha256 of every file that came with it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = 1
    spec: ModelSpec
    configuration: TrainingConfiguration
    fold: int | None
    cohort: Digest
    revision: str
    files: Mapping[str, Digest]


def make_pack(folder: Path, pack: Pack, cohort: Cohort, data: Path, *, any_size: bool = False) -> int:
    """Write a pack; returns its size in bytes.

    Parameters
    ----------
    folder
        Made here.
    pack
        Its ``files`` are filled in here.
    data
        Where the cohort's files lie.
    any_size
        It may have more than `FITS_BYTES`.

    Raises
    ------
    UsageError
        The folder exists, it would be too large, or a file isn't what it was when the cohort was frozen.
    CohortError
        The approval doesn't allow training.
    """
    require(cohort, Use.TRAIN)
    if folder.exists():
        raise UsageError(f"{folder} exists; give another --out")
    records = {f.path: f for m in cohort.only(Split.TRAIN, Split.VALIDATION) for f in m.files}.values()
    size = sum(f.bytes for f in records)
    if size > FITS_BYTES and not any_size:
        raise UsageError(
            f"the files have {size / 1e6:.1f} MB, and a pack {FITS_BYTES / 1e6:.0f} at most; --any-size packs them"
        )
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        for record in records:
            content = (data / record.path).read_bytes()
            if sha256(content).hexdigest() != record.sha256:
                raise UsageError(
                    f"{data / record.path} was changed; `raysight cohort verify {cohort.name}` tells all"
                )
            path = draft / DATA / record.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        replace(draft / MANIFEST, to_gzip(cohort))
        whole = pack.model_copy(update={"files": {r.path: r.sha256 for r in records}})
        replace(draft / PACK, whole.model_dump_json(indent=2).encode() + b"\n")
        draft.rename(folder)
    except OSError as error:
        raise StorageError(f"{error.filename}: {error.strerror}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def open_pack(folder: Path) -> tuple[Pack, Cohort]:
    """What is in a pack; UsageError when it is none, or was altered."""
    path = folder / PACK
    try:
        pack = Pack.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; `raysight runs pack` makes a pack") from None
    except ValidationError as error:
        raise UsageError(explain(error, path, Pack)) from None
    cohort = load_cohort(folder / MANIFEST)
    frozen = {f.path: f.sha256 for m in cohort.only(Split.TRAIN, Split.VALIDATION) for f in m.files}
    if cohort.digest != pack.cohort or dict(pack.files) != frozen:
        raise UsageError(f"{folder}: its cohort or its list of files isn't the one that was packed; pack it again")
    return pack, cohort


def merge(places: Places, folder: Path) -> list[RunRecord]:
    """Take the finished runs in a pack over into ``places``, each with the pack's digest and the machine's words.

    A run that was taken over already is passed over.

    Raises
    ------
    UsageError
        There is no finished run, or one isn't what the pack asked for, or its files aren't those of its record.
    ConfigurationError
        A run's record isn't valid.
    """
    pack, cohort = open_pack(folder)
    require(cohort, Use.TRAIN)
    digest = sha256((folder / PACK).read_bytes()).hexdigest()
    runs = folder / "runs"
    if link := next((p for p in (runs, *runs.rglob("*")) if p.is_symlink()), None):
        raise UsageError(f"{link} is a link; a pack holds files only")
    found = look_through(runs)
    for problem in found.problems.values():
        raise ConfigurationError(problem)
    finished = [run for run in found.sound if run.record.state == "done"]
    if not finished:
        raise UsageError(f"{folder} holds no finished run; `raysight train --pack {folder}` trains it")
    for run in finished:
        _check(run, pack)
    origin = {"pack": digest, "revision": pack.revision}
    return [_take(places.runs, run, origin) for run in finished if not (places.runs / run.path.name).exists()]


def _check(run: RunFolder, pack: Pack) -> None:
    record = run.record
    asked: dict[str, Any] = {
        "model": pack.spec.name,
        "spec": pack.spec,
        "configuration": pack.configuration.model_dump(mode="json"),
        "seed": pack.configuration.seed,
        "fold": pack.fold,
    }
    for name, value in asked.items():
        if getattr(record, name) != value:
            raise UsageError(f"{run.path}: its {name} isn't what the pack asked for; it isn't taken over")
    if run.cohort.digest != pack.cohort:
        raise UsageError(f"{run.path}: was trained on another cohort than the pack's; it isn't taken over")
    run.weights_bytes(), run.onnx(), run.parity()  # each is there, and as the record says


def _take(runs: Path, run: RunFolder, origin: Mapping[str, str]) -> RunRecord:
    record = run.record
    machine = record.environment.get("machine", "unknown")
    words = f"{machine}; {record.environment.get('device', 'unknown device')}"
    taken = record.model_copy(update={"merged_from": {**origin, "machine": words}})
    draft = runs / f".{record.run}"
    shutil.rmtree(draft, ignore_errors=True)
    try:
        for name in TAKEN:
            if (run.path / name).is_file():
                replace(draft / name, (run.path / name).read_bytes())
        write_record(draft, taken)
        draft.rename(runs / record.run)
        sync(runs)
    except OSError as error:
        raise StorageError(f"{runs / record.run} can't be written: {error.strerror}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return taken

"""A run in one folder: what another machine needs to train it, and the way back.

    <pack>/{pack.json, cohort.json.gz, data/…, runs/…}

The data are the development files only: gate and test never travel. The other machine has the source.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from imaging.configuration import explain
from imaging.errors import StorageError, UsageError
from models.provenance import Digest
from models.spec import ModelSpec
from training.cohort import Cohort, Split, Use, load_cohort, require, to_gzip
from training.places import Places
from training.runs.configuration import TrainingConfiguration
from training.runs.folder import MANIFEST, RunFolder, all_runs, write_whole
from training.runs.record import RunRecord, write_record

PACK, DATA = "pack.json", "data"
FITS_BYTES = 50_000_000
"""A pack should not be larger."""


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


def make_pack(folder: Path, pack: Pack, cohort: Cohort, data: Path) -> int:
    """Write a pack; returns its size in bytes.

    Parameters
    ----------
    folder
        Made here.
    pack
        Its ``files`` are filled in here.
    data
        Where the cohort's files lie.

    Raises
    ------
    UsageError
        The folder exists, or a file isn't what it was when the cohort was frozen.
    CohortError
        The approval doesn't allow training.
    """
    require(cohort, Use.TRAIN)
    if folder.exists():
        raise UsageError(f"{folder} exists; give another --out")
    records = [f for m in cohort.only(Split.TRAIN, Split.VALIDATION) for f in m.files]
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
        write_whole(draft / MANIFEST, to_gzip(cohort))
        whole = pack.model_copy(update={"files": {r.path: r.sha256 for r in records}})
        write_whole(draft / PACK, whole.model_dump_json(indent=2).encode() + b"\n")
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
    """
    pack, cohort = open_pack(folder)
    require(cohort, Use.TRAIN)
    digest = sha256((folder / PACK).read_bytes()).hexdigest()
    finished = [run for run in all_runs(folder / "runs") if run.record.state == "done"]
    if not finished:
        raise UsageError(f"{folder} holds no finished run; `raysight train --pack {folder}` trains it")
    for run in finished:
        _check(run, pack)
    return [_take(places.runs, run, digest) for run in finished if not (places.runs / run.record.run).exists()]


def _check(run: RunFolder, pack: Pack) -> None:
    record = run.record
    asked: dict[str, Any] = {
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
    for file, named in (("weights.pt", record.weights_sha256), ("model.onnx", record.onnx_sha256)):
        path = run.path / file
        if named is None or not path.is_file() or sha256(path.read_bytes()).hexdigest() != named:
            raise UsageError(f"{path} is missing or isn't the file that run.json names; bring the pack over again")


def _take(runs: Path, run: RunFolder, digest: str) -> RunRecord:
    record = run.record
    machine = record.environment.get("machine", "unknown")
    words = f"{machine}; {record.environment.get('device', 'unknown device')}"
    taken = record.model_copy(update={"merged_from": {"pack": digest, "machine": words}})
    runs.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".merge-", dir=runs))
    try:
        shutil.copytree(run.path, draft, dirs_exist_ok=True)
        write_record(draft, taken)
        draft.chmod(0o755)
        draft.rename(runs / record.run)
    except OSError as error:
        raise StorageError(f"{runs / record.run} can't be written: {error.strerror}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return taken

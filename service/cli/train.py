"""`train`: from a cohort to a candidate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from service.cli.app import app
from service.cli.cohort import Data
from service.cli.context import Json, configuration_file, data_folder, places

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.spec import ModelSpec
    from models.store import ReleasedModel
    from training.cohort import Cohort
    from training.places import Places
    from training.runs.configuration import TrainingConfiguration
    from training.runs.folder import RunFolder
    from training.runs.record import RunRecord
    from training.runs.tracker import Tracker

Fold = Annotated[
    int | None,
    typer.Option(min=0, help="Leave this fold of train and validation out, and validate on it.", show_default=False),
]
Seed = Annotated[int | None, typer.Option(min=0, help="Of all chance.", show_default="the training file's")]
Epochs = Annotated[int | None, typer.Option(min=1, help="At most so many.", show_default="the training file's")]
TrainingFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="How to train.", show_default="training/NAME.yaml")
]
CohortReference = Annotated[
    str | None,
    typer.Option(
        "--cohort", metavar="COHORT", help="Name, digest or manifest.", show_default="the training file's, built last"
    ),
]


@app.command(rich_help_panel="Training", epilog="Example: raysight train hippocampus_segmenter --data /data/training")
def train(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The model: a folder under models/.", show_default=False)
    ] = None,
    *,
    config: TrainingFile = None,
    fold: Fold = None,
    seed: Seed = None,
    epochs: Epochs = None,
    cohort: CohortReference = None,
    data: Data = None,
    resume: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Go on with a run that was cut off; `latest` names the newest."),
    ] = None,
    pack: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Train what `raysight runs pack` packed, in that folder.")
    ] = None,
    device: Annotated[
        Literal["cpu", "cuda"] | None, typer.Option(help="Where to compute.", show_default="the GPU if there is one")
    ] = None,
    json: Json = False,
) -> None:
    """Train a model on a cohort, export it, and put it among the candidates.

    A run that was killed goes on with --resume and ends with the same weights. A run with --fold is for
    cross-validation and becomes a candidate only where it leaves out nothing but the gate's fold; one of a pack waits
    for `raysight runs merge`.
    """
    from imaging.errors import UsageError
    from service.cli.text import print_json

    _require_torch()
    changes = {"config": config, "fold": fold, "seed": seed, "epochs": epochs, "cohort": cohort}
    fixed = [f"--{word}" for word, given in changes.items() if given is not None]
    if (resume or pack) and fixed:
        raise UsageError(f"{fixed[0]} is settled when a run begins; leave it out with --resume and --pack")
    if pack is not None:
        run, where, folder = _packed(pack.expanduser().resolve(), resume)
    else:
        where, folder = places(), data_folder(data)
        run = _found(where, resume) if resume else _begun(where, name, config, changes)
    if name is not None and run.record.model != name:
        raise UsageError(f"{run.path.name} is a run of {run.record.model}, not of {name}")
    record = complete(run, folder, device, _tracker(where) if pack is None else None)
    candidate = None
    from training.runs.start import for_release

    if pack is None and for_release(run.cohort, record.fold):
        from training.evaluation.kept import prior_of
        from training.runs.candidate import publish_candidate

        candidate = publish_candidate(where, run.path)
        prior_of(candidate, run.cohort, folder)  # the baseline travels with the version
    if json:
        print_json({"run": record.model_dump(mode="json"), "candidate": candidate and candidate.version})
    else:
        _tell_end(run, record, candidate, pack)


def complete(run: RunFolder, data: Path, device: str | None, tracker: Tracker | None) -> RunRecord:
    """Train a run to its end and export it; what is done already isn't done again."""
    from service.cli.run_progress import run_progress
    from training.export.export import export_run
    from training.locking import locked
    from training.runs.device import choose_device
    from training.runs.start import probed
    from training.runs.train import train as train_run
    from training.tasks.build import task_of
    from training.tasks.probes import probes

    busy = f"another process trains {run.path.name}; wait for its end, or stop it first"
    with locked(run.path, busy), run_progress() as tell:
        record = run.record
        if record.state == "done" and record.onnx_sha256 is not None:
            return record
        record = train_run(run, task_of(run), data, device=choose_device(device), tracker=tracker, tell=tell)
        if record.onnx_sha256 is None:
            tell.exporting()
            record = export_run(run.path, probes(record.spec, probed(run.cohort, record.fold), data))
            if tracker is not None:
                tracker.exported(record)
    return record


@dataclass(frozen=True)
class Plan:
    """What a run would be made of."""

    spec: ModelSpec
    configuration: TrainingConfiguration
    cohort: Cohort


def plan(where: Places, name: str, config: Path | None, changes: Mapping[str, object]) -> Plan:
    """The model's description, its training file with what the command line changes, and the cohort."""
    from training.cohort import CohortShelf
    from training.runs.configuration import load_configuration

    spec = where.store.spec(name)
    values = {key: value for key in ("seed", "epochs") if (value := changes.get(key)) is not None}
    configuration = load_configuration(config or configuration_file("training", name), values)
    cohort = CohortShelf(where.cohorts).load(str(changes.get("cohort") or configuration.cohort))
    return Plan(spec, configuration, cohort)


def _begun(where: Places, name: str | None, config: Path | None, changes: Mapping[str, object]) -> RunFolder:
    from imaging.errors import UsageError
    from training.runs.start import begin
    from training.tasks.build import build_task

    if name is None:
        raise UsageError("which model? Give its NAME, --resume RUN, or --pack DIR")
    made = plan(where, name, config, changes)
    task = build_task(made.spec, made.configuration)
    task.check(made.cohort)
    task.network(0)  # what can't be built is told before a folder is made
    fold = changes["fold"]
    return begin(where.runs, made.spec, made.configuration, made.cohort, fold if isinstance(fold, int) else None)


def _found(where: Places, reference: str) -> RunFolder:
    from training.runs.folder import find_run

    return find_run(where.runs, reference)


def _packed(folder: Path, resume: str | None) -> tuple[RunFolder, Places, Path]:
    """The pack's run, begun where it wasn't; its runs lie beside its data, so that one folder travels back."""
    from training.places import Places
    from training.runs.pack import DATA, open_pack
    from training.runs.start import begin

    pack, cohort = open_pack(folder)
    where = Places(folder)
    run = _found(where, resume) if resume else begin(where.runs, pack.spec, pack.configuration, cohort, pack.fold)
    return run, where, folder / DATA


def _tracker(where: Places) -> Tracker | None:
    from service.cli.text import note

    try:
        from training.registry.tracking import MlflowTracker
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("mlflow"):
            raise
        note("MLflow isn't installed: the run is kept in its folder only")
        return None
    return MlflowTracker(where)


def _require_torch() -> None:
    from importlib.util import find_spec

    from imaging.errors import UsageError

    missing = [name for name in ("torch", "monai", "onnxscript") if find_spec(name) is None]
    if missing:
        raise UsageError(f"training needs {', '.join(missing)}: pip install 'raysight[train]'")


def _tell_end(run: RunFolder, record: RunRecord, candidate: ReleasedModel | None, pack: Path | None) -> None:
    from service.cli.text import console, facts

    score = "" if record.best_score is None else f"{record.best_score:.4f} on the cases validated on"
    size = (run.path / "model.onnx").stat().st_size / 1e6
    rows = {
        "Run": record.run,
        "Best": f"epoch {record.best_epoch} of {record.epochs}, score {score}",
        "Folder": str(run.path),
        "ONNX": f"{size:.1f} MB, sha256 {(record.onnx_sha256 or '')[:12]}; computes what torch does (parity.json)",
    }
    if candidate:
        rows["Candidate"] = f"{candidate.name} {candidate.version}"
        rows["Next"] = f"raysight evaluate {candidate.name} --version {candidate.version}"
    elif pack:
        rows["Next"] = "bring the folder back, and there: raysight runs merge DIR"
    console().print(facts(rows))

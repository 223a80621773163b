"""`runs`: what was trained; a run packed for another machine, and taken back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.app import Group, app
from service.cli.cohort import Data
from service.cli.context import Json, data_folder, places
from service.cli.train import CohortReference, Epochs, Fold, Seed, plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from training.cohort import Cohort
    from training.places import Places
    from training.runs.pack import Pack
    from training.runs.record import RunRecord

runs = typer.Typer(cls=Group, help="Runs: what was trained, from what, with which result.", no_args_is_help=True)
app.add_typer(runs, name="runs", rich_help_panel="Training")

Run = Annotated[str, typer.Argument(metavar="RUN", help="Its id, the beginning of it, or `latest`.")]


@runs.command(name="list", epilog="Example: raysight runs list")
def list_runs(json: Json = False) -> None:
    """All runs, oldest first."""
    from service.cli.text import console, plain_table, print_json
    from training.runs.folder import look_through

    found = look_through(places().runs)
    records = [run.record for run in found.sound]
    if json:
        unread = [{"run": run, "problem": problem} for run, problem in found.problems.items()]
        print_json([*(record.model_dump(mode="json") for record in records), *unread])
        return
    table = plain_table(
        "Run", "State", "Epochs", "Best", "Score", "Seed", "Cohort", right=("Epochs", "Best", "Score")
    )
    for r in records:
        score = "" if r.best_score is None else f"{r.best_score:.4f}"
        table.add_row(
            r.run, r.state, str(r.epochs), str(r.best_epoch or ""), score, str(r.seed), r.cohort.digest[:12]
        )
    empty = f"No runs in {places().runs}; `raysight train NAME` makes one."
    console().print(table if records else empty, soft_wrap=not records)
    for problem in found.problems.values():
        console().print(problem, style="red", markup=False, soft_wrap=True)


@runs.command(epilog="Example: raysight runs show latest")
def show(reference: Run, json: Json = False) -> None:
    """What a run was made of and what became of it. --json gives its configuration and every epoch."""
    from service.cli.text import console, facts, print_json
    from training.runs.folder import find_run

    run = find_run(places().runs, reference)
    if json:
        print_json({**run.record.model_dump(mode="json"), "by_epoch": run.epochs()})
    else:
        console().print(facts({**_facts(run.record), "Folder": str(run.path)}))


@runs.command(epilog="Example: raysight runs pack hippocampus_segmenter --fold 0 --out /media/stick/fold0")
def pack(
    what: Annotated[
        str, typer.Argument(metavar="WHAT", help="A model, a training file MODEL.yaml, or a run to train again.")
    ],
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to make.")],
    fold: Fold = None,
    seed: Seed = None,
    epochs: Epochs = None,
    cohort: CohortReference = None,
    data: Data = None,
    any_size: Annotated[bool, typer.Option("--any-size", help="Also a pack of more than 50 MB.")] = False,
) -> None:
    """Put a run that is yet to be trained into one folder: description, configuration, cohort, development files.

    On another machine with Raysight `raysight train --pack DIR` trains it; `raysight runs merge DIR` takes it back.
    """
    from service.cli.text import console
    from training.runs.pack import make_pack

    changes = {"fold": fold, "seed": seed, "epochs": epochs, "cohort": cohort}
    asked, frozen = _asked(places(), what, changes)
    size = make_pack(out.expanduser().resolve(), asked, frozen, data_folder(data), any_size=any_size)
    after = "there: raysight train --pack DIR; here again: raysight runs merge DIR"
    console().print(f"{out}: {size / 1e6:.1f} MB; {after}", soft_wrap=True)


@runs.command(epilog="Example: raysight runs merge /media/stick/fold0")
def merge(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A pack whose run was trained.")], json: Json = False
) -> None:
    """Take the finished runs of a pack over, digests checked; one that isn't for cross-validation is a candidate."""
    from service.cli.text import console, note, print_json
    from training.registry import import_run
    from training.runs.candidate import publish_candidate
    from training.runs.folder import RunFolder
    from training.runs.pack import merge as take_over
    from training.runs.start import for_release

    where = places()
    taken = take_over(where, folder.expanduser().resolve())
    candidates = {}
    for record in taken:
        import_run(where, where.runs / record.run)
        if for_release(RunFolder(where.runs / record.run).cohort, record.fold):
            candidates[record.run] = publish_candidate(where, where.runs / record.run).version
        packed, used = (record.merged_from or {})["revision"], record.revision
        if packed != used:
            note(f"{record.run}: trained by revision {used or 'unknown'}, but packed by {packed or 'unknown'}")
    if json:
        print_json([{"run": r.model_dump(mode="json"), "candidate": candidates.get(r.run)} for r in taken])
        return
    for record in taken:
        version = candidates.get(record.run)
        became = f"candidate {record.model} {version}" if version else f"fold {record.fold}, no candidate"
        console().print(f"{record.run}: taken over, {became}", soft_wrap=True)
    if not taken:
        console().print("All of its runs were taken over before.")


def _asked(where: Places, what: str, changes: Mapping[str, object]) -> tuple[Pack, Cohort]:
    from imaging.errors import UsageError
    from training.runs.configuration import configuration_of
    from training.runs.environment import revision
    from training.runs.folder import find_run
    from training.runs.pack import Pack
    from training.runs.start import sides

    file = Path(what) if what.endswith((".yaml", ".yml")) else None
    if file or what in where.store.names():
        made = plan(where, file.stem if file else what, file, changes)
        spec, configuration, cohort = made.spec, made.configuration, made.cohort
        fold = changes["fold"]
    else:
        if any(value is not None for value in changes.values()):
            raise UsageError(f"{what}: a run is packed as it began; other values need a model or a training file")
        run = find_run(where.runs, what)
        record, cohort = run.record, run.cohort
        spec, configuration = record.spec, configuration_of(record)
        fold = record.fold
    number = fold if isinstance(fold, int) else None
    sides(cohort, number, alone=configuration.keep == "last")
    asked = Pack(
        spec=spec, configuration=configuration, fold=number, cohort=cohort.digest, revision=revision(), files={}
    )
    return asked, cohort


def _facts(record: RunRecord) -> dict[str, str]:
    merged = record.merged_from or {}
    best = "" if record.best_score is None else f"epoch {record.best_epoch}, score {record.best_score:.4f}"
    return {
        "Run": record.run,
        "Model": record.model,
        "State": record.state,
        "Cohort": f"{record.cohort.name} {record.cohort.digest[:12]}",
        "Validated on": "validation" if record.fold is None else f"fold {record.fold}",
        "Seed": str(record.seed),
        "Epochs": str(record.epochs),
        "Best": best,
        "Started": record.started.isoformat(timespec="seconds"),
        "Ended": record.ended.isoformat(timespec="seconds") if record.ended else "",
        "Revision": record.revision,
        "Device": f"{record.environment.get('device', '')}; {record.environment.get('machine', '')}",
        "Weights": (record.weights_sha256 or "")[:12],
        "ONNX": (record.onnx_sha256 or "")[:12],
        "Trained elsewhere": f"{merged['machine']}; pack {merged['pack'][:12]}" if merged else "",
    }

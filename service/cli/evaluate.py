"""`evaluate`: a version's figures on cases that it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from service.cli.app import app
from service.cli.context import Json, data_folder, places

if TYPE_CHECKING:
    from models.store import ReleasedModel
    from training.cases import CaseFiles
    from training.cohort import Cohort
    from training.evaluation.evaluate import Data, Pictures
    from training.evaluation.report import Report
    from training.places import Places

SHOWN = 12
Side = Literal["test", "validation"]


@app.command(
    epilog="Example: raysight evaluate hippocampus_segmenter --data /data/new (a folder with images/ and labels/)",
    rich_help_panel="Training",
)
def evaluate(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model.")],
    *,
    version: Annotated[
        str | None, typer.Option(metavar="V", help="Its version, a candidate too.", show_default="the champion")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Cases in DIR/images and DIR/labels, instead of the cohort's test split."),
    ] = None,
    cv: Annotated[
        bool, typer.Option("--cv", help="Pool the newest runs of all folds, each on the fold that it left out.")
    ] = False,
    split: Annotated[Side, typer.Option(help="Of the version's cohort.")] = "test",
    cohort_data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the cohort's data.", show_default="$RAYSIGHT_TRAINING_DATA"),
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A picture of every case; else of the failed ones only.")
    ] = None,
    json: Json = False,
) -> None:
    """Figures of a version, with 95 % intervals by subject, beside the simplest baseline; and the cases that failed.

    Without --data and --cv the locked test split of the cohort that the version was trained on is taken, and the
    figures are written to its card.
    """
    from imaging.errors import UsageError
    from service.cli.text import console, note, print_json
    from training.evaluation.kept import evaluation_folder, keep
    from training.registry import log_report

    if sum((data is not None, cv, split != "test")) > 1 or (cv and version):
        raise UsageError("--data, --cv and --split exclude each other, and --cv takes no --version")
    where = places()
    if cv:
        released, report = None, _folds(where, name, cohort_data, pictures)
    else:
        released = _chosen(where, name, version)
        report = _version(where, released, folder=data, split=split, cohort_data=cohort_data, pictures=pictures)
    if json:
        print_json(report.model_dump(mode="json"))
    else:
        failed = evaluation_folder(where, report.model, report.version, report.data, report.files)
        _show(report, pictures or failed)
    kept = keep(where, report, released)  # after it was shown: the folder may be read-only
    if kept.note:
        note(kept.note)
    for path in () if json else kept.written:
        console().print(f"Written: {path}", soft_wrap=True, markup=False)
    log_report(where, report)


def _chosen(where: Places, name: str, version: str | None) -> ReleasedModel:
    """The version that was named, else the champion."""
    from imaging.errors import UsageError

    store = where.all_versions
    if name not in store.names():
        raise UsageError(f"there is no model {name!r}; known: {', '.join(store.names()) or 'none'}")
    if version is None:
        version = where.store.aliases(name).champion
    if version is None:
        known = ", ".join(store.versions(name))
        fix = f"give --version, one of {known}" if known else f"`raysight train {name}` makes a candidate"
        raise UsageError(f"{name} has no champion: {fix}")
    return store.version(name, version)


def _version(
    where: Places,
    released: ReleasedModel,
    *,
    folder: Path | None,
    split: Side,
    cohort_data: Path | None,
    pictures: Path | None,
) -> Report:
    from inference.engine import OnnxEngine
    from service.cli.text import progress
    from training.evaluation.evaluate import evaluate, files_digest
    from training.evaluation.kept import evaluation_folder, prior_of

    # a folder needs no cohort; with the cohort's data a baseline that doesn't lie beside the version can be made
    cohort = _cohort(where, released) if folder is None or cohort_data else None
    data = _cohort_data(cohort_data) if cohort else None
    with progress() as tell:
        tell("reading the list of cases", 0.0)
        kind, cases = _cases(cohort, data, folder, split)
        prior = prior_of(released, cohort, data)
        return evaluate(
            released,
            OnnxEngine(where.all_versions),
            cases,
            data=kind,
            cohort=cohort.digest if cohort and folder is None else None,
            prior=prior,
            pictures=_pictures(
                pictures, evaluation_folder(where, released.name, released.version, kind, files_digest(cases))
            ),
            tell=tell,
        )


def _folds(where: Places, name: str, cohort_data: Path | None, pictures: Path | None) -> Report:
    from service.cli.text import progress
    from training.evaluation.evaluate import files_digest
    from training.evaluation.folds import evaluate_cv, newest_folds
    from training.evaluation.kept import evaluation_folder

    folds, data = newest_folds(where, name), _cohort_data(cohort_data)
    files = files_digest([case for cases in folds.cases(data) for case in cases])
    failed = evaluation_folder(where, name, None, "cv", files)
    with progress() as tell:
        return evaluate_cv(folds, data, pictures=_pictures(pictures, failed), tell=tell)


def _cases(
    cohort: Cohort | None, data: Path | None, folder: Path | None, split: Side
) -> tuple[Data, tuple[CaseFiles, ...]]:
    from training.cases import of_folder
    from training.cohort import Split
    from training.evaluation.evaluate import cases_of

    if folder is not None or cohort is None or data is None:
        return "folder", of_folder((folder or Path()).expanduser())
    return split, cases_of(cohort, Split(split), data)


def _cohort(where: Places, released: ReleasedModel) -> Cohort:
    """What the version's run saw: from its run's folder, else from the manifests."""
    from imaging.errors import UsageError
    from training.cohort import CohortShelf
    from training.runs.folder import RunFolder

    run, cohort = (released.provenance.lineage.get(key) or {} for key in ("run", "cohort"))
    if not isinstance(cohort, dict) or "digest" not in cohort:
        raise UsageError(f"{released.name} {released.version} names no cohort: evaluate it with --data DIR")
    folder = RunFolder(where.runs / str(run.get("run")))
    if (folder.path / "cohort.json.gz").is_file():
        return folder.cohort
    try:
        return CohortShelf(where.cohorts).load(cohort["digest"])
    except UsageError:
        name, digest = cohort.get("name"), cohort["digest"][:12]
        raise UsageError(
            f"cohort {name} {digest}, which {released.name} {released.version} was trained on, isn't in "
            f"{where.cohorts}: `raysight cohort build {name}`, or evaluate with --data DIR"
        ) from None


def _cohort_data(given: Path | None) -> Path:
    from imaging.errors import UsageError

    try:
        return data_folder(given)
    except UsageError:
        raise UsageError(
            "where are the cohort's data? Give --cohort-data DIR, or set RAYSIGHT_TRAINING_DATA"
        ) from None


def _pictures(given: Path | None, failed: Path) -> Pictures:
    from training.evaluation.evaluate import Pictures

    return Pictures(given.expanduser(), every=True) if given else Pictures(failed)


def _show(report: Report, shown: Path) -> None:
    from service.cli.text import console, facts, plain_table, plural
    from training.evaluation.card import in_words, words_of

    out = console()
    subjects = plural(len({case.subject for case in report.cases}), "subject")
    out.print(
        facts(
            {
                "Model": f"{report.model} {report.version or '(folds)'}",
                "sha256": report.sha256 or "",
                "Cases": f"{len(report.cases)} of {subjects}: {words_of(report)}",
                "Cohort": report.cohort or "",
                "Computed": f"{report.provider}, {report.seconds_per_case:.2f} s a case",
            }
        )
    )
    interval = f"{100 * report.confidence:g} % interval"
    table = plain_table("Metric", f"Model ({interval})", f"Baseline ({interval})")
    for metric in report.metrics:
        base = report.baseline.figures.get(metric.name) if report.baseline else None
        table.add_row(metric.title, in_words(report.figures.get(metric.name), metric), in_words(base, metric))
    out.print(table)
    baseline = (
        report.baseline.name if report.baseline else "none lies beside this version; --cohort-data DIR makes it"
    )
    out.print(f"Baseline: {baseline}", style="dim", soft_wrap=True)
    if report.subgroups:
        first = report.metrics[0]
        table = plain_table("Subgroup", "Subjects", first.title, right=("Subjects",))
        for part in report.subgroups:
            row = (f"{part.criterion}: {part.group}", str(part.subjects))
            table.add_row(*row, in_words(part.figures.get(first.name), first))
        out.print(table)
    failures = report.failures
    out.print(f"Failed: {plural(len(failures), 'case') if failures else 'no case'}", style="red" if failures else "")
    for case in failures[:SHOWN]:
        out.print(f"  {case.case}: {case.failure}", markup=False)
    if len(failures) > SHOWN:
        out.print(f"  and {len(failures) - SHOWN} more; --json lists all", style="dim")
    if failures:
        out.print(f"Pictures of failed cases: {shown}", soft_wrap=True, markup=False)

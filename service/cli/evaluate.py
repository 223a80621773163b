"""`evaluate`: a version's figures on cases that it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from service.cli.app import app
from service.cli.context import Json, configuration_file, data_folder, places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.store import ReleasedModel
    from training.cohort import Cohort
    from training.evaluation.evaluate import Pictures
    from training.evaluation.evaluator import Case
    from training.evaluation.report import Report
    from training.places import Places
    from training.runs.record import RunRecord

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
        released, report = _folds(where, name, cohort_data, pictures)
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
    from training.cohort import Split
    from training.evaluation.evaluate import cases_of, evaluate, files_digest
    from training.evaluation.folder import cohort_of, folder_cases
    from training.evaluation.kept import evaluation_folder, prior_of

    with progress() as tell:
        tell("reading the list of cases", 0.0)
        if folder is None:
            cohort, files = cohort_of(where, released), _cohort_data(cohort_data)
            cases = cases_of(released.spec, cohort, Split(split), files)
            prior = prior_of(released, cohort, files)
            about: dict[str, Any] = {"data": split, "cohort": cohort.digest, "prior": prior}
        else:
            cases = folder_cases(released.spec, folder.expanduser(), gates(where, [released]))
            about = {"data": "folder", **_known_of(where, released, cases, cohort_data)}
        failed = evaluation_folder(where, released.name, released.version, about["data"], files_digest(cases))
        engine = OnnxEngine(where.all_versions)
        return evaluate(released, engine, cases, **about, pictures=_pictures(pictures, failed), tell=tell)


def _known_of(
    where: Places, released: ReleasedModel, cases: Sequence[Case], cohort_data: Path | None
) -> dict[str, Any]:
    """How many of a folder's cases training saw; and the baseline, made where only the cohort's data give one."""
    from training.evaluation.folder import cohort_of, seen_in_training
    from training.evaluation.kept import prior_of

    cohort = _cohort_if_here(where, released) if cohort_data is None else cohort_of(where, released)
    seen = seen_in_training(cases, cohort) if cohort else None
    return {"seen": seen, "prior": prior_of(released, cohort, cohort_data and _cohort_data(cohort_data))}


def _folds(
    where: Places, name: str, cohort_data: Path | None, pictures: Path | None
) -> tuple[ReleasedModel | None, Report]:
    """The version that the pooled figures are of, where there is one, and the figures."""
    from service.cli.text import progress
    from training.evaluation.evaluate import files_digest
    from training.evaluation.folds import evaluate_cv, newest_folds
    from training.evaluation.kept import evaluation_folder

    folds, data = newest_folds(where, name), _cohort_data(cohort_data)
    files = files_digest([case for cases in folds.cases(data) for case in cases])
    failed = evaluation_folder(where, name, None, "cv", files)
    with progress() as tell:
        report = evaluate_cv(folds, data, pictures=_pictures(pictures, failed), tell=tell)
    return _version_of(where, folds.release), report


def _version_of(where: Places, run: RunRecord | None) -> ReleasedModel | None:
    """What a run became; None where it is no version."""
    if run is None:
        return None
    store = where.all_versions
    versions = (store.version(run.model, number) for number in store.versions(run.model))
    return next((version for version in versions if version.sha256 == run.onnx_sha256), None)


def gates(where: Places, versions: Sequence[ReleasedModel]) -> list[Cohort]:
    """The cohorts whose gate cases nobody may look at by the way: the gate's own, and those of the versions."""
    from imaging.errors import UsageError
    from training.cohort import CohortShelf
    from training.gate.rules import load_rules

    found = [_cohort_if_here(where, version) for version in versions]
    try:
        rules = load_rules(configuration_file("gates", versions[0].name))
        found.append(CohortShelf(where.cohorts).latest(rules.cohort))
    except UsageError:
        pass  # a model without a gate
    return [cohort for cohort in found if cohort]


def _cohort_if_here(where: Places, released: ReleasedModel) -> Cohort | None:
    from imaging.errors import UsageError
    from training.evaluation.folder import cohort_of

    try:
        return cohort_of(where, released)
    except UsageError:
        return None


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


def _seen(report: Report) -> str:
    if report.data != "folder":
        return ""
    return (
        "not known: its cohort isn't here" if report.seen is None else f"{report.seen} of {len(report.cases)} cases"
    )


def _show(report: Report, shown: Path) -> None:
    from service.cli.text import console, facts, plain_table, plural
    from training.evaluation.card import differences_in_words, in_words, words_of

    out = console()
    subjects = plural(len({case.subject for case in report.cases}), "subject")
    out.print(
        facts(
            {
                "Model": f"{report.model} {report.version or '(folds)'}",
                "sha256": report.sha256 or "",
                "Cases": f"{len(report.cases)} of {subjects}: {words_of(report)}",
                "Cohort": report.cohort or "",
                "Seen in training": _seen(report),
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
    if gains := differences_in_words(report):
        out.print(f"Model less baseline, case by case: {gains}", soft_wrap=True, markup=False)
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

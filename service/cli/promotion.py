"""`compare`, `promote`, `rollback`: which version reads next, and on what evidence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.app import SAID_NO, app
from service.cli.book import writable_book
from service.cli.cohort import Data
from service.cli.context import Json, Who, configuration_file, data_folder, places, who
from service.cli.evaluate import gates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.evaluation.evaluate import Data as Kind
    from training.gate.compare import Comparison
    from training.gate.decision import Decision
    from training.gate.rules import GateRules

PANEL = "Training"
Model = Annotated[str, typer.Argument(metavar="NAME", help="The model: a folder under models/.")]


@app.command(rich_help_panel=PANEL, epilog="Example: raysight compare hippocampus_segmenter 3 2 --data /data/new")
def compare(
    name: Model,
    a: Annotated[str, typer.Argument(metavar="A", help="A version, a candidate too.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    *,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Cases in DIR/images and DIR/labels, instead of the validation split."),
    ] = None,
    cohort_data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The cohort's data.", show_default="$RAYSIGHT_TRAINING_DATA")
    ] = None,
    json: Json = False,
) -> None:
    """Two versions on the same cases: both figures, and A minus B with its interval by subject.

    It decides nothing and costs no look at the gate's cases. The validation split helped to choose each version's
    best epoch; cases that neither has seen tell more.
    """
    from inference.engine import OnnxEngine
    from models.store import ModelStore
    from service.cli.text import print_json, progress
    from training.cohort import Split
    from training.evaluation.evaluate import cases_of, evaluate
    from training.evaluation.folder import folder_cases
    from training.gate.compare import compare as side_by_side
    from training.gate.gate import find_version, gate_cohort

    where = places()
    versions = [find_version(where, name, version) for version in (a, b)]
    if data is not None:
        cohort, cases = None, folder_cases(versions[0].spec, data.expanduser(), gates(where, versions))
    else:
        frozen = gate_cohort(where, _rules(name)[0])
        cohort = frozen.digest
        cases = cases_of(versions[0].spec, frozen, Split.VALIDATION, data_folder(cohort_data))
    kind: Kind = "folder" if data is not None else "validation"
    reports = []
    with progress() as tell:
        for released in versions:
            engine = OnnxEngine(ModelStore((released.path.parents[2],)))
            reports.append(evaluate(released, engine, cases, data=kind, cohort=cohort, tell=tell))
    rows = side_by_side(reports[0], reports[1])
    if json:
        print_json({"a": a, "b": b, "data": kind, "metrics": [_as_json(row) for row in rows]})
    else:
        _show(name, a, b, len(cases), rows)


@app.command(
    rich_help_panel=PANEL,
    epilog="Example: raysight promote hippocampus_segmenter 3 --data /data/training --who 'Dr Li'",
)
def promote(
    name: Model,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The candidate.")],
    *,
    data: Data = None,
    into: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Publish there (a maintainer's models/).", show_default="$RAYSIGHT_HOME/models"
        ),
    ] = None,
    override: Annotated[
        str, typer.Option(metavar="REASON", help="Let it read even if the gate refuses; every later result says so.")
    ] = "",
    by: Who = None,
    json: Json = False,
) -> None:
    """Ask the gate (gates/NAME.yaml), and if it says yes let the version read. Exit code 1 when it is refused.

    Every look at the gate's cases is counted and makes the next one harder. A running service takes the new champion
    for its next reading.
    """
    from hashlib import sha256

    from imaging.errors import UsageError
    from service.cli.text import print_json, progress
    from training.gate.gate import Gate
    from training.gate.promotion import promote as ask_the_gate
    from training.registry import mirror_decision

    if override and not override.strip():
        raise UsageError("--override needs a reason")
    where = places()
    rules, path = _rules(name)
    folder = into.expanduser().resolve() if into else None
    with writable_book() as book, progress() as tell:
        gate = Gate(
            where,
            book,
            rules,
            sha256(path.read_bytes()).hexdigest(),
            lambda: data_folder(data),
            tell=tell,
        )
        decision = ask_the_gate(gate, name, version, by=who(by), into=folder, override=override.strip())
    mirror_decision(where, decision)
    if json:
        print_json(decision.model_dump(mode="json"))
    else:
        show_decision(decision)
    if not decision.promoted:
        raise typer.Exit(SAID_NO)


@app.command(
    rich_help_panel=PANEL, epilog="Example: raysight rollback hippocampus_segmenter --note 'odd volumes since 3'"
)
def rollback(
    name: Model,
    *,
    note: Annotated[str, typer.Option(help="Why; stands in the history.")] = "",
    by: Who = None,
    json: Json = False,
) -> None:
    """Let the champion's predecessor read again, from the next reading on."""
    from service.cli.text import print_json
    from training.gate.promotion import rollback as roll_back
    from training.registry import mirror_decision

    where = places()
    with writable_book() as book:
        decision = roll_back(where, book, name, by=who(by), reason=note)
    mirror_decision(where, decision)
    if json:
        print_json(decision.model_dump(mode="json"))
    else:
        print(f"{decision.reason}.")


def show_decision(decision: Decision) -> None:
    """The checks in a table, the looks, and the verdict."""
    from service.cli.text import console, plain_table

    out = console()
    table = plain_table("Check", "", "What was found")
    for check in decision.checks:
        table.add_row(check.name, "[green]yes[/]" if check.passed else "[red]no[/]", check.words)
    out.print(table)
    if decision.look is not None and decision.alpha is not None:
        out.print(f"Look {decision.look} at the gate's cases: the bound is taken at alpha {decision.alpha:.4g}.")
    out.print(decision.reason, style="green" if decision.promoted else "red", markup=False, soft_wrap=True)
    out.print(f"Decision {decision.decision} by {decision.by}", style="dim", markup=False)


def _rules(name: str) -> tuple[GateRules, Path]:
    from training.gate.rules import load_rules

    path = configuration_file("gates", name)
    return load_rules(path), path


def _as_json(row: Comparison) -> dict[str, object]:
    return {
        "metric": row.metric.name,
        "a": row.first.model_dump(),
        "b": row.second.model_dump(),
        "difference": row.verdict.figures,
    }


def _show(name: str, a: str, b: str, cases: int, rows: Sequence[Comparison]) -> None:
    from service.cli.text import console, plain_table
    from training.evaluation.card import in_words

    table = plain_table("Metric", f"{name} {a}", f"{name} {b}", "A is better by", "Sign-flip p")
    for row in rows:
        d = row.verdict.difference
        gap = "–"
        if d.mean is not None and d.low is not None and d.high is not None:
            gap = f"{d.mean:+.4f} ({d.low:+.4f} to {d.high:+.4f})"
        figures = (in_words(figure, row.metric) for figure in (row.first, row.second))
        table.add_row(row.metric.title, *figures, gap, f"{row.verdict.p:.3g}")
    out = console()
    out.print(table)
    out.print(f"{cases} cases; intervals of 95 % by bootstrap over subjects; p one-sided, for A better than B.")

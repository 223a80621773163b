"""`models`: what may read, whether it is sound, and every decision about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.app import SAID_NO, Group, app
from service.cli.book import known
from service.cli.context import Json, places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.catalogue import ModelPage
    from models.store import ReleasedModel
    from training.places import Places

models = typer.Typer(cls=Group, help="Models: versions, aliases, decisions.", no_args_is_help=True)
app.add_typer(models, name="models", rich_help_panel="Training")

Model = Annotated[str, typer.Argument(metavar="NAME", help="The model: a folder under models/.")]


@models.command(name="list", epilog="Example: raysight models list")
def list_models(json: Json = False) -> None:
    """Every model: its released versions, which of them reads, and the candidates that wait for the gate."""
    from models.catalogue import list_models as summaries
    from service.cli.text import console, plain_table, print_json

    where = places()
    found = summaries(where.store)
    waiting = {summary.name: _candidates(where, summary.name) for summary in found}
    if json:
        print_json([{**_plain(summary), "candidates": waiting[summary.name]} for summary in found])
        return
    table = plain_table("Model", "Task", "Versions", "Champion", "Candidates", "")
    for summary in found:
        table.add_row(
            summary.name,
            summary.task,
            ", ".join(summary.versions),
            summary.aliases.champion or "none",
            ", ".join(waiting[summary.name]),
            summary.problem,
        )
    console().print(table if found else "No models.")


@models.command(epilog="Example: raysight models show hippocampus_segmenter")
def show(name: Model, json: Json = False) -> None:
    """One model: what it is for, its limits, and where each version comes from."""
    from models.catalogue import show_model
    from service.cli.text import console, print_json

    where = places()
    page = show_model(where.store, name)
    candidates = _candidates(where, name)
    if json:
        print_json(
            {
                "name": page.name,
                "spec": page.spec.model_dump(mode="json"),
                "aliases": page.aliases.model_dump(),
                "card": page.card,
                "versions": [released.provenance.model_dump(mode="json") for released in page.released],
                "problems": page.problems,
                "candidates": candidates,
            }
        )
        return
    out = console()
    out.print(_facts(page, candidates))
    out.print(_versions(page))
    for problem in page.problems:
        out.print(problem, style="red", markup=False, soft_wrap=True)


@models.command(epilog="Example: raysight models verify")
def verify(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The model.", show_default="all")] = None,
    json: Json = False,
) -> None:
    """Read every released file again and compare it with its digest. Exit code 1 when one was altered."""
    from models.catalogue import verify_models
    from service.cli.text import console, print_json

    verdicts = verify_models(places().store, name)
    if json:
        print_json(verdicts)
    else:
        out = console()
        for verdict in verdicts:
            what = f"{verdict.name} {verdict.version}".strip()
            text = f"{what}: {verdict.problem or f'sound, sha256 {verdict.sha256}'}"
            out.print(text, style="red" if verdict.problem else "", markup=False, soft_wrap=True)
        if not verdicts:
            out.print("No released version.")
    if any(verdict.problem for verdict in verdicts):
        raise typer.Exit(SAID_NO)


@models.command(epilog="Example: raysight models history hippocampus_segmenter")
def history(name: Model, json: Json = False) -> None:
    """Every decision about a model, oldest first: promoted, refused, overridden, rolled back; by whom and why.

    Those that travel with the released versions are there without a database too.
    """
    from imaging.errors import UsageError
    from service.cli.text import console, plain_table, print_json

    where = places()
    with known() as (book, _):
        taken = book.of(name)
    if not taken and name not in where.all_versions.names():
        raise UsageError(f"there is no model {name!r}; known: {', '.join(where.all_versions.names()) or 'none'}")
    if json:
        print_json([decision.model_dump(mode="json") for decision in taken])
        return
    table = plain_table("When", "Version", "Verdict", "Look", "By", "Reason", right=("Look",))
    for decision in taken:
        table.add_row(
            decision.at.strftime("%Y-%m-%d %H:%M"),
            decision.version,
            decision.verdict,
            str(decision.look or ""),
            decision.by,
            decision.reason,
        )
    console().print(table if taken else f"Nothing was decided about {name} yet.")


def _candidates(where: Places, name: str) -> Sequence[str]:
    """Versions among the candidates that no release has the number of."""
    released = where.store.versions(name)
    return [version for version in where.candidate_store.versions(name) if version not in released]


def _facts(page: ModelPage, candidates: Sequence[str]) -> object:
    from service.cli.text import facts

    spec = page.spec
    aliases = ", ".join(f"{alias} {version}" for alias, version in page.aliases.model_dump(exclude_none=True).items())
    data = "\n".join(f"{d.name}: {d.images} images ({d.licence})" for d in spec.training_data)
    return facts(
        {
            "Model": page.name,
            "Title": spec.title,
            "Task": spec.task,
            "Intended use": spec.intended_use,
            "Limits": "\n".join(spec.limits.notes),
            "Trained on": data,
            "Licence": spec.licence,
            "Aliases": aliases or "none",
            "Candidates": ", ".join(candidates),
            "Card": str(page.card or ""),
        }
    )


def _versions(page: ModelPage) -> object:
    from service.cli.text import plain_table

    table = plain_table("Version", "sha256", "Origin", "Created", "Run", "Cohort", "Dice or first figure")
    for released in page.released:
        table.add_row(released.version, released.sha256[:12], released.provenance.origin, *_origins(released))
    return table


def _origins(released: ReleasedModel) -> tuple[str, str, str, str]:
    lineage = released.provenance.lineage
    run, cohort, evaluation = (lineage.get(key) or {} for key in ("run", "cohort", "evaluation"))
    figure = next(iter(evaluation.get("figures", {}).items()), None)
    text = f"{figure[0]} {figure[1]['value']:.4f}" if figure and figure[1].get("value") is not None else ""
    created = released.provenance.created.strftime("%Y-%m-%d %H:%M")
    return created, str(run.get("run", "")), str(cohort.get("digest", ""))[:12], text


def _plain(summary: object) -> dict[str, object]:
    from dataclasses import asdict

    values = asdict(summary)  # type: ignore[call-overload]
    return {**values, "aliases": values["aliases"].model_dump()}

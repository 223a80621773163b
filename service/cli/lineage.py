"""`lineage`: from a result to run, data and decision, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.app import app
from service.cli.book import known
from service.cli.context import Json, places

if TYPE_CHECKING:
    from rich.tree import Tree

    from training.lineage import Node


@app.command(
    rich_help_panel="Training",
    epilog="Examples: raysight lineage 2.25.3104 · raysight lineage hippocampus_segmenter/2",
)
def lineage(
    what: Annotated[
        str,
        typer.Argument(
            metavar="X",
            help="SOP Instance UID of a result, a reading's key, NAME/VERSION, a run, a cohort (name or digest), or "
            "a decision.",
        ),
    ],
    json: Json = False,
) -> None:
    """What something was made of (◀), and what was made of it (▶).

    Result, reading key, model file, run, cohort, approval, gate decision; and from any of them to every result.
    """
    from service.cli.text import console, print_json
    from training.lineage import Lineage

    with known() as (book, results):
        node = Lineage(places(), book, results).of(what)
    if json:
        print_json(node)
    else:
        console().print(_tree(node))


def _tree(node: Node, arrow: str = "", above: Tree | None = None) -> Tree:
    from rich.text import Text
    from rich.tree import Tree

    title = Text(f"{arrow}{node.kind} ", style="bold") + Text(node.name)
    for name, value in node.facts.items():
        if value:
            loud = name in ("WARNING", "problem", "override")
            title.append(f"\n{name}: {value}", style="red" if loud else "dim")
    tree = Tree(title) if above is None else above.add(title)
    for child in node.back:
        _tree(child, "◀ ", tree)
    for child in node.forward:
        _tree(child, "▶ ", tree)
    return tree

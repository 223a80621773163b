"""`cohort`: freeze the data that a run may see, look at it, check it, compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.app import SAID_NO, Group, app
from service.cli.context import Json, Who, configuration_file, data_folder, who

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from training.cohort import Cohort, CohortShelf, Difference, Member, Refusal

SHOWN = 12

cohort = typer.Typer(cls=Group, help="Cohorts: frozen, approved, split by subject.", no_args_is_help=True)
app.add_typer(cohort, name="cohort", rich_help_panel="Training")

Data = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder of the data.", show_default="$RAYSIGHT_TRAINING_DATA"),
]
Out = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where the manifests lie.", show_default="$RAYSIGHT_HOME/cohorts")
]
Reference = Annotated[
    str, typer.Argument(metavar="COHORT", help="Name (the one built last), beginning of a digest, or a manifest.")
]


@cohort.command(epilog="Example: raysight cohort build hippocampus --data /data/training")
def build(
    name: Annotated[str, typer.Argument(metavar="NAME", help="cohorts/NAME.yaml of the configuration folder.")],
    data: Data = None,
    out: Out = None,
    by: Who = None,
    json: Json = False,
) -> None:
    """Read the data that cohorts/NAME.yaml describes, split by subject, check, and write the manifest.

    Exit code 1 when the cohort is refused: every reason is listed, and nothing is written.
    """
    from service.cli.text import console, print_json, progress
    from training.cohort import CohortRefusal, build_cohort, diff, load_description

    description, pinned = load_description(configuration_file("cohorts", name))
    shelf = _shelf(out)
    before = shelf.latest(description.name)
    try:
        with progress() as tell:
            made = build_cohort(description, data_folder(data), pinned=pinned, on_progress=tell)
    except CohortRefusal as refusal:
        _tell_refusals(f"The cohort {name} is refused", refusal.refusals, json=json)
        raise typer.Exit(SAID_NO) from None
    path = shelf.put(made, who(by))
    change = diff(before, made) if before and before.digest != made.digest else None
    if json:
        since = {"since": before and before.digest, "change": change and _cases(change)}
        print_json({**_summary(made), "manifest": path, **since})
        return
    _show(made)
    console().print(f"Frozen as {path}", soft_wrap=True)
    if change and before:
        text = f"Since {before.digest[:12]}: {_in_words(change)}"
        console().print(text, style="red" if change.moved else "", soft_wrap=True)


@cohort.command(epilog="Example: raysight cohort show hippocampus")
def show(reference: Reference, out: Out = None, json: Json = False) -> None:
    """What a cohort holds: splits, folds, sources and licences, the approval. --json gives every member."""
    from dataclasses import asdict

    from service.cli.text import print_json

    found = _shelf(out).load(reference)
    if json:
        print_json({**_summary(found), "members": [asdict(m) for m in found.members]})
    else:
        _show(found)


@cohort.command(epilog="Example: raysight cohort verify hippocampus --data /data/training")
def verify(reference: Reference, data: Data = None, out: Out = None, json: Json = False) -> None:
    """Hash every file again. Exit code 1 when one has changed or is gone, or when the approval has ended."""
    from datetime import UTC, datetime

    from service.cli.text import console, plural, print_json, progress
    from training.cohort import Refusal, RefusalKind
    from training.cohort import verify as hash_again

    found = _shelf(out).load(reference)
    with progress() as tell:
        result = hash_again(found, data_folder(data), tell)
    objection = found.approval.objection(found.approval.uses[0], datetime.now(UTC).date())
    ended = (Refusal(RefusalKind.APPROVAL, objection),) if objection else ()
    refusals = ended + result.refusals
    if json:
        answer = {"digest": found.digest, "files": result.files, "unlisted": result.unlisted, "refusals": refusals}
        print_json(answer)
    elif refusals:
        _tell_refusals(f"{found.name} {found.digest[:12]} may not be used", refusals)
    else:
        console().print(f"{found.name} {found.digest[:12]}: all {result.files:,} files are as they were frozen.")
    if result.unlisted and not json:
        _list("In its folders, but no part of it", plural(len(result.unlisted), "file"), result.unlisted)
    if refusals:
        raise typer.Exit(SAID_NO)


@cohort.command(name="diff", epilog="Example: raysight cohort diff 4f965ec2 hippocampus")
def difference(a: Reference, b: Reference, out: Out = None, json: Json = False) -> None:
    """What sets cohort B apart from cohort A. Exit code 1 when a case has moved to another side: an alarm."""
    from service.cli.text import console, print_json
    from training.cohort import diff

    first, second = (_shelf(out).load(reference) for reference in (a, b))
    change = diff(first, second)
    if json:
        print_json({"a": first.digest, "b": second.digest, **_cases(change)})
    else:
        names = " → ".join(f"{one.name} {one.digest[:12]}" for one in (first, second))
        console().print(f"{names}: {_in_words(change)}", soft_wrap=True)
        for word in ("added", "removed", "changed"):
            members = getattr(change, word)
            _list(word.capitalize(), str(len(members)), [f"{m.case} ({_side(m)})" for m in members])
        moves = [f"{m.after.case}: {_side(m.before)} → {_side(m.after)}" for m in change.moved]
        _list("MOVED", str(len(moves)), moves, style="red")
    if change.moved:
        raise typer.Exit(SAID_NO)


def _shelf(out: Path | None) -> CohortShelf:
    from service.configuration import home_folder
    from training.cohort import CohortShelf

    return CohortShelf(out.expanduser() if out else home_folder() / "cohorts")


def _summary(of: Cohort) -> dict[str, object]:
    return {
        "name": of.name,
        "title": of.title,
        "digest": of.digest,
        "approval": of.approval,
        "sources": of.sources,
        "assignment": of.assignment,
        "classes": of.classes,
        "splits": {split: _counts(members) for split, members in _by_split(of).items()},
    }


def _by_split(of: Cohort) -> dict[str, tuple[Member, ...]]:
    from training.cohort import Split

    return {split.value: of.only(split) for split in Split}


def _counts(members: Sequence[Member]) -> dict[str, int]:
    files = {f.path: f for m in members for f in m.files}.values()  # one file may hold many cases
    return {
        "subjects": len({m.person for m in members}),
        "cases": len(members),
        "files": len(files),
        "bytes": sum(f.bytes for f in files),
    }


def _show(of: Cohort) -> None:
    from service.cli.text import console, facts

    sizes = [len({m.person for m in of.members if m.fold == fold}) for fold in range(of.assignment.folds)]
    approval = of.approval
    out = console()
    out.print(
        facts(
            {
                "Cohort": of.name,
                "Title": of.title,
                "Digest": of.digest,
                "Sources": "\n".join(f"{s.name}: {s.origin} ({s.licence})" for s in of.sources),
                "Classes": ", ".join(f"{value} {name}" for value, name in of.classes.items()),
                "Approved": f"by {approval.by}, {approval.given} to {approval.until}, to {', '.join(approval.uses)}",
                "Purpose": approval.purpose,
                "Folds": f"{len(sizes)}, of {', '.join(map(str, sizes))} subjects",
                "Pinned": ", ".join(f"{person}: {split}" for person, split in of.assignment.locked.items()),
            }
        )
    )
    out.print(_table(of))


def _table(of: Cohort) -> Table:
    from service.cli.text import amount, plain_table

    columns = ("Subjects", "Cases", "Files", "Size", "Share asked", "Share")
    table = plain_table("Split", *columns, right=columns)
    everyone = len({m.person for m in of.members})
    for split, members in {**_by_split(of), "all": of.members}.items():
        counts = _counts(members)
        asked = next((share for s, share in of.assignment.shares.items() if s == split), 1.0)
        table.add_row(
            split,
            *(f"{counts[what]:,}" for what in ("subjects", "cases", "files")),
            amount(counts["bytes"] / 1e6),
            f"{asked:.0%}",
            f"{counts['subjects'] / everyone:.0%}",
        )
    return table


def _tell_refusals(headline: str, refusals: Sequence[Refusal], *, json: bool = False) -> None:
    from service.cli.text import console, plain_table, plural, print_json

    if json:
        print_json({"refusals": refusals})
        return
    out = console()
    out.print(f"{headline}, for {plural(len(refusals), 'reason')}:", style="red")
    table = plain_table("Kind", "Why")
    for refusal in refusals[:SHOWN]:
        table.add_row(refusal.kind.value, refusal.message)
    out.print(table)
    if len(refusals) > SHOWN:
        out.print(f"and {len(refusals) - SHOWN} more; --json lists all", style="dim")


def _list(headline: str, number: str, lines: Sequence[str], style: str = "") -> None:
    from service.cli.text import console

    if not lines:
        return
    out = console()
    out.print(f"{headline}: {number}", style=style or "bold")
    for line in lines[:SHOWN]:
        out.print(f"  {line}", style=style, markup=False)
    if len(lines) > SHOWN:
        out.print(f"  and {len(lines) - SHOWN} more; --json lists all", style="dim")


def _in_words(change: Difference) -> str:
    words = {name: len(getattr(change, name)) for name in ("added", "removed", "changed", "moved")}
    text = ", ".join(f"{number} {name}" for name, number in words.items())
    return f"{text}: what was tested before may be trained on now" if change.moved else text


def _cases(change: Difference) -> dict[str, object]:
    plain = {name: [m.case for m in getattr(change, name)] for name in ("added", "removed", "changed")}
    moved = [{"case": m.after.case, "before": _side(m.before), "after": _side(m.after)} for m in change.moved]
    return {**plain, "moved": moved}


def _side(member: Member) -> str:
    return member.split.value if member.fold is None else f"{member.split.value}, fold {member.fold}"

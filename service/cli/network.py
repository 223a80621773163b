"""`send` and `echo`: be a modality for a moment."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.app import SAID_NO, app
from service.cli.context import Json, remote_ae, short_logs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dicom_node.network.peers import RemoteAE
    from dicom_node.network.store import StoreOutcome

PANEL = "DICOM"
CALLING = "RAYSIGHT-SCU"

Remote = Annotated[str, typer.Argument(metavar="AE@HOST:PORT", help="The peer, such as PACS@10.1.2.3:104.")]
Calling = Annotated[str, typer.Option(metavar="AE", help="AE title to call as.")]


@app.command(rich_help_panel=PANEL, epilog="Example: raysight echo PACS@10.1.2.3:104 --calling RAYSIGHT")
def echo(remote: Remote, calling: Calling = CALLING) -> None:
    """Ask whether a peer admits us and answers (C-ECHO)."""
    short_logs()
    peer = remote_ae(remote)
    from time import perf_counter

    from dicom_node.network.echo import verify

    begun = perf_counter()
    verify(peer, _title(calling))
    print(f"{peer} answers {calling} in {1000 * (perf_counter() - begun):.0f} ms.")


@app.command(rich_help_panel=PANEL, epilog="Example: raysight send /data/ct RAYSIGHT@localhost:11112 --calling CT1")
def send(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder (or one file); all below it is sent.")],
    remote: Remote,
    calling: Calling = CALLING,
    json: Json = False,
) -> None:
    """Send DICOM files like a modality (C-STORE), and show what the peer said. Exit code 1 if it refused any."""
    from imaging.errors import PeerError, UsageError
    from service.cli.text import print_json

    short_logs()
    peer = remote_ae(remote)
    if not folder.exists():
        raise UsageError(f"there is no {folder}")
    paths = sorted(p for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else [folder]
    paths = [p for p in paths if p.name.upper() != "DICOMDIR"]
    if not paths:
        raise UsageError(f"there is no file below {folder}")
    outcomes: list[StoreOutcome] = []
    broken: PeerError | None = None
    try:
        _send(peer, _title(calling), paths, outcomes)
    except PeerError as error:
        if not outcomes:
            raise
        broken = error
    dicom = [o for o in outcomes if o.dataset_digest or o.sop_instance_uid]
    if not dicom and broken is None:
        raise UsageError(f"there is no DICOM file below {folder}")
    if json:
        print_json([{"path": o.path, "status": o.status, "comment": o.comment, "stored": o.stored} for o in dicom])
    else:
        _show(peer, dicom, len(outcomes) - len(dicom), len(paths) - len(outcomes))
    if broken:
        raise broken
    if not all(o.stored for o in dicom):
        raise typer.Exit(SAID_NO)


def _title(text: str) -> str:
    from dicom_node.network.peers import check_ae_title
    from imaging.errors import UsageError

    try:
        return check_ae_title(text)
    except ValueError as error:
        raise UsageError(f"--calling: {error}") from None


def _send(peer: RemoteAE, calling: str, paths: Sequence[Path], outcomes: list[StoreOutcome]) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from dicom_node.network.store import send_files

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    err = Console(stderr=True)
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task(f"Sending to {peer}", total=len(paths))
        send_files(
            peer,
            calling,
            paths,
            on_progress=lambda done, _all: progress.update(task, completed=done),
            on_outcome=outcomes.append,
        )


def _show(peer: RemoteAE, outcomes: Sequence[StoreOutcome], others: int, unsent: int) -> None:
    from service.cli.text import console, plain_table, plural

    kinds: Counter[tuple[str, str, str]] = Counter()
    example: dict[tuple[str, str, str], Path] = {}
    for outcome in outcomes:
        status = "" if outcome.status is None else f"{outcome.status:04X}"
        word = "stored" if outcome.stored else ("refused" if outcome.status is not None else "not sent")
        kind = (word, status, outcome.comment)
        kinds[kind] += 1
        example.setdefault(kind, outcome.path)
    table = plain_table("Files", "Outcome", "Status", "What the peer said", "For example", right=("Files",))
    for kind, number in sorted(kinds.items(), key=lambda item: -item[1]):
        word, status, comment = kind
        colour = "green" if word == "stored" else "red"
        path = "" if word == "stored" else example[kind].name
        table.add_row(f"{number:,}", f"[{colour}]{word}[/]", status, comment, path)
    out = console()
    if outcomes:
        out.print(f"{peer}")
        out.print(table)
    if others:
        out.print(f"{plural(others, 'file')} passed over: no DICOM.", style="dim")
    if unsent:
        out.print(f"{plural(unsent, 'file')} not sent.", style="red")

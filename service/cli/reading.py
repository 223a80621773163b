"""`read`: a folder of DICOM without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.app import SAID_NO, app
from service.cli.context import Json, configuration, short_logs

if TYPE_CHECKING:
    from rich.console import RenderableType

    from imaging.reading import Finding
    from service.configuration import Configuration
    from service.offline import OfflineReport, OfflineResult

UNREADABLE_SHOWN = 5


@app.command(rich_help_panel="DICOM", epilog="Example: raysight read /data/ct --out results")
def read(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of DICOM files, one study or several.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where SR, SEG and picture go, one folder per study.")],
    prior: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder with the patient's earlier examination.")
    ] = None,
    pipeline: Annotated[list[str] | None, typer.Option(help="Only this pipeline; may be given again.")] = None,
    json: Json = False,
) -> None:
    """Read a folder as the node would read a study: the same pipelines, the same SR and SEG files.

    With --prior, pipelines that compare are given the newest examination in that folder that is the same patient's.
    A study that is not read says why; that is never the same as a study without a mark. Exit code 1 when a reading
    failed, its objects could not be written, or no DICOM file was found.
    """
    from imaging.errors import UsageError
    from imaging.reading import ReadingStatus
    from service.cli.text import console, print_json

    short_logs()
    ready = configuration()
    for name in pipeline or ():
        if name not in ready.pipelines:
            raise UsageError(f"there is no pipeline {name!r}; known: {', '.join(ready.pipelines)}")
    report = _read(ready, folder, out, prior, pipeline)
    if json:
        print_json(report)
    else:
        for result in report.results:
            console().print(page(result))
        _show_unreadable(report, folder)
    if not report.results or any(r.problem or r.status is ReadingStatus.FAILED for r in report.results):
        raise typer.Exit(SAID_NO)


def _read(
    ready: Configuration, folder: Path, out: Path, prior: Path | None, pipelines: list[str] | None
) -> OfflineReport:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from service.offline import read_folder_to

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    err = Console(stderr=True)
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("reading", total=1.0)
        return read_folder_to(
            ready,
            folder,
            out,
            prior=prior,
            pipelines=pipelines,
            on_progress=lambda what, share: progress.update(task, description=what, completed=share),
        )


def page(result: OfflineResult) -> RenderableType:
    """What became of one study and pipeline."""
    from rich.console import Group
    from rich.rule import Rule
    from rich.text import Text

    from service.cli.text import COLOURS, facts, found, seconds

    reading = result.reading
    model = ", ".join(f"{one.name} {one.version}" for one in reading.model.each)
    if reading.reason is not None:
        word, explained = result.status.value.upper(), result.reason
    else:
        word, explained = "READ", found(reading.findings)
    headline = Text.assemble((word, f"bold {COLOURS[result.status.value]}"), f": {explained}")
    parts: list[RenderableType] = [
        Rule(f"[bold]{result.pipeline}[/]", align="left", style="dim"),
        facts({"Study": result.study_instance_uid, "Model": model}),
        headline,
    ]
    if reading.findings:
        parts.append(findings_table(reading.findings))
    if result.problem:
        parts.append(Text(f"The result files can't be written: {result.problem}", style="red"))
    parts.append(
        facts(
            {
                "Conclusion": reading.conclusion if reading.reason is None else "",
                "Analysed": reading.analysed,
                "Not used": "\n".join(r.message for r in reading.excluded if r != reading.reason),
                "Notes": "\n".join(reading.notes),
                "Folder": str(result.objects[0].parent) if result.objects else "",
                "Files": ", ".join(p.name for p in result.objects),
                "Picture": result.picture.name if result.picture else "",
                "Times": seconds(result.timings),
            }
        )
    )
    return Group(*parts, "")


def findings_table(findings: tuple[Finding, ...]) -> RenderableType:
    """Number, place, long × short axis, volume, slice (from 1)."""
    from imaging import codes
    from service.cli.text import plain_table

    table = plain_table(
        "No.", "Place", "Long × short, mm", "Volume, ml", "Slice", right=("No.", "Volume, ml", "Slice")
    )
    for finding in findings:
        axes = [finding.measured(c) for c in (codes.LONG_AXIS, codes.SHORT_AXIS)]
        volume = finding.measured(codes.VOLUME)
        table.add_row(
            str(finding.number),
            finding.place,
            " × ".join("–" if a is None else f"{a:.1f}" for a in axes),
            "–" if volume is None else f"{volume / 1000:.2f}",
            str(finding.key_slice + 1),
        )
    return table


def _show_unreadable(report: OfflineReport, folder: Path) -> None:
    from service.cli.text import console, plural

    out = console()
    if not report.results:
        out.print(f"No study was found below {folder}.", style="red")
    if report.unreadable:
        out.print(f"{plural(len(report.unreadable), 'file')} passed over:", style="dim")
        for path, why in report.unreadable[:UNREADABLE_SHOWN]:
            out.print(f"  {path.name}: {why}", style="dim", markup=False)
        if len(report.unreadable) > UNREADABLE_SHOWN:
            out.print(f"  and {len(report.unreadable) - UNREADABLE_SHOWN} more", style="dim")

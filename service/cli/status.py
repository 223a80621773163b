"""`status`: what is where, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.app import app
from service.cli.context import Json, configuration, database

if TYPE_CHECKING:
    from rich.console import RenderableType
    from sqlalchemy import Engine

    from imaging.reading import Finding
    from service.configuration import Configuration
    from service.status import StudyStatus

WATCH_SECONDS = 1.0
WIDE = 120  # columns in which whole UIDs fit


@app.command(
    rich_help_panel="The service",
    epilog="Examples: raysight status · raysight status 1.2.840.113619.2.55 · raysight status --state parked --json",
)
def status(
    study: Annotated[str | None, typer.Argument(help="Study Instance UID, or the beginning or end of it.")] = None,
    state: Annotated[str | None, typer.Option(help="Only studies in this state, such as waiting or parked.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The newest so many studies.")] = 10,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every second, until Ctrl-C.")] = False,
    json: Json = False,
) -> None:
    """Show what the service is doing, or where one study stands and why."""
    from imaging.errors import UsageError
    from service.cli.text import console, print_json
    from service.status import StudyState

    ready = configuration()
    known = [s.value for s in StudyState]
    if state is not None and state not in known:
        raise UsageError(f"--state: {state!r} is none of {', '.join(known)}")
    chosen = StudyState(state) if state else None
    with database(ready) as engine:
        if watch:
            _watch(ready, engine, study, chosen, limit, json=json)
        elif json:
            print_json(_records(ready, engine, study, chosen, limit))
        else:
            console().print(_page(ready, engine, study, chosen, limit))


def _records(ready: Configuration, engine: Engine, study: str | None, state: Any, limit: int) -> Any:
    from service.status import find_study, list_studies, overview, study_status

    if study is not None:
        return study_status(engine, ready.settings, find_study(engine, study))
    return {
        "overview": overview(engine, ready.settings, ready.home),
        "studies": list_studies(engine, ready.settings, limit, state=state),
    }


def _page(ready: Configuration, engine: Engine, study: str | None, state: Any, limit: int) -> RenderableType:
    from zoneinfo import ZoneInfo

    from service.cli.pages import overview_page, study_page
    from service.cli.text import console

    zone = ZoneInfo(ready.settings.time_zone)
    found = _records(ready, engine, study, state, limit)
    if study is not None:
        return study_page(found, _findings(ready, found), zone)
    return overview_page(found["overview"], found["studies"], zone, whole=console().width >= WIDE)


def _findings(ready: Configuration, study: StudyStatus) -> dict[str, tuple[Finding, ...]]:
    from dicom_node.blobs import LocalBlobStore
    from service.workflows.results import ResultStore

    results = ResultStore(LocalBlobStore(ready.home.results))
    return {r.key: results.reading(r.key).findings for r in study.readings if results.has_result(r.key)}


def _watch(ready: Configuration, engine: Engine, study: str | None, state: Any, limit: int, *, json: bool) -> None:
    from time import sleep

    from rich.live import Live

    from service.cli.text import console, print_json

    out = console()
    if json or not out.is_terminal:
        while True:
            if json:
                print_json(_records(ready, engine, study, state, limit))
            else:
                out.print(_page(ready, engine, study, state, limit), "")
            sleep(WATCH_SECONDS)
    with Live(console=out, auto_refresh=False) as live:
        while True:
            live.update(_page(ready, engine, study, state, limit), refresh=True)
            sleep(WATCH_SECONDS)

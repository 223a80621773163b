"""`ask`, `stop`, `start`, `deliveries`: what a person decides. Each decision stands in the audit."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.app import Group, app
from service.cli.context import Json, Note, Who, configuration, database, who

PANEL = "Decisions"

deliveries = typer.Typer(cls=Group, help="Results on their way to destinations.", no_args_is_help=True)
app.add_typer(deliveries, name="deliveries", rich_help_panel=PANEL)


@app.command(rich_help_panel=PANEL, epilog="Example: raysight ask 1.2.840.113619.2.55.3.604688119 --who 'Dr Li'")
def ask(
    study: Annotated[str, typer.Argument(help="Study Instance UID, or the beginning or end of it.")], by: Who = None
) -> None:
    """Have a study read now, without waiting for it to be complete.

    Images that this version has read already are not read again.
    """
    ready = configuration()
    from service import actions
    from service.status import find_study

    with database(ready) as engine:
        uid = find_study(engine, study)
        actions.ask(engine, uid, who(by))
    print(f"Asked: {uid} is taken as complete, and read unless these images were. See `raysight status {uid}`.")


@app.command(rich_help_panel=PANEL, epilog="Example: raysight stop lung_nodule --note 'false marks on the new CT'")
def stop(
    pipeline: Annotated[str, typer.Argument(help="Name of the pipeline.")], note: Note = "", by: Who = None
) -> None:
    """Send nothing more of a pipeline's results, from before the next send on. Reading goes on."""
    ready = configuration()
    from service import actions

    with database(ready) as engine:
        done = actions.stop(engine, ready.settings, pipeline, who(by), note)
    print(
        f"{pipeline} is stopped{'' if done else ' already'}; `raysight start {pipeline}` lets its results go again."
    )


@app.command(rich_help_panel=PANEL)
def start(
    pipeline: Annotated[str, typer.Argument(help="Name of the pipeline.")], note: Note = "", by: Who = None
) -> None:
    """Let a stopped pipeline's results go again, those that waited included."""
    ready = configuration()
    from service import actions

    with database(ready) as engine:
        done = actions.start(engine, ready.settings, pipeline, who(by), note)
    print(f"{pipeline} goes again." if done else f"{pipeline} was not stopped.")


@deliveries.command("list")
def list_(
    state: Annotated[
        str | None, typer.Option(help="Only those: held, stopped, pending, sent, confirmed or parked.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The newest so many.")] = 50,
    json: Json = False,
) -> None:
    """List deliveries, the newest first."""
    ready = configuration()
    from imaging.errors import UsageError
    from service.cli.pages import delivery_table
    from service.cli.text import console, print_json
    from service.status import DeliveryState, list_deliveries

    known = [s.value for s in DeliveryState]
    if state is not None and state not in known:
        raise UsageError(f"--state: {state!r} is none of {', '.join(known)}")
    with database(ready) as engine:
        found = list_deliveries(engine, ready.settings, limit, state=DeliveryState(state) if state else None)
    if json:
        print_json(found)
    else:
        console().print(delivery_table(found) if found else "No deliveries.")


@deliveries.command(epilog="Example: raysight deliveries retry 17")
def retry(
    delivery: Annotated[int, typer.Argument(help="Number of a parked delivery (`raysight deliveries list`).")],
    by: Who = None,
) -> None:
    """Try a parked delivery again, its identity check included."""
    ready = configuration()
    from service import actions

    with database(ready) as engine:
        actions.retry(engine, ready.settings, delivery, who(by))
    print(f"Delivery {delivery} is tried again.")

"""`config`, `db`, `index`, `demo`."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.app import Group, app
from service.cli.context import Json, configuration, short_logs

PANEL = "Upkeep"

config = typer.Typer(cls=Group, help="The configuration.", no_args_is_help=True)
db = typer.Typer(cls=Group, help="The database.", no_args_is_help=True)
index = typer.Typer(cls=Group, help="The index of what was received.", no_args_is_help=True)
app.add_typer(config, name="config", rich_help_panel=PANEL)
app.add_typer(db, name="db", rich_help_panel=PANEL)
app.add_typer(index, name="index", rich_help_panel=PANEL)


@config.command(epilog="Example: raysight --config /etc/raysight config check")
def check(json: Json = False) -> None:
    """Validate the configuration as a start would, and print it with every default filled in."""
    ready = configuration()
    resolved = ready.settings.model_dump(mode="json")
    pipelines = {name: dict(pipeline.configuration) for name, pipeline in ready.pipelines.items()}
    if json:
        from service.cli.text import print_json

        print_json({"folder": ready.folder, "home": ready.home.root, "settings": resolved, "pipelines": pipelines})
        return
    import yaml

    print(f"# {ready.folder} is valid; home {ready.home.root}")
    print(yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100), end="")
    for name, values in pipelines.items():
        print(f"\n# pipelines/{name}.yaml")
        print(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100), end="")


@db.command()
def upgrade() -> None:
    """Make the tables this version's. Every process does so at its start; this does it beforehand."""
    ready = configuration()
    from service.database.engine import connect
    from service.database.engine import upgrade as bring_up

    ready.home.root.mkdir(parents=True, exist_ok=True)
    engine = connect(ready.home.database_url)
    try:
        bring_up(engine)
        print(f"{engine.url.render_as_string(hide_password=True)} is up to date.")
    finally:
        engine.dispose()


@index.command()
def rebuild() -> None:
    """Make the index again from the spool, the receive log and the results. The node must not run meanwhile."""
    ready = configuration()
    from service.node.rebuild import rebuild as make_again

    short_logs()
    found = make_again(ready)
    print(
        f"Rebuilt from {found.lines:,} log lines: {found.studies:,} studies, {found.instances:,} instances, "
        f"{found.readings:,} readings. Deliveries, stops and the audit stay as they were."
    )


@app.command(rich_help_panel="The service", epilog="Example: raysight demo --once")
def demo(once: Annotated[bool, typer.Option("--once", help="End when the results are back.")] = False) -> None:
    """Start Raysight and an archive, send a chest CT, and show what comes back."""
    from service.demo import run_demo

    run_demo(once=once)

"""The application and what holds for every command: where the configuration lies, errors, exit codes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from imaging.errors import ConfigurationError, RaysightError, UsageError

EPILOG = (
    "Exit codes: 0 done · 1 a peer, a reading or the disk said no · 2 wrong usage or configuration · 130 "
    "interrupted. RAYSIGHT_DEBUG=1 shows an error's traceback; RAYSIGHT_LOG_LEVEL is debug, info, warning or error."
)
SAID_NO, WRONG_USE = 1, 2


class Group(TyperGroup):
    """A group whose commands end in one line and an exit code when something of ours goes wrong."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except RaysightError as error:
            if os.environ.get("RAYSIGHT_DEBUG"):
                raise
            print(f"raysight: {error}", file=sys.stderr)
            wrong_use = isinstance(error, ConfigurationError | UsageError)
            raise typer.Exit(WRONG_USE if wrong_use else SAID_NO) from None


app = typer.Typer(
    name="raysight",
    cls=Group,
    help="The imaging-AI node of a hospital: studies in over DICOM, results back to the PACS.\n\n"
    "Decision support for research and evaluation; not for primary diagnosis.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _everywhere(
    config: Annotated[
        Path | None,
        typer.Option(
            help="Folder with raysight.yaml and pipelines/.", show_default="$RAYSIGHT_CONFIG, else as shipped"
        ),
    ] = None,
    home: Annotated[
        Path | None,
        typer.Option(
            help="Folder for spool, results and database.",
            show_default="$RAYSIGHT_HOME, else ~/.local/share/raysight",
        ),
    ] = None,
) -> None:
    # by the environment, so that the processes that a command starts see the same
    if config is not None:
        os.environ["RAYSIGHT_CONFIG"] = str(config.expanduser().resolve())
    if home is not None:
        os.environ["RAYSIGHT_HOME"] = str(home.expanduser().resolve())


def main() -> None:
    """Entry point `raysight`."""
    app(prog_name="raysight")

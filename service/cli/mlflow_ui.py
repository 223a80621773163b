"""`mlflow`: MLflow's pages on this machine."""

from __future__ import annotations

import os
import socket
from typing import Annotated

import typer

from service.cli.app import app
from service.cli.context import places


@app.command(rich_help_panel="Training", epilog="Example: raysight mlflow --port 5001")
def mlflow(
    port: Annotated[int, typer.Option(min=1, max=65535, help="At 127.0.0.1; nobody else reaches it.")] = 5000,
) -> None:
    """Look at runs in a browser: parameters, curves, pictures, cohorts, versions. Ctrl-C ends it."""
    from imaging.errors import UsageError
    from service.cli.text import console
    from training import registry
    from training.registry import ui

    folder = places().mlruns
    if not registry.installed():
        raise UsageError("MLflow isn't installed: pip install 'raysight[train]'")
    if not (folder / "mlflow.db").is_file():
        raise UsageError(f"no run was logged in {folder} yet; `raysight train NAME` logs one")
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            free.bind(("127.0.0.1", port))
        except OSError as error:
            raise UsageError(f"port {port}: {(error.strerror or '').lower()}; give another --port") from None
    console().print(f"http://127.0.0.1:{port}")
    command = ui.command(folder, port)
    os.execve(command[0], command, ui.environment())  # noqa: S606  fixed arguments, no shell

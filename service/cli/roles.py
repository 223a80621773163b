"""`serve`, `node`, `worker`, `api`: the processes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from imaging.errors import StorageError
from service.cli.app import app
from service.cli.context import configuration

if TYPE_CHECKING:
    from service.configuration import Configuration


@app.command(rich_help_panel="The service", epilog="Example: raysight --home /srv/raysight serve")
def serve() -> None:
    """Run everything: node, worker and API as one group, until Ctrl-C."""
    ready = _prepare("serve")
    from service.engine import check_engine
    from service.supervisor import serve as run

    check_engine(ready)
    run(ready.home, ready.folder)


@app.command(rich_help_panel="The service")
def node() -> None:
    """Run the DICOM node alone: it receives, judges completeness and delivers."""
    ready = _prepare("node")
    from service.node.process import run_node

    run_node(ready)


@app.command(rich_help_panel="The service")
def worker() -> None:
    """Run a worker alone: it reads what is queued and writes the results."""
    ready = _prepare("worker")
    from service.workflows.worker import run_worker

    run_worker(ready)


@app.command(rich_help_panel="The service")
def api() -> None:
    """Run the API alone: REST under /v1, /healthz, /readyz, /metrics, /docs."""
    ready = _prepare("api")
    from service.api.process import run_api

    run_api(ready)


def _prepare(role: str) -> Configuration:
    """Validate the configuration, then set up logs and counters, before anything starts."""
    from service.logs import configure_logs
    from service.metrics import keep_counters

    ready = configuration()
    configure_logs(role=role)
    root = ready.home.root
    try:
        keep_counters(ready.home)
        writable = os.access(root, os.W_OK)
    except OSError as error:
        raise StorageError(f"can't write the home {root}: {error.strerror}") from error
    if not writable:
        raise StorageError(f"can't write the home {root}: read-only, or another user's")
    return ready

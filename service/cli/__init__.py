"""The command line. Importing it stays fast: what is heavy is imported inside the commands."""

from service.cli import roles, status, reading, network, control, upkeep  # isort: skip  # noqa: F401  (help's order)
from service.cli.app import app, main

__all__ = ["app", "main"]

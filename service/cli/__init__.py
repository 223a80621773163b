"""The command line. Importing it stays fast: what is heavy is imported inside the commands."""

# the order of the help
from service.cli import roles, status, reading, network, control  # isort: skip  # noqa: F401
from service.cli import cohort, train, evaluate, promotion, models, lineage, runs, mlflow_ui  # isort: skip  # noqa: F401
from service.cli import upkeep  # isort: skip  # noqa: F401
from service.cli.app import app, main

__all__ = ["app", "main"]

"""MLflow as a mirror of the training line: runs, evaluations and decisions to look at and compare.

What counts lies elsewhere (the run's folder, the model store, the decision book), so MLflow may be lost, broken or
not installed, and nothing stops: what can't be mirrored is told in one line. Only this folder imports MLflow.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from training.evaluation.report import Report
from training.gate.decision import Decision
from training.places import Places
from training.runs.folder import RunFolder

__all__ = ["import_run", "installed", "log_report", "mirror_decision"]


def installed() -> bool:
    """Whether MLflow is there (extra `train`); without it nothing is mirrored."""
    return find_spec("mlflow") is not None


def import_run(places: Places, folder: Path) -> None:
    """Put a run into MLflow by what lies in its folder: one that was trained elsewhere, or that MLflow missed.

    Doing it again adds what is new.

    Raises
    ------
    UsageError, ConfigurationError, CohortError
        It is no run's folder, or it was altered.
    """
    run = RunFolder(folder)
    record, cohort = run.record, run.cohort
    if installed():
        from training.registry.store import harmless
        from training.registry.tracking import put_run

        with harmless(f"run {record.run} isn't mirrored"):
            put_run(places, run, record, cohort)


def log_report(places: Places, report: Report) -> None:
    """An evaluation's figures, with the run that made the model, or as a run of their own where there is none."""
    if installed():
        from training.registry.mirror import put_report
        from training.registry.store import harmless

        with harmless(f"the evaluation of {report.model} isn't mirrored"):
            put_report(places, report)


def mirror_decision(places: Places, decision: Decision) -> None:
    """A decision of the gate: the registered model's version with verdict and reason, and the aliases as they are."""
    if installed():
        from training.registry.mirror import put_decision
        from training.registry.store import harmless

        with harmless(f"the decision on {decision.model} {decision.version} isn't mirrored"):
            put_decision(places, decision)

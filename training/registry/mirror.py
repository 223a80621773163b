"""Evaluations and decisions in MLflow: figures beside the run, versions with verdict and reason, aliases."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import get_args

from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion

from imaging.errors import RaysightError
from models.provenance import Alias
from models.store import ReleasedModel
from training.evaluation.report import Figure, Report
from training.gate.decision import Decision
from training.places import Places
from training.registry.store import Store

VERSION = "raysight.version"
"""Tag: our number of a version; MLflow counts its own, and only versions that were decided on."""


def put_report(places: Places, report: Report) -> None:
    """Log each figure as `test/dice_anterior`, the baseline's too, and the report, with its intervals, as a file."""
    store = Store(places.mlruns)
    run = report.run and store.find(report.model, report.run)
    if run:
        _write(store, run, report)
        return
    name = f"evaluation of {report.model} {report.version or 'folds'} ({report.data})"
    run = store.create(report.model, f"{name} {report.created:%Y-%m-%d %H:%M:%S}")
    _write(store, run, report)
    store.client.set_terminated(run.info.run_id)


def _write(store: Store, run: Run, report: Report) -> None:
    figures = _numbers(report.data, report.figures)
    if report.baseline:
        figures |= _numbers(f"{report.data}/baseline", report.baseline.figures)
    store.metrics(run, {**figures, f"{report.data}/seconds_per_case": report.seconds_per_case}, step=0)
    content = report.model_dump_json(indent=2)
    store.client.log_text(run.info.run_id, content, f"evaluations/{report.data}.json")


def _numbers(under: str, figures: Mapping[str, Figure]) -> dict[str, float]:
    return {f"{under}/{name}": figure.value for name, figure in figures.items() if figure.value is not None}


def put_decision(places: Places, decision: Decision) -> None:
    """Give the decided version its verdict and reason, and set every alias as it is in the product."""
    registry = _Registry(places, decision.model)
    tags = {
        "raysight.verdict": decision.verdict,
        "raysight.reason": decision.reason,
        "raysight.decision": decision.decision,
        "raysight.by": decision.by,
        "raysight.at": decision.at.isoformat(),
        "raysight.checks": json.dumps({check.name: check.passed for check in decision.checks}),
    }
    registry.tag(decision.version, tags)
    now = places.store.aliases(decision.model).model_dump()
    if decision.promoted:
        now["champion"] = decision.version
    registry.point(now)


class _Registry:
    """One registered model."""

    def __init__(self, places: Places, model: str) -> None:
        self._places, self._model, self._store = places, model, Store(places.mlruns)
        self._client = self._store.client
        if not self._client.search_registered_models(f"name = '{model}'"):
            self._client.create_registered_model(model, description="Mirrored: what serves reads the model store.")

    def tag(self, version: str, tags: Mapping[str, str]) -> None:
        number = self._version(version).version
        for name, value in tags.items():
            self._client.set_model_version_tag(self._model, number, name, value)

    def point(self, aliases: Mapping[str, str | None]) -> None:
        known = self._client.get_registered_model(self._model).aliases
        for alias in get_args(Alias):
            if version := aliases[alias]:
                self._client.set_registered_model_alias(self._model, alias, self._version(version).version)
            elif alias in known:
                self._client.delete_registered_model_alias(self._model, alias)

    def _version(self, version: str) -> ModelVersion:
        """MLflow's version that stands for ours, made when it is first spoken of."""
        for known in self._client.search_model_versions(f"name = '{self._model}'"):
            if known.tags.get(VERSION) == version:
                return known
        released = self._released(version)
        run = released and self._run_of(released)
        return self._client.create_model_version(
            self._model,
            source=released.path.parent.as_uri() if released else "",
            run_id=run.info.run_id if run else None,
            tags={VERSION: version},
            description=f"Raysight's version {version}.",
        )

    def _released(self, version: str) -> ReleasedModel | None:
        try:
            return self._places.all_versions.version(self._model, version)
        except RaysightError:  # gone or altered: the decision says so, and is mirrored all the same
            return None

    def _run_of(self, released: ReleasedModel) -> Run | None:
        record = released.provenance.lineage.get("run") or {}
        return self._store.find(self._model, record["run"]) if "run" in record else None

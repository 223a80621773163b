"""Runs in MLflow: parameters, curves, the cohort, the machine, and pictures."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from mlflow.entities import Run
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from training.cohort import Cohort
from training.places import Places
from training.registry.curves import learning_curve
from training.registry.store import EPOCHS, Store, harmless
from training.runs.folder import RunFolder
from training.runs.record import RunRecord

STATUS = {"done": "FINISHED", "failed": "FAILED", "running": "KILLED"}
"""MLflow's words for the state of a run that has ended; one that still says running was cut off."""

SECONDS_BETWEEN_MEASUREMENTS = 5


class MlflowTracker:
    """Writes a run into MLflow as it goes (`training.runs.tracker.Tracker`).

    When MLflow fails, that is told in one line and nothing more is written until the run ends; then all that was
    missed is put in from the run's folder, if MLflow is sound again.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._session: _Session | None = None

    def begin(self, record: RunRecord, cohort: Cohort) -> None:
        """Open the MLflow run: a new one, or the one in which the same run was cut off."""
        with self._kept_up():
            self._session = _Session(Store(self._places.mlruns), record, cohort)
            self._session.measure()

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """One point of each curve."""
        with self._kept_up() as session:
            if session:
                session.epoch(number, metrics)

    def pictures(self, folder: Path) -> None:
        """Replace the pictures of the best, median and worst validation case."""
        with self._kept_up() as session:
            if session:
                session.pictures(folder)

    def end(self, record: RunRecord) -> None:
        """The learning curve, and how it ended."""
        if self._session is None:
            with harmless("the run isn't mirrored", quietly=True):
                run = RunFolder(self._places.runs / record.run)
                put_run(self._places, run, record, run.cohort)
            return
        with self._kept_up() as session:
            if session:
                session.end(record)
        self._session = None

    def exported(self, record: RunRecord) -> None:
        """The record once more, with the digest of the file; the whole run where MLflow hasn't heard of it."""
        with harmless("the run's export isn't mirrored"):
            store = Store(self._places.mlruns)
            if found := store.find(record.model, record.run):
                _note(store, found, record)
            else:
                run = RunFolder(self._places.runs / record.run)
                put_run(self._places, run, record, run.cohort)

    @contextmanager
    def _kept_up(self) -> Iterator[_Session | None]:
        kept = False
        with harmless("the run isn't mirrored"):
            yield self._session
            kept = True
        if not kept and self._session:
            self._session.stop_measuring()
            self._session = None


def put_run(places: Places, run: RunFolder, record: RunRecord, cohort: Cohort) -> None:
    """A run by what lies in its folder; what is there already stays."""
    session = _Session(Store(places.mlruns), record, cohort)
    for epoch in run.epochs():
        session.epoch(int(epoch["epoch"]), {name: v for name, v in epoch.items() if name != "epoch"})
    if run.pictures.is_dir():
        session.pictures(run.pictures)
    session.end(record)


class _Session:
    """A run that is open in MLflow."""

    def __init__(self, store: Store, record: RunRecord, cohort: Cohort) -> None:
        self._store = store
        found = store.find(record.model, record.run)
        self._run: Run = found or store.create(record.model, record.run, _milliseconds(record.started))
        self._seen = int(self._run.data.tags.get(EPOCHS, 0))
        self._monitor: SystemMetricsMonitor | None = None
        store.client.update_run(self._run.info.run_id, status="RUNNING")
        store.parameters(self._run, _parameters(record))
        store.tags(self._run, _tags(record))
        if not found:
            store.dataset(self._run, cohort.name, cohort.digest, *_described(cohort))

    def measure(self) -> None:
        """Follow processor, memory, disk, network and GPU until the end."""
        self._monitor = SystemMetricsMonitor(
            self._run.info.run_id,
            sampling_interval=SECONDS_BETWEEN_MEASUREMENTS,
            resume_logging=True,
            tracking_uri=self._store.uri,
        )
        self._monitor.start()

    def stop_measuring(self) -> None:
        """Wait for the measuring thread to end."""
        if self._monitor:
            self._monitor.finish()
            self._monitor = None

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Nothing when the epoch is there: a resumed run tells some again."""
        if number > self._seen:
            self._store.metrics(self._run, metrics, number, {EPOCHS: number})
            self._seen = number

    def pictures(self, folder: Path) -> None:
        self._store.client.log_artifacts(self._run.info.run_id, str(folder), "pictures")

    def end(self, record: RunRecord) -> None:
        self.stop_measuring()
        client, run_id = self._store.client, self._run.info.run_id
        if curves := self._store.curves(self._run):
            client.log_figure(run_id, learning_curve(curves, record.best_epoch), "learning_curve.png")
        _note(self._store, self._run, record)
        client.set_terminated(run_id, STATUS[record.state], record.ended and _milliseconds(record.ended))


def _note(store: Store, run: Run, record: RunRecord) -> None:
    store.client.log_text(run.info.run_id, record.model_dump_json(indent=2), "run.json")
    store.tags(run, _tags(record))


def _parameters(record: RunRecord) -> dict[str, object]:
    fixed = {"seed": record.seed, "fold": "none" if record.fold is None else record.fold}
    return {**dict(_flat(record.configuration)), **fixed}


def _flat(values: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    """`optimiser.learning_rate` for a value inside a mapping."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield above + name, value


def _tags(record: RunRecord) -> dict[str, object]:
    known = {
        "raysight.cohort": record.cohort.digest,
        "raysight.revision": record.revision,
        "raysight.state": record.state,
        "raysight.best_epoch": record.best_epoch,
        "raysight.best_score": record.best_score,
        "raysight.weights_sha256": record.weights_sha256,
        "raysight.onnx_sha256": record.onnx_sha256,
        "mlflow.source.git.commit": record.revision.partition("+")[0],
    }
    environment = {f"environment.{name}": value for name, value in record.environment.items()}
    elsewhere = {f"raysight.merged_from.{name}": value for name, value in (record.merged_from or {}).items()}
    return {name: value for name, value in {**known, **environment, **elsewhere}.items() if value not in (None, "")}


def _described(cohort: Cohort) -> tuple[str, str]:
    """Where a cohort's data are from, and how many stand in which split, both as JSON."""
    source = {
        "digest": cohort.digest,
        "title": cohort.title,
        "sources": {s.name: f"{s.origin} ({s.licence})" for s in cohort.sources},
        "approved": f"by {cohort.approval.by}, {cohort.approval.given} to {cohort.approval.until}",
    }
    cases = Counter(m.split.value for m in cohort.members)
    subjects = Counter(split for split, _ in {(m.split.value, m.person) for m in cohort.members})
    return json.dumps(source, ensure_ascii=False), json.dumps({"cases": cases, "subjects": subjects})


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)

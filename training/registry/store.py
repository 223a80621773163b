"""MLflow's SQLite store under `mlruns/`: one experiment for each model, one MLflow run for each of our runs."""

from __future__ import annotations

import logging
import sqlite3
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag

RUN = "raysight.run"
"""Tag: our name of a run, by which a resumed or imported one is found again."""

EPOCHS = "raysight.epochs"
"""Tag: the last epoch whose metrics are there."""

LONGEST_VALUE = 6000
LONGEST_DIGEST = 36


@contextmanager
def harmless(doing: str, *, quietly: bool = False) -> Iterator[None]:
    """Whatever fails inside is told in one line, or not at all; what MLflow would have shown lies elsewhere too."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  MLflow is a mirror: whatever breaks it must not stop who looks into it
        root: BaseException = error
        while root.__cause__:
            root = root.__cause__
        cause = next(iter(str(root).splitlines()), "") or type(root).__name__
        level = logging.DEBUG if quietly else logging.WARNING
        logging.getLogger(__name__).log(level, "MLflow: %s: %s; all else goes on", doing, cause)


class Store:
    """The database, opened; it is made where it doesn't exist.

    Parameters
    ----------
    folder
        `mlruns/`.
    """

    def __init__(self, folder: Path) -> None:
        folder = folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        database = folder / "mlflow.db"
        with closing(sqlite3.connect(database, timeout=10)) as probe:
            probe.execute("PRAGMA schema_version")  # MLflow would try a broken file for two minutes
        self.uri = f"sqlite:///{database}"
        self.artifacts = folder / "artifacts"
        with warnings.catch_warnings():  # its own use of SQLAlchemy
            warnings.simplefilter("ignore", DeprecationWarning)
            self.client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def experiment(self, model: str) -> str:
        """Id of the model's experiment, made if need be."""
        found = self.client.get_experiment_by_name(model)
        if found is not None:
            return str(found.experiment_id)
        return str(self.client.create_experiment(model, artifact_location=(self.artifacts / model).as_uri()))

    def find(self, model: str, run: str) -> Run | None:
        """The MLflow run of our run ``run``."""
        found = self.client.search_runs([self.experiment(model)], f"tags.`{RUN}` = '{run}'", max_results=1)
        return found[0] if found else None

    def create(self, model: str, run: str, started_ms: int | None = None) -> Run:
        """A new MLflow run for our run ``run``."""
        tags = {RUN: run, "mlflow.source.name": "raysight"}
        return self.client.create_run(self.experiment(model), started_ms, tags, run_name=run)

    def parameters(self, run: Run, values: Mapping[str, object]) -> None:
        """Those that aren't there yet; MLflow never changes one."""
        known = run.data.params
        new = [Param(name, str(value)[:LONGEST_VALUE]) for name, value in values.items() if name not in known]
        self.client.log_batch(run.info.run_id, params=new)

    def tags(self, run: Run, values: Mapping[str, object]) -> None:
        """Set or replaced."""
        self.client.log_batch(run.info.run_id, tags=[RunTag(name, str(value)) for name, value in values.items()])

    def metrics(
        self, run: Run, values: Mapping[str, float], step: int, tags: Mapping[str, object] | None = None
    ) -> None:
        """One point of each curve."""
        now = int(time.time() * 1000)
        points = [Metric(name, float(value), now, step) for name, value in values.items()]
        marks = [RunTag(name, str(value)) for name, value in (tags or {}).items()]
        self.client.log_batch(run.info.run_id, metrics=points, tags=marks)

    def dataset(self, run: Run, name: str, digest: str, source: str, profile: str) -> None:
        """What the run saw; ``digest`` is shortened to what MLflow takes."""
        made = Dataset(name, digest[:LONGEST_DIGEST], "cohort", source, profile=profile)
        used = DatasetInput(made, [InputTag("mlflow.data.context", "training")])
        self.client.log_inputs(run.info.run_id, datasets=[used])

    def curves(self, run: Run) -> dict[str, list[tuple[int, float]]]:
        """Every metric of an epoch as points (epoch, value)."""
        known = self.client.get_run(run.info.run_id).data.metrics
        names = sorted(name for name in known if "/" not in name)  # with one it is the machine's or an evaluation's
        histories = {name: self.client.get_metric_history(run.info.run_id, name) for name in names}
        return {name: sorted((m.step, m.value) for m in points) for name, points in histories.items()}

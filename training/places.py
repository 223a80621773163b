"""Where the training line keeps its things."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from models.store import ModelStore


@dataclass(frozen=True)
class Places:
    """Folders of an installation.

    Parameters
    ----------
    home
        `$RAYSIGHT_HOME`.
    experiments
        MLflow's database and artifacts; None: `mlruns` in ``home``.
    """

    home: Path
    experiments: Path | None = None

    @property
    def mlruns(self) -> Path:
        """MLflow's database and artifacts."""
        return self.experiments or self.home / "mlruns"

    @property
    def runs(self) -> Path:
        """One folder per run."""
        return self.home / "runs"

    @property
    def cohorts(self) -> Path:
        """The manifests."""
        return self.home / "cohorts"

    @property
    def candidates(self) -> Path:
        """Versions that no gate has let through, laid out as a model store's folder."""
        return self.home / "candidates"

    @cached_property
    def store(self) -> ModelStore:
        """What serves reads from: the installation's own models, then the shipped ones."""
        return ModelStore.of_home(self.home)

    @cached_property
    def all_versions(self) -> ModelStore:
        """What serves reads from, then the candidates: of a promoted version the copy that reads is found."""
        return ModelStore((*self.store.folders, self.candidates))

    @cached_property
    def candidate_store(self) -> ModelStore:
        """The candidates alone; publishing into it makes one."""
        return ModelStore((self.candidates,))

    def next_version(self, model: str) -> str:
        """The number that the next candidate of ``model`` gets."""
        return str(max((int(v) for v in self.all_versions.versions(model)), default=0) + 1)

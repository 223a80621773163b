"""Loading and validating the configuration, wholly, before anything starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

from imaging.configuration import explain, read_yaml, validated
from imaging.errors import ConfigurationError
from models.store import ModelStore
from pipelines.released import AnyPipeline
from service.settings import Settings

SHIPPED = Path(__file__).resolve().parent.parent / "configs"


@dataclass(frozen=True)
class Home:
    """Where this installation keeps its data (`$RAYSIGHT_HOME`)."""

    root: Path

    @property
    def spool(self) -> Path:
        return self.root / "spool"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def results(self) -> Path:
        return self.root / "results"

    @property
    def models(self) -> ModelStore:
        """This installation's released models, then the shipped ones."""
        return ModelStore.of_home(self.root)

    @property
    def database_url(self) -> str:
        """`$RAYSIGHT_DATABASE_URL` (it may hold a password, so it is no setting), else SQLite in the home."""
        return os.environ.get("RAYSIGHT_DATABASE_URL") or f"sqlite:///{self.root / 'raysight.db'}"

    @property
    def journal_url(self) -> str:
        """DBOS's journal: disposable, so in a file of its own."""
        return os.environ.get("RAYSIGHT_JOURNAL_URL") or f"sqlite:///{self.root / 'journal.db'}"


@dataclass(frozen=True)
class Configuration:
    """Everything that was configured: settings, the resolved pipelines, and the home."""

    settings: Settings
    pipelines: Mapping[str, AnyPipeline]
    home: Home
    folder: Path


def home_folder() -> Path:
    """`$RAYSIGHT_HOME`, else `~/.local/share/raysight` (XDG)."""
    if given := os.environ.get("RAYSIGHT_HOME"):
        return Path(given).expanduser().resolve()
    share = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(share).expanduser().resolve() / "raysight"


def load(folder: Path | None = None) -> Configuration:
    """Read `raysight.yaml` and each named pipeline's file.

    Parameters
    ----------
    folder
        Folder of the YAML files; else `$RAYSIGHT_CONFIG`, else the shipped `configs/`. A pipeline's file that is
        absent there is taken from the shipped ones.

    Raises
    ------
    ConfigurationError
        One line per mistake: file, key, what is wrong, the nearest known key.
    """
    chosen = folder or Path(os.environ.get("RAYSIGHT_CONFIG") or SHIPPED)
    if not chosen.is_dir():
        raise ConfigurationError(f"{chosen}: no such configuration folder; give --config or set RAYSIGHT_CONFIG")
    settings = validated(chosen / "raysight.yaml", Settings)
    pipelines = {name: build_pipeline(name, chosen) for name in settings.pipelines}
    return Configuration(settings, MappingProxyType(pipelines), Home(home_folder()), chosen)


def build_pipeline(name: str, folder: Path) -> AnyPipeline:
    """The pipeline `pipelines.<name>` with its configuration file."""
    try:
        build = getattr(import_module(f"pipelines.{name}"), "build", None)
    except ModuleNotFoundError as error:
        if error.name != f"pipelines.{name}":
            raise
        build = None
    if build is None:  # no such module, or one of those that pipelines share
        known = ", ".join(sorted(p.stem for p in (SHIPPED / "pipelines").glob("*.yaml")))
        raise ConfigurationError(f"pipelines: there is no pipeline {name!r}; known: {known}")
    path = folder / "pipelines" / f"{name}.yaml"
    if not path.is_file():
        path = SHIPPED / "pipelines" / f"{name}.yaml"
    values = read_yaml(path)
    try:
        pipeline: AnyPipeline = build(values)
    except ValidationError as error:
        raise ConfigurationError(explain(error, path, None)) from None
    return pipeline

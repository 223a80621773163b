"""Loading and validating the configuration, wholly, before anything starts."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from imaging.errors import ConfigurationError
from imaging.pipeline import Pipeline
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
    pipelines: Mapping[str, Pipeline]
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
    settings = _load_settings(chosen / "raysight.yaml")
    pipelines = {name: build_pipeline(name, chosen) for name in settings.pipelines}
    return Configuration(settings, MappingProxyType(pipelines), Home(home_folder()), chosen)


def _load_settings(path: Path) -> Settings:
    values = _read_yaml(path)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError(explain(error, path, Settings)) from None


def build_pipeline(name: str, folder: Path) -> Pipeline:
    """The pipeline `pipelines.<name>` with its configuration file."""
    try:
        module = import_module(f"pipelines.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"pipelines.{name}":
            raise
        known = ", ".join(sorted(p.stem for p in (SHIPPED / "pipelines").glob("*.yaml")))
        raise ConfigurationError(f"pipelines: there is no pipeline {name!r}; known: {known}") from None
    path = folder / "pipelines" / f"{name}.yaml"
    if not path.is_file():
        path = SHIPPED / "pipelines" / f"{name}.yaml"
    values = _read_yaml(path)
    try:
        pipeline: Pipeline = module.build(values)
    except ValidationError as error:
        raise ConfigurationError(explain(error, path, None)) from None
    return pipeline


class _Loader(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error, not the last one's silent victory."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping; ConstructorError when a key is repeated."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for number, key in enumerate(keys):
            if key in keys[:number]:
                place = node.value[number][0].start_mark
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", place)
        return super().construct_mapping(node, deep=deep)


def _read_yaml(path: Path) -> Mapping[str, Any]:
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506  (a SafeLoader)
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: no such file") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ConfigurationError(f"{path}: {line}is no YAML: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = " ".join(str(error).split())
        raise ConfigurationError(f"{path}: is no YAML: {problem}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path}: a mapping of settings was expected, not {type(values).__name__}")
    return values


def explain(error: ValidationError, path: Path, model: type[BaseModel] | None) -> str:
    """One line per mistake of a pydantic error: file, key, what is wrong, the nearest known key."""
    lines = []
    for item in error.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"]) or "(whole file)"
        if item["type"] == "extra_forbidden":
            known = _known_keys(model, item["loc"][:-1]) if model else ()
            near = difflib.get_close_matches(str(item["loc"][-1]), known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else (f"; known: {', '.join(known)}" if known else "")
            lines.append(f"{path}: {key}: unknown key{hint}")
        else:
            lines.append(f"{path}: {key}: {item['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)


def _known_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[str, ...]:
    """The keys that the model has at a location, following lists and mappings."""
    current: Any = model
    for part in location:
        if isinstance(current, type) and issubclass(current, BaseModel) and part in current.model_fields:
            current = current.model_fields[str(part)].annotation
        # a list's index or a mapping's key: into the element type
        arguments = [a for a in get_args(current) if isinstance(a, type) and issubclass(a, BaseModel)]
        if arguments:
            current = arguments[0]
    return tuple(current.model_fields) if isinstance(current, type) and issubclass(current, BaseModel) else ()

"""What `raysight models list|show|verify` say: records for the command line and the API to print."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from imaging.errors import ConfigurationError, EngineError
from models.provenance import Aliases
from models.spec import ModelSpec
from models.store import ModelStore, ReleasedModel


@dataclass(frozen=True)
class ModelSummary:
    """One line of the list. ``task`` is empty, and ``problem`` says why, where the description can't be read."""

    name: str
    task: str
    versions: tuple[str, ...]
    aliases: Aliases
    problem: str = ""


@dataclass(frozen=True)
class ModelPage:
    """All about one model.

    Parameters
    ----------
    spec
        The description as it stands now; each version has its own, as released.
    released
        The sound versions, oldest first.
    problems
        One line for each version that isn't.
    """

    name: str
    spec: ModelSpec
    aliases: Aliases
    card: Path | None
    released: tuple[ReleasedModel, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """One version checked; ``problem`` is empty when it is sound."""

    name: str
    version: str
    sha256: str
    problem: str = ""


def list_models(store: ModelStore) -> tuple[ModelSummary, ...]:
    """Every model of the store, in order of name."""
    return tuple(_summary(store, name) for name in store.names())


def show_model(store: ModelStore, name: str) -> ModelPage:
    """One model.

    Raises
    ------
    EngineError
        There is no such model.
    ConfigurationError
        Its description or aliases are wrong.
    """
    spec, released, problems = store.spec(name), [], []
    for version in store.versions(name):
        try:
            released.append(store.version(name, version))
        except EngineError as error:
            problems.append(str(error))
    return ModelPage(name, spec, store.aliases(name), store.card(name), tuple(released), tuple(problems))


def verify_models(store: ModelStore, name: str | None = None) -> tuple[Verdict, ...]:
    """Every version (of ``name``, or of all models) read anew from disk and checked, and every alias followed.

    Raises
    ------
    EngineError
        There is no such model.
    """
    if name is not None and name not in store.names():
        raise EngineError(f"there is no model {name!r}; known: {', '.join(store.names()) or 'none'}")
    verdicts = []
    for each in store.names() if name is None else (name,):
        verdicts += [_verdict(store, each, version) for version in store.versions(each)]
        verdicts += _dangling(store, each)
    return tuple(verdicts)


def _summary(store: ModelStore, name: str) -> ModelSummary:
    versions = store.versions(name)
    try:
        return ModelSummary(name, store.spec(name).task, versions, store.aliases(name))
    except (ConfigurationError, EngineError) as error:
        return ModelSummary(name, "", versions, Aliases(), str(error))


def _verdict(store: ModelStore, name: str, version: str) -> Verdict:
    try:
        released = store.version(name, version)
        return Verdict(name, version, hashlib.sha256(released.content()).hexdigest())
    except EngineError as error:
        return Verdict(name, version, "", str(error))


def _dangling(store: ModelStore, name: str) -> list[Verdict]:
    try:
        aliases = store.aliases(name).model_dump(exclude_none=True)
    except ConfigurationError as error:
        return [Verdict(name, "", "", str(error))]
    known = store.versions(name)
    return [
        Verdict(name, version, "", f"aliases.yaml: {alias} is version {version}, which isn't there")
        for alias, version in aliases.items()
        if version not in known
    ]

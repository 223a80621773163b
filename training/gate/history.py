"""Decisions of two origins as one book: this installation's own, and those that travel with the released versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from pydantic import ValidationError

from imaging.errors import EngineError, UsageError
from models.store import ModelStore
from training.gate.decision import Decision, told


class Documents(Protocol):
    """Where this installation keeps decisions, as JSON values; only ever added to."""

    def append(self, document: Mapping[str, Any]) -> None: ...

    def of(self, model: str) -> Iterable[Mapping[str, Any]]: ...

    def find(self, decision: str) -> Mapping[str, Any] | None: ...


class NoDocuments:
    """A fresh clone: nothing was decided here."""

    def append(self, document: Mapping[str, Any]) -> None:
        raise UsageError("decisions need a database to be kept in")

    def of(self, model: str) -> Iterable[Mapping[str, Any]]:
        return ()

    def find(self, decision: str) -> Mapping[str, Any] | None:
        return None


class Book:
    """Implements `training.gate.decision.DecisionBook`.

    Parameters
    ----------
    store
        Whose versions' provenance is read too.
    """

    def __init__(self, documents: Documents, store: ModelStore) -> None:
        self._documents, self._store = documents, store

    def append(self, decision: Decision) -> None:
        """Keep it for ever."""
        self._documents.append(decision.model_dump(mode="json"))

    def of(self, model: str) -> tuple[Decision, ...]:
        """As `training.gate.decision.told`: all about ``model``."""
        own = (Decision.model_validate(document) for document in self._documents.of(model))
        return told([*travelling(self._store, model), *own])

    def find(self, decision: str) -> Decision | None:
        """One by its id."""
        if document := self._documents.find(decision):
            return Decision.model_validate(document)
        travelled = (d for name in self._store.names() for d in travelling(self._store, name))
        return next((d for d in travelled if d.decision == decision), None)


def travelling(store: ModelStore, model: str) -> tuple[Decision, ...]:
    """The decision in the provenance of each released version; an altered version has none to tell."""
    found = []
    for version in store.versions(model):
        try:
            kept = store.version(model, version).provenance.lineage.get("decision")
            if kept is not None:
                found.append(Decision.model_validate(kept))
        except (EngineError, ValidationError):
            continue
    return tuple(found)

"""The gate's decisions, as JSON documents: only ever added, never changed. What they say, the training line knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, insert, select

from service.database.engine import reading
from service.database.tables import decisions


class DecisionTable:
    """The table `decisions`.

    Parameters
    ----------
    engine
        Of a database whose tables are this version's.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def append(self, document: Mapping[str, Any]) -> None:
        """Keep a document; its ``decision`` (id), ``model`` and ``at`` (ISO 8601 with zone) are columns too.

        Raises
        ------
        sqlalchemy.exc.IntegrityError
            There is one of that id: nothing is replaced.
        """
        row = {
            "decision": document["decision"],
            "model": document["model"],
            "at": datetime.fromisoformat(document["at"]),
            "document": dict(document),
        }
        with self._engine.begin() as connection:
            connection.execute(insert(decisions).values(row))

    def of(self, model: str) -> Iterable[Mapping[str, Any]]:
        """All documents about a model, in the order in which they were kept."""
        return self._documents(
            select(decisions.c.document).where(decisions.c.model == model).order_by(decisions.c.id)
        )

    def find(self, decision: str) -> Mapping[str, Any] | None:
        """The document of an id, or None."""
        return next(iter(self._documents(select(decisions.c.document).where(decisions.c.decision == decision))), None)

    def _documents(self, query: Any) -> list[Mapping[str, Any]]:
        with reading(self._engine).connect() as connection:
            return list(connection.execute(query).scalars())

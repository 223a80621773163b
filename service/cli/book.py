"""The gate's decisions and the readings' results, as the training line's commands see them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from service.cli.context import has_database, open_database, places

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from imaging.reading import ModelIdentity
    from service.workflows.results import ResultStore
    from training.gate.history import Book
    from training.lineage import Result, Results


@contextmanager
def writable_book() -> Iterator[Book]:
    """The book of this installation; its database is made if there is none."""
    from service.configuration import Home, home_folder
    from service.database.decisions import DecisionTable
    from service.database.engine import upgrade
    from training.gate.history import Book

    home = Home(home_folder())
    home.root.mkdir(parents=True, exist_ok=True)
    with open_database(home) as engine:
        upgrade(engine)
        yield Book(DecisionTable(engine), places().store)


@contextmanager
def known() -> Iterator[tuple[Book, Results]]:
    """Decisions and results as far as they are here: in a fresh clone the decisions that travel, and no result."""
    from service.configuration import Home, home_folder
    from service.database.decisions import DecisionTable
    from training.gate.history import Book, NoDocuments
    from training.lineage import NoResults

    home, store = Home(home_folder()), places().store
    if not has_database(home):
        yield Book(NoDocuments(), store), NoResults()
        return
    from dicom_node.blobs import LocalBlobStore
    from service.workflows.results import ResultStore

    with open_database(home) as engine:
        yield Book(DecisionTable(engine), store), DatabaseResults(engine, ResultStore(LocalBlobStore(home.results)))


class DatabaseResults:
    """The results in the tables `readings` and `objects`; the model's digest stands in the stored reading."""

    def __init__(self, engine: Engine, stored: ResultStore) -> None:
        self._engine, self._stored = engine, stored

    def find(self, reference: str) -> Result | None:
        """As `training.lineage.Results.find`."""
        from sqlalchemy import select

        from service.database.engine import reading
        from service.database.tables import objects

        with reading(self._engine).connect() as connection:
            by_object = select(objects.c.key).where(objects.c.sop_instance_uid == reference)
            key = connection.execute(by_object).scalar_one_or_none() or reference
            return next(iter(self._results(connection, [key])), None)

    def of_version(self, model: str, version: str) -> Sequence[Result]:
        """As `training.lineage.Results.of_version`."""
        from sqlalchemy import select

        from service.database.engine import reading
        from service.database.tables import reading_models, readings

        made = reading_models.c.model_name == model, reading_models.c.model_version == version
        its = select(readings.c.key).join(reading_models, reading_models.c.key == readings.c.key).where(*made)
        with reading(self._engine).connect() as connection:
            keys = connection.execute(its.order_by(readings.c.requested_at)).scalars()
            return self._results(connection, list(keys))

    def _results(self, connection: Connection, keys: Sequence[str]) -> list[Result]:
        from sqlalchemy import select

        from service.database.tables import objects, readings
        from training.lineage import Result

        found = []
        for key in keys:
            row = connection.execute(select(readings).where(readings.c.key == key)).one_or_none()
            if row is None:
                continue
            made = connection.execute(select(objects).where(objects.c.key == key))
            found.append(
                Result(
                    key,
                    row.study_instance_uid,
                    row.pipeline,
                    self._models(key),
                    row.state,
                    {item.role: item.sop_instance_uid for item in made},
                )
            )
        return found

    def _models(self, key: str) -> tuple[ModelIdentity, ...]:
        from dataclasses import replace

        if self._stored.has_result(key):
            return self._stored.reading(key).model.each
        return tuple(replace(one, sha256="") for one in self._stored.request(key).model.each)

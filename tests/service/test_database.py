"""The tables as migrations make them are the tables as the code describes them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select

from service.database import tables
from service.database.engine import connect, insert_ignore, upgrade


def test_migrations_make_the_described_tables(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'x.db'}")
    upgrade(engine)
    upgrade(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
    engine.dispose()


def test_a_second_row_of_the_same_key_is_left_out(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'x.db'}")
    upgrade(engine)
    row = {"pipeline": "p", "stopped_at": datetime.now(UTC), "stopped_by": "me", "note": ""}
    with engine.begin() as connection:
        assert insert_ignore(connection, tables.stops, [row]) == 1
        assert insert_ignore(connection, tables.stops, [row | {"stopped_by": "you"}]) == 0
        assert connection.execute(select(tables.stops.c.stopped_by)).scalar_one() == "me"
        stored = connection.execute(select(tables.stops.c.stopped_at)).scalar_one()
        assert stored == row["stopped_at"]
    engine.dispose()


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        tables.UTCDateTime().process_bind_param(datetime(2026, 1, 1), None)

"""Reaching the database: SQLite (WAL) by default, PostgreSQL by URL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, Table, create_engine, event, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError

from imaging.errors import ConfigurationError

MIGRATIONS = Path(__file__).parent / "migrations"
_UPGRADE_LOCK = 0x7261_7973  # any number that no one else locks in this database


def connect(url: str) -> Engine:
    """An engine for ``url`` (`sqlite:///…`, `postgresql+psycopg://…`).

    SQLite: write-ahead log, full fsync at commit (a confirmed delivery must not be forgotten), and a busy timeout,
    as node, worker and API write the same file. Errors don't quote what was to be stored: they end in logs.
    """
    engine = create_engine(url, hide_parameters=True, pool_pre_ping=not url.startswith("sqlite"))
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
            connection.execute("PRAGMA busy_timeout=30000")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.isolation_level = None  # we say BEGIN ourselves, below

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            # a reader that becomes a writer inside a transaction can't wait for the lock: take it at the start
            connection.exec_driver_sql("BEGIN IMMEDIATE" if _writes(connection) else "BEGIN")

    return engine


def _writes(connection: Connection) -> bool:
    return not connection.get_execution_options().get("read_only", False)


def reading(engine: Engine) -> Engine:
    """The same engine for transactions that only read (they take no write lock)."""
    return engine.execution_options(read_only=True)


def upgrade(engine: Engine) -> None:
    """Bring the tables to this version's shape (`raysight db upgrade`)."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                # processes that start together take turns, as SQLite's write lock makes them
                connection.execute(select(func.pg_advisory_xact_lock(_UPGRADE_LOCK)))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except OperationalError as error:
        raise ConfigurationError(f"the database can't be opened: {error.orig}") from error


def insert_ignore(connection: Connection, table: Table, rows: Iterable[Mapping[str, Any]]) -> int:
    """Insert rows, leaving those whose unique keys are there; the number inserted."""
    insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert
    statement = insert(table).on_conflict_do_nothing()
    return sum(connection.execute(statement, dict(row)).rowcount for row in rows)

"""Decisions stay as they were kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, inspect
from sqlalchemy.exc import IntegrityError

from service.database import tables
from service.database.decisions import DecisionTable
from service.database.engine import MIGRATIONS, connect, upgrade


def document(decision: str, model: str = "toy", **more: Any) -> dict[str, Any]:
    return {"decision": decision, "model": model, "at": "2026-11-24T12:00:00Z", "figures": {"p": 0.01}, **more}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = connect(f"sqlite:///{tmp_path / 'x.db'}")
    upgrade(made)
    yield made
    made.dispose()


def test_documents_come_back_in_order_and_by_id(engine: Engine) -> None:
    book = DecisionTable(engine)
    kept = [document("b", by="Dr Li"), document("a", reason="Größe ≥ 20"), document("c", model="other")]
    for one in kept:
        book.append(one)
    assert list(book.of("toy")) == kept[:2]
    assert (book.find("c"), book.find("d")) == (kept[2], None)


def test_a_decision_is_never_replaced(engine: Engine) -> None:
    book = DecisionTable(engine)
    book.append(document("a"))
    with pytest.raises(IntegrityError):
        book.append(document("a", by="somebody else"))
    assert list(book.of("toy")) == [document("a")]


def test_a_database_of_the_version_before_gets_the_table(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'old.db'}")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    assert tables.decisions.name not in inspect(engine).get_table_names()
    upgrade(engine)
    DecisionTable(engine).append(document("a"))
    engine.dispose()

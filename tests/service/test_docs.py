"""docs/operations.md names every setting with its default, every command, metric and state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from service.cli import app
from service.configuration import SHIPPED, build_pipeline
from service.metrics import EVENTS
from service.settings import Settings
from service.status.records import StudyState


@pytest.fixture(scope="module")
def page() -> str:
    return (SHIPPED.parent / "docs" / "operations.md").read_text(encoding="utf-8")


def settings(model: type[BaseModel], before: str = "") -> Iterator[tuple[str, str]]:
    """Every leaf of the settings as the page writes it: `destinations[].pipelines.NAME.mode`, and its default."""
    for name, field in model.model_fields.items():
        inner = next((t for t in (field.annotation, *get_args(field.annotation)) if is_model(t)), None)
        if inner is None:
            yield f"{before}{name}", default(field)
        else:
            container = "" if inner is field.annotation else ".NAME" if "dict" in str(field.annotation) else "[]"
            yield from settings(inner, f"{before}{name}{container}.")


def is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "–"
    if isinstance(value, tuple):
        return ", ".join(value)
    if isinstance(value, StrEnum | bool):
        return str(value).lower()
    return "none" if value in (None, "") else f"{value:g}" if isinstance(value, float) else str(value)


def values(part: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Every key of a pipeline's file, and its value where that is short."""
    for name, value in part.items():
        if isinstance(value, dict):
            yield from values(value, f"{before}{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for key in dict.fromkeys(key for item in value for key in item):
                yield f"{before}{name}[].{key}", "a list"
        elif name in {"accepted", "other", "other_weightings", "told", "denied"}:
            yield f"{before}{name}", "a list"
        else:
            yield f"{before}{name}", shown(value)


def shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(shown(v) for v in value)}]"
    return '""' if value == "" else str(value).lower() if isinstance(value, bool) else str(value)


def commands() -> Iterator[str]:
    group = typer.main.get_command(app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        yield from [f"{name} {sub}" for sub in inner] if inner else [name]


@pytest.mark.parametrize(("key", "value"), [pytest.param(k, v, id=k) for k, v in settings(Settings)])
def test_every_setting_stands_with_its_default(page: str, key: str, value: str) -> None:
    assert f"\n| `{key}` | {value} |" in page


def test_the_settings_are_walked_wholly() -> None:
    found = dict(settings(Settings))
    assert found["node.limits.free_mb"] == "2048"
    assert found["destinations[].pipelines.NAME.mode"] == "hold"


@pytest.mark.parametrize("name", sorted(p.stem for p in (SHIPPED / "pipelines").glob("*.yaml")))
def test_every_key_of_a_pipeline_stands_with_its_shipped_value(page: str, name: str) -> None:
    file = SHIPPED / "pipelines" / f"{name}.yaml"
    _, _, after = page.partition(f"### pipelines/{name}.yaml\n")
    part, _, _ = after.partition("\n#")
    given = yaml.safe_load(file.read_text(encoding="utf-8"))
    missing = [f"| `{key}` | {value} |" for key, value in values(given) if f"\n| `{key}` | {value} |" not in part]
    assert missing == []
    assert given.keys() == build_pipeline(name, SHIPPED).configuration.keys()


@pytest.mark.parametrize("command", list(commands()))
def test_every_command_stands_there(page: str, command: str) -> None:
    assert f"`raysight {command}" in page


@pytest.mark.parametrize("state", list(StudyState))
def test_every_state_stands_there_with_what_to_do(page: str, state: StudyState) -> None:
    assert f"\n| `{state}` |" in page


@pytest.mark.parametrize("counter", [event.counter for events in EVENTS.values() for event in events])
def test_every_counter_stands_there(page: str, counter: str) -> None:
    assert f"`raysight_{counter}_total`" in page


def test_every_page_that_the_docs_link_to_exists(repo_root: Path) -> None:
    for path in (repo_root / "README.md", *(repo_root / "docs").glob("*.md")):
        for target in links(path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def links(text: str) -> Iterator[str]:
    for piece in text.split("](")[1:]:
        target = piece.split(")")[0].split("#")[0]
        if target and "://" not in target:
            yield target

"""Mistakes in a file that a person wrote, told where they stand in the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from imaging.configuration import validated
from imaging.errors import ConfigurationError


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Round(Strict):
    kind: Literal["round"]
    radius: float


class Square(Strict):
    kind: Literal["square"]
    length: float


class Part(Strict):
    weight: float = 1


class Drawing(Strict):
    shape: Annotated[Round | Square, Field(discriminator="kind")]
    parts: tuple[Part, ...] = ()
    named: Mapping[str, Part] = {}
    spare: Part | None = None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("shape: {kind: square, lenght: 1}", ["shape.length: Field required", "lenght"]),
        ("shape: {kind: round, radius: x}", ["shape.radius: Input should be a valid number"]),
        ("shape: {kind: oval}", ["shape: Input tag 'oval'"]),
        ("shape: {kind: round, radius: 1, length: 1}", ["shape.length: unknown key; known: kind, radius"]),
        (
            "shape: {kind: round, radius: 1}\nparts: [{wieght: 1}]",
            ["parts.0.wieght: unknown key; did you mean 'weight'"],
        ),
        ("shape: {kind: round, radius: 1}\nnamed: {a: {wait: 1}}", ["named.a.wait: unknown key"]),
        ("shape: {kind: round, radius: 1}\nspare: {weigh: 1}", ["spare.weigh: unknown key; did you mean 'weight'"]),
        ("shapes: 1\nshape: {kind: round, radius: 1}", ["shapes: unknown key; did you mean 'shape'"]),
    ],
)
def test_a_mistake_is_named_where_it_stands(text: str, wanted: list[str], tmp_path: Path) -> None:
    path = tmp_path / "drawing.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as error:
        validated(path, Drawing)
    lines = str(error.value).splitlines()
    assert len(lines) == len(wanted) and all(line.startswith(f"{path}: ") for line in lines)
    for line, words in zip(lines, wanted, strict=True):
        assert words in line


def test_a_good_file_is_the_model(tmp_path: Path) -> None:
    path = tmp_path / "drawing.yaml"
    path.write_text("shape: {kind: square, length: 2}\nparts: [{}, {weight: 3}]", encoding="utf-8")
    assert validated(path, Drawing) == Drawing(shape=Square(kind="square", length=2), parts=(Part(), Part(weight=3)))

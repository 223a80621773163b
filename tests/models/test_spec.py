"""A model's description is checked wholly, and a mistake is one line that says where and what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydicom.sr._concepts_dict as dictionary
import pytest
import yaml
from pydantic import BaseModel

from imaging.errors import ConfigurationError
from models.spec import CodedTerm, ModelSpec, Range, load_spec
from models.store import SHIPPED

THRESHOLDS = {name: {"value": 0.5, "chosen_for": "balance"} for name in ("front", "back")}


def write(folder: Path, values: dict[str, Any]) -> Path:
    (folder / "spec.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    return folder


MISTAKES: dict[str, tuple[Any, Any, str]] = {
    "unknown key": ("titel", "x", "titel: unknown key; did you mean 'title'?"),
    "unknown key in the input": (
        "input.spacing",
        [1, 1, 1],
        "input.spacing: unknown key; did you mean 'spacing_mm'?",
    ),
    "another input's key": ("input.columns", [], "input.columns: unknown key; known: kind, modality, body_part"),
    "unknown key of a label": ("output.labels.0.nam", "x", "output.labels.0.nam: unknown key; did you mean 'name'?"),
    "unknown key of a mapping": (
        "input.intensity.0.positive",
        True,
        "input.intensity.0.positive: unknown key; did you mean 'positive_only'?",
    ),
    "no such mapping": ("input.intensity.0.method", "log", "input.intensity.0: Input tag 'log'"),
    "a window the wrong way round": (
        "input.intensity.0",
        {"method": "window", "low": 3, "high": 1},
        "input.intensity.0: low must be below high",
    ),
    "equal percentiles": (
        "input.intensity.0",
        {"method": "percentiles", "low": 5, "high": 5},
        "input.intensity.0: low must be below high",
    ),
    "an axis twice": ("input.orientation", "SPA", "input: orientation: one letter each"),
    "too few axes": ("input.orientation", "SP", "input: orientation: one letter each"),
    "no letter of an axis": ("input.orientation", "SPX", "input: orientation: one letter each"),
    "no spacing": ("input.spacing_mm", [1, 1, 0], "input.spacing_mm.2: Input should be greater than 0"),
    "not a number": ("input.spacing_mm", [1, 1, float("nan")], "input.spacing_mm.2: Input should be"),
    "no patch": ("input.patch", [8, 8, 0], "input.patch.2: Input should be greater than or equal to 1"),
    "overlap of all": ("input.overlap", 1, "input.overlap: Input should be less than 1"),
    "no channel": ("input.intensity", [], "input.intensity: Tuple should have at least 1 item"),
    "labels with a gap": ("output.labels.1.value", 3, "output: labels: the values run 1, 2, 3"),
    "a name twice": ("output.labels.1.name", "front", "output: labels: two have the same name"),
    "a meaning too long": (
        "input.body_part.meaning",
        "x" * 65,
        "input.body_part.meaning: String should have at most 64",
    ),
    "segmentation of raw numbers": (
        "output.activation",
        "none",
        "(whole file): output.activation: a segmentation needs",
    ),
    "sigmoid without thresholds": ("output.activation", "sigmoid", "(whole file): thresholds: sigmoid needs one"),
    "task and input apart": ("task", "tabular", "(whole file): task tabular doesn't go with input kind volume"),
    "a limit the wrong way round": (
        "limits.age_years",
        {"least": 9, "most": 1},
        "limits.age_years: least is greater",
    ),
    "no training data": ("training_data", [], "training_data: Tuple should have at least 1 item"),
    "no intended use": ("intended_use", "", "intended_use: String should have at least 1 character"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line(mistake: str, tmp_path: Path, described: dict[str, Any]) -> None:
    place, value, words = MISTAKES[mistake]
    *path, last = (int(part) if part.isdigit() else part for part in place.split("."))
    within: Any = described
    for part in path:
        within = within[part]
    within[last] = value
    with pytest.raises(ConfigurationError) as error:
        load_spec(write(tmp_path, described))
    assert str(error.value).startswith(f"{tmp_path / 'spec.yaml'}: {words}")
    assert len(str(error.value).splitlines()) == 1


def test_a_good_description(tmp_path: Path, described: dict[str, Any]) -> None:
    spec = load_spec(write(tmp_path, described))
    assert spec.output.channels == 3 and spec.output.labels[1].code.code.value == "5366008"
    assert ModelSpec.model_validate_json(spec.model_dump_json()) == spec


def test_sigmoid_has_no_background(tmp_path: Path, described: dict[str, Any]) -> None:
    described["output"]["activation"] = "sigmoid"
    described["thresholds"] = THRESHOLDS
    assert load_spec(write(tmp_path, described)).output.channels == 2


def test_a_table_is_described_too(tmp_path: Path, described: dict[str, Any]) -> None:
    described["task"] = "tabular"
    described["output"]["activation"] = "none"
    described["input"] = {
        "kind": "tabular",
        "columns": [
            {"name": "heart_rate", "unit": "/min", "plausible": {"least": 20, "most": 300}, "required": True}
        ],
    }
    spec = load_spec(write(tmp_path, described))
    assert spec.input.kind == "tabular" and spec.input.columns[0].required


def test_a_range_is_closed_and_may_be_open_ended() -> None:
    assert Range(least=1, most=2).contains(1) and Range(least=1, most=2).contains(2)
    assert not Range(least=1, most=2).contains(2.01) and Range(least=1).contains(1e9) and Range(most=1).contains(-1e9)
    assert not Range(least=1).contains(float("nan")) and not Range().contains(float("nan"))


def test_every_field_is_described() -> None:
    unclear = []
    seen = set()
    waiting: list[type[BaseModel]] = [ModelSpec]
    while waiting:
        model = waiting.pop()
        if model in seen:
            continue
        seen.add(model)
        schema = model.model_json_schema()
        for name, part in [(model.__name__, schema), *schema.get("$defs", {}).items()]:
            for key, value in part.get("properties", {}).items():
                if not value.get("description") and "const" not in value:
                    unclear.append(f"{name}.{key}")
    assert not unclear


SPECS = sorted(path.parent.name for path in SHIPPED.glob("*/spec.yaml"))


@pytest.mark.parametrize("name", SPECS)
def test_a_shipped_description_is_good_and_its_codes_are_the_standards(name: str) -> None:
    spec = load_spec(SHIPPED / name)
    assert spec.name == name
    terms: list[CodedTerm] = [getattr(spec.input, "body_part", None)]
    terms += [t for label in spec.output.labels for t in (label.code, label.category, label.modifier)]
    for term in filter(None, terms):
        known = {
            meaning
            for codes in dictionary.concepts[term.scheme].values()
            for code, (meaning, *_) in codes.items()
            if code == term.value
        }
        assert term.meaning in known, term


def test_the_hippocampus_segmenter_is_shipped() -> None:
    assert "hippocampus_segmenter" in SPECS

"""What a description says is checked before anything is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from imaging.errors import ConfigurationError
from training.cohort import CohortDescription, Split, load_description
from training.cohort.description import SubjectRule


@pytest.fixture
def written(tmp_path: Path, describe: Callable[..., CohortDescription]) -> Callable[..., Path]:
    def write(change: Callable[[dict[str, Any]], Any] = lambda values: None) -> Path:
        values = describe().model_dump(mode="json")
        change(values)
        path = tmp_path / "toy.yaml"
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        return path

    return write


def test_it_is_read(written: Callable[..., Path], describe: Callable[..., CohortDescription]) -> None:
    assert load_description(written()) == (describe(), {})


def source(values: dict[str, Any]) -> dict[str, Any]:
    return values["sources"][0]


MISTAKES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "unknown key": (lambda v: v.update(lables={}), "lables: unknown key"),
    "shares of more than 1": (
        lambda v: v["splits"]["shares"].update(test=0.5),
        "splits.shares: the shares add up to 1.3, not 1",
    ),
    "a share left out": (lambda v: v["splits"]["shares"].pop("gate"), "splits.shares: a share for gate is missing"),
    "a split of its own": (lambda v: v["splits"]["shares"].update(dev=0.0), "splits.shares"),
    "outside the data folder": (
        lambda v: source(v).update(folder="../x"),
        "folder: is no path below the data folder",
    ),
    "an absolute folder": (lambda v: source(v).update(folder="/x"), "folder: is no path below the data folder"),
    "a pattern that is none": (
        lambda v: source(v)["subject"].update(pattern="(?P<subject>"),
        "subject.pattern: is no regular expression",
    ),
    "a pattern without a subject": (
        lambda v: source(v)["subject"].update(pattern="case_([0-9]+)"),
        "subject.pattern: has no group named subject",
    ),
    "labels without classes": (lambda v: v.update(classes={}), "classes: label images need the values"),
    "a source twice": (lambda v: v.update(sources=v["sources"] * 2), "sources: two have the same name"),
    "an approval that ends first": (
        lambda v: v["approval"].update(until="2026-10-01"),
        "approval: until lies before given",
    ),
    "an approval by nobody": (lambda v: v["approval"].update(by=""), "approval.by: "),
    "an approval for nothing": (lambda v: v["approval"].update(uses=[]), "approval.uses: "),
    "another name than its file": (lambda v: v.update(name="toys"), "name: is 'toys', but the file is toy.yaml"),
    "no such layout": (lambda v: source(v).update(layout="png"), "sources.0"),
    "pins that aren't there": (lambda v: v["splits"].update(locked="pins.csv"), "pins.csv: No such file"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named(written: Callable[..., Path], mistake: str) -> None:
    change, words = MISTAKES[mistake]
    with pytest.raises(ConfigurationError) as caught:
        load_description(written(change))
    assert words in str(caught.value) and len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "pins"),
    [
        ("case,split\ncase_001,test\ncase_007,gate\n", {"case_001": Split.TEST, "case_007": Split.GATE}),
        ("case,split\ncase_001,tset\n", "line 2: case, then split: one of train, validation, gate, test"),
        ("case\ncase_001\n", "line 2: case, then split"),
        ("case,split\na,test\na,train\n", "line 3: a is pinned to two splits"),
    ],
)
def test_pins(written: Callable[..., Path], tmp_path: Path, text: str, pins: Any) -> None:
    (tmp_path / "pins.csv").write_text(text)
    path = written(lambda v: v["splits"].update(locked="pins.csv"))
    if isinstance(pins, dict):
        assert load_description(path)[1] == pins
    else:
        with pytest.raises(ConfigurationError, match=pins):
            load_description(path)


def test_whose_a_case_is() -> None:
    alone = SubjectRule(pattern="case_(?P<subject>[^_]*)(_.*)?")
    pairs = SubjectRule(pattern="case_(?P<subject>[^_]*)", consecutive=2)
    assert [alone.subject_of(c) for c in ("case_007", "case_x_2", "case_", "kase_1")] == ["007", "x", None, None]
    numbers = ("case_1", "case_002", "case_3", "case_394", "case_0", "case_x", "case_²")
    assert [pairs.subject_of(c) for c in numbers] == ["1", "1", "2", "197", None, None, None]

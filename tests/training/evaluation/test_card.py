"""The card: people's text stays, the figures are the report's and nobody else's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from imaging.errors import ConfigurationError
from inference.engine import OnnxEngine
from inference.session import EngineOptions
from models.publish import point, publish
from models.store import SHIPPED, ModelStore, ReleasedModel
from tests.training.evaluation.conftest import SPEC
from training.cases import of_folder
from training.evaluation.baseline import BASELINE, prior_baseline
from training.evaluation.card import BEGIN, END, SECTIONS, card_problems, figures_block, in_words, with_figures
from training.evaluation.evaluate import evaluate
from training.evaluation.kept import (
    CARD,
    EVALUATION,
    Kept,
    card_of,
    evaluation_folder,
    evaluation_of,
    keep_elsewhere,
    keep_evaluation,
    prior_of,
)
from training.evaluation.report import Baseline, CaseScores, Figure, Metric, Report, Subgroup
from training.places import Places

DICE = Metric(name="dice_front", title="Dice, front")
HD95 = Metric(name="hd95_front", title="HD95, front", unit="mm", higher_is_better=False)


def figure(value: float, **changes: Any) -> Figure:
    return Figure(
        **({"value": value, "low": value - 0.01, "high": value + 0.01, "cases": 2, "subjects": 2} | changes)
    )


@pytest.fixture
def report() -> Report:
    cases = (
        CaseScores(case="c1", subject="s1", scores={"dice_front": 0.9, "hd95_front": 1.0}),
        CaseScores(
            case="c2", subject="s2", scores={"dice_front": 0.0, "hd95_front": None}, failure="front not found"
        ),
    )
    return Report(
        model="toy",
        version="3",
        sha256="a" * 64,
        run="r1",
        data="test",
        cohort="b" * 64,
        files="c" * 64,
        resamples=200,
        metrics=(DICE, HD95),
        cases=cases,
        figures={"dice_front": figure(0.45), "hd95_front": figure(1.0, low=None, high=None, cases=1, subjects=1)},
        subgroups=(Subgroup(criterion="size", group="up to 5 mm³", subjects=1, figures={"dice_front": figure(0.9)}),),
        baseline=Baseline(name="nothing looked at", cases=cases, figures={"dice_front": figure(0.2)}),
        provider="CPUExecutionProvider",
        seconds_per_case=0.1,
        created=datetime(2026, 11, 24, tzinfo=UTC),
    )


def card(**changes: str) -> str:
    texts = dict.fromkeys(SECTIONS, "Said.") | {"Figures": f"Words.\n\n{BEGIN}\nNot yet.\n{END}\n\nMore words."}
    return "# Toy\n\n" + "\n\n".join(f"## {name}\n\n{text}" for name, text in (texts | changes).items()) + "\n"


def test_the_figures_block(report: Report) -> None:
    lines = figures_block(report).splitlines()
    assert (lines[0], lines[-1]) == (BEGIN, END)
    for line in (
        f"Version 3 (sha256 `{'a' * 64}`), locked test split of cohort `{'b' * 64}`: 2 cases, 2 subjects.",
        "| Dice, front | 0.450 (0.440–0.460) | 0.200 (0.190–0.210) |",
        "| HD95, front | 1.00 mm | – |",
        "Baseline: nothing looked at.",
        "| size: up to 5 mm³ | 1 | 0.900 (0.890–0.910) |",
        "Failed: 1.",
        "- c2: front not found",
        "`raysight evaluate toy --version 3`, 2026-11-24",
    ):
        assert line in lines


def test_exact_intervals_are_named(report: Report) -> None:
    few = DICE.model_copy(update={"interval": "share"})
    assert "Exact intervals" not in figures_block(report)
    lines = figures_block(report.model_copy(update={"metrics": (few, HD95)})).splitlines()
    assert "Exact intervals (shares by subject, counts as Poisson's): Dice, front." in lines


def test_only_the_block_is_written(report: Report) -> None:
    written = with_figures(card(), report)
    before, after = written.split(BEGIN)[0], written.split(END)[1]
    assert before == card().split(BEGIN)[0] and after == card().split(END)[1]
    assert "Not yet." not in written and figures_block(report) in written
    assert with_figures(written, report) == written


@pytest.mark.parametrize("text", ["# Toy\n", f"{BEGIN}\nno end", f"{BEGIN}\n{END}\n" * 2])
def test_a_card_without_one_block_is_refused(report: Report, text: str) -> None:
    with pytest.raises(ConfigurationError, match="the card of toy needs one block for figures"):
        with_figures(text, report)


def test_a_complete_card_has_no_problems(report: Report) -> None:
    assert card_problems(with_figures(card(), report), report) == ()


def test_what_is_incomplete_is_named(report: Report) -> None:
    whole = with_figures(card(), report)
    assert card_problems(whole.replace("## Limits", "## Limit"), report) == ("the section Limits is missing",)
    assert card_problems(with_figures(card(Licence="  "), report), report) == ("the section Licence is empty",)
    without = report.model_copy(update={"baseline": None})
    assert card_problems(with_figures(card(), without), without) == (
        "the evaluation has no baseline to stand beside",
    )
    stale = (
        "its figures aren't those of this version's evaluation: `raysight evaluate toy --version 3` writes them",
    )
    assert card_problems(card(), report) == stale
    assert card_problems(whole.replace("0.450", "0.950"), report) == stale
    other = report.model_copy(update={"sha256": "d" * 64})
    assert card_problems(whole, other) == stale


def test_numbers_for_people() -> None:
    assert in_words(figure(0.9), DICE) == "0.900 (0.890–0.910)"
    assert in_words(figure(1.234), HD95) == "1.23 mm (1.22–1.24)"
    assert in_words(None, DICE) == in_words(Figure(value=None, low=None, high=None, cases=0, subjects=0), DICE) == "–"


def test_the_shipped_card_is_complete_but_for_figures_that_belong_to_a_version(report: Report) -> None:
    text = (SHIPPED / "hippocampus_segmenter" / "card.md").read_text(encoding="utf-8")
    assert card_problems(with_figures(text, report), report) == ()


def test_what_is_kept_beside_a_version(
    write: Callable[..., Path], candidate: Callable[..., ReleasedModel], places: Places
) -> None:
    for number in (1, 2):
        folder = write(number)
    released, cases = candidate(), of_folder(folder)
    assert evaluation_of(released) is None and card_of(released) == "" and prior_of(released) is None
    prior_baseline(cases, SPEC).save(released.path.parent / BASELINE)
    found = evaluate(
        released,
        OnnxEngine(places.all_versions, EngineOptions(threads=1)),
        cases,
        data="test",
        prior=prior_of(released),
        resamples=200,
    )
    assert found.baseline is not None
    model = places.home / "models" / "toy"
    model.mkdir(parents=True)
    (model / CARD).write_text(card(), encoding="utf-8")
    written = keep_evaluation(places, released, found).written
    assert written == (released.path.parent / EVALUATION, released.path.parent / CARD)
    assert evaluation_of(released) == found and card_problems(card_of(released), found) == ()
    assert (model / CARD).read_text(encoding="utf-8") == card()

    candidates = ModelStore((places.candidates,))
    point(candidates, "toy", "champion", "1")
    written = keep_evaluation(places, released, found).written
    assert written[-1] == places.candidates / "toy" / CARD
    assert written[-1].read_text(encoding="utf-8") == card_of(released)
    assert places.store.versions("toy") == ()

    (released.path.parent / EVALUATION).write_text("{}")
    with pytest.raises(ConfigurationError, match=r"evaluation\.json"):
        evaluation_of(released)


def test_what_a_release_rests_on_is_written_once(
    write: Callable[..., Path], candidate: Callable[..., ReleasedModel], places: Places
) -> None:
    made, cases = candidate(), of_folder(write(1))
    home = ModelStore((places.home / "models",))
    released = publish(home, made.content(), made.provenance)
    (places.home / "models" / "toy" / CARD).write_text(card(), encoding="utf-8")
    engine = OnnxEngine(places.all_versions, EngineOptions(threads=1))
    first = evaluate(released, engine, cases, data="test", resamples=200)
    path = released.path.with_name(EVALUATION)
    assert keep_evaluation(places, released, first) == Kept((path, path.with_name(CARD)))
    before = path.read_bytes(), card_of(released)

    again = evaluate(released, engine, cases, data="test", resamples=200)
    assert keep_evaluation(places, released, again).written == ()  # so the folder may be read-only
    other = evaluate(released, engine, of_folder(write(2)), data="test", resamples=200)
    kept = keep_evaluation(places, released, other)
    assert "stays as it is" in kept.note and kept.written[0].is_relative_to(places.home / "evaluations")
    assert (path.read_bytes(), card_of(released)) == before

    (places.home / "models" / "toy" / CARD).write_text(card().replace("Said.", "Said better."), encoding="utf-8")
    assert keep_evaluation(places, released, again).written == (path.with_name(CARD),)
    assert "Said better." in card_of(released) and card_problems(card_of(released), first)[1:] == ()


def test_any_other_report_lies_in_a_folder_of_its_own(report: Report, places: Places) -> None:
    other = report.model_copy(update={"data": "folder"})
    path = keep_elsewhere(places, other)
    assert path == places.home / "evaluations" / "toy" / "3-folder-cccccccc" / "report.json"
    assert Report.model_validate_json(path.read_bytes()) == other
    assert evaluation_folder(places, "toy", None, "cv", "e" * 64).name == "folds-cv-eeeeeeee"

"""The synthetic test of the follow-up on a made-up chest, and how its figures are counted."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from imaging.errors import UsageError
from imaging.phantom import chest_phantom
from pipelines.lung_nodule.configuration import CandidateRules, LungNoduleConfiguration
from pipelines.lung_nodule.followup.change import follow
from pipelines.lung_nodule.followup.configuration import FollowUpRules, RegistrationRules
from pipelines.lung_nodule.guidelines.growth import Measured
from pipelines.lung_nodule.lungs import distance_inside
from training.evaluation.followup import DAYS, Case, Share, Sized, figures, judge
from training.evaluation.measuring import baseline_outline, known_outline
from training.insertion.blend import Seamless
from training.insertion.ground import Ground
from training.insertion.pairs import CtPair, Deformation, Look, make_pair
from training.insertion.piece import Piece

RULES = FollowUpRules(registration=RegistrationRules(grid_mm=4.0))
COARSE = CandidateRules(grid_mm=1.5, opening_radii_mm=(2.5, 5, 8))


@pytest.fixture(scope="module")
def configuration(repo_root: Path) -> LungNoduleConfiguration:
    text = (repo_root / "configs" / "pipelines" / "lung_nodule.yaml").read_text(encoding="utf-8")
    return LungNoduleConfiguration.model_validate(yaml.safe_load(text))


@pytest.fixture(scope="module")
def cts() -> CtPair:
    made = chest_phantom((2.5, 2.5, 2.5), [], noise_hu=5)
    depth = distance_inside(made.lungs > 0, 2.5).astype(np.float16)
    ground = Ground("made-up", made.hu, depth, np.zeros(made.hu.shape, np.uint8), (), made.geometry, 2.5)
    away = np.linalg.norm(np.indices((31, 31, 31)) - 15, axis=0)
    ball = Piece("ball", np.where(away <= 8, 40, -850).astype(np.int16), (away <= 8).astype(np.float32), (1.0,) * 3)
    chance = np.random.default_rng(4)
    return make_pair(
        ground,
        [(ball, 0.0), (ball, 1.0), (ball, 2.0)],
        Deformation.random(ground, chance, 8.0, 2.0),
        chance,
        blend=Seamless(),
        looks=(Look(2.5, 0.3), Look(2.5, 1.1)),
    )


@pytest.mark.parametrize("step", ["known", "baseline"])
def test_a_made_up_chest(step: str, cts: CtPair, configuration: LungNoduleConfiguration) -> None:
    measuring = known_outline if step == "known" else baseline_outline(COARSE)
    found = figures(judge(cts, measuring, configuration, RULES, np.random.default_rng(0)))
    assert found.measured == Share(3, 3)
    assert found.pairing == Share(3, 3)
    assert found.false_growth == Share(0, 1)
    assert found.change == Share(3, 3)
    assert found.grown[-1] == (2.0, Share(1, 1))
    assert found.off_mm is not None
    assert found.off_mm[0] < 4


def test_what_isnt_measured_is_counted_apart(cts: CtPair, configuration: LungNoduleConfiguration) -> None:
    first = cts.twins[0].then.centre

    def blind(ct, inserted):
        return lambda point: None if point == first else Sized(2000.0, 20.0, 15.0)

    cases = judge(cts, blind, configuration, RULES, np.random.default_rng(0))
    found = figures(cases)
    assert found.measured == Share(2, 3)
    assert found.pairing.of == 2
    assert cases[0].followed is None
    assert found.false_growth == Share(0, 0)
    # it holds every nodule for unchanged: it names no growth and no doubling time, and misses both changes
    assert found.doubling == Share(0, 0)
    assert found.change == Share(0, 2)


def case(growth: float, measured: float, error: float = 0.1) -> Case:
    before = Measured(10.0, 10.0, None, 500.0, 500.0 * error / math.sqrt(2), 1.0, "medium")
    now = replace(
        before, volume_mm3=500 * (1 + measured), volume_error_mm3=500 * (1 + measured) * error / math.sqrt(2)
    )
    return Case("made-up", "x", growth, True, 1.0, follow(before, now, DAYS))


def test_a_doubling_time_counts_where_its_interval_holds_the_true_one() -> None:
    assert case(1.0, 1.05).in_interval
    assert not case(0.5, 1.05).in_interval
    assert case(0.25, 0.05).in_interval is None  # none is stated
    assert not case(0.0, 0.5).in_interval  # what didn't grow never doubles


def test_a_change_counts_on_the_scale_of_its_error() -> None:
    assert case(0.10, 0.15).change_in_interval
    assert not case(0.50, 0.15).change_in_interval


def test_figures_count_by_growth() -> None:
    found = figures([case(0.0, 0.02), case(0.0, 0.3), case(0.5, 0.5), replace(case(0.5, 0.4), paired=False)])
    assert found.pairing == Share(3, 4)
    assert found.false_growth == Share(1, 2)
    assert found.grown == ((0.0, Share(1, 2)), (0.5, Share(2, 2)))


def test_a_share_has_its_exact_interval() -> None:
    # Clopper and Pearson for 9 of 10
    assert Share(9, 10).interval == pytest.approx((0.5550, 0.9975), abs=1e-4)
    assert str(Share(0, 0)) == "none of 0"
    with pytest.raises(UsageError):
        _ = Share(0, 0).value

"""Segmentation of one nodule: views, the loss, and that a network learns from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (the extra train)")
pytest.importorskip("monai", reason="torch is not installed (the extra train)")

from imaging.errors import ConfigurationError  # noqa: E402
from models.spec import ModelSpec, load_spec  # noqa: E402
from models.store import SHIPPED  # noqa: E402
from tests.training.insertion.test_insertion import ball, lung  # noqa: E402
from training.tasks.nodule_segmentation import NoduleSegmentationTask, no_overlap  # noqa: E402
from training.tasks.scenes import Source  # noqa: E402
from training.tasks.settings import NoduleSegmentationSettings, ViewSettings  # noqa: E402
from training.tasks.views import make_view  # noqa: E402

SIZE = (32, 32, 32)
STILL = ViewSettings(
    jitter_mm=0, jitter_share=0, scaling=0, thick_share=0, kernel_share=0, noise_share=0, shift_share=0
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    found = load_spec(SHIPPED / "lung_nodule_segmenter")
    return found.model_copy(update={"input": found.input.model_copy(update={"patch": SIZE})})


def source(radius: float = 4.0, step: float = 1.0) -> Source:
    piece = ball(radius, (step, 0.7, 0.7))
    return Source(piece, [piece], [lung()])


def task_of(spec: ModelSpec) -> NoduleSegmentationTask:
    return NoduleSegmentationTask(spec, NoduleSegmentationSettings(kind="nodule-segmentation", views=STILL))


def test_a_view_is_drawn_by_chance_alone() -> None:
    one, same, other = (make_view(source(), SIZE, 0.7, ViewSettings(), np.random.default_rng(n)) for n in (1, 1, 2))
    assert np.array_equal(one.hu, same.hu)
    assert not np.array_equal(one.hu, other.hu)
    assert one.hu.shape == one.share.shape == SIZE


@pytest.mark.parametrize("step", [1.0, 2.5])
def test_the_nodule_lies_in_the_middle_where_nothing_is_off(step: float) -> None:
    view = make_view(source(step=step), SIZE, 0.7, STILL, np.random.default_rng(0))
    centre = [np.average(g, weights=view.share) for g in np.indices(SIZE)]
    assert np.allclose(centre, 15.5, atol=0.3)
    assert view.share.sum() * 0.7**3 == pytest.approx(source(step=step).piece.share.sum() * step * 0.49, rel=0.03)
    assert view.hu[view.share > 0.9].mean() > -50
    assert view.hu[view.share == 0].mean() < -700


def test_points_are_off_by_as_much_as_is_asked_for_and_no_more() -> None:
    rules = STILL.model_copy(update={"jitter_mm": 3.0, "jitter_share": 0.2})
    away = []
    for n in range(30):
        share = make_view(source(), SIZE, 0.7, rules, np.random.default_rng(n)).share
        centre = np.array([np.average(g, weights=share) for g in np.indices(SIZE)])
        away.append(float(np.linalg.norm(centre - 15.5)) * 0.7)
    assert max(away) <= 3.0 + 0.2 * 4.0 + 0.3
    assert max(away) > 2.0


def test_large_nodules_are_seen_on_longer_voxels_too() -> None:
    def spacings(radius: float) -> list[float]:
        return [make_view(source(radius), SIZE, 0.7, STILL, np.random.default_rng(n)).spacing for n in range(16)]

    small, large = spacings(3.0), spacings(11.0)
    assert large.count(1.4) > 6 > small.count(1.4)
    assert set(small + large) == {0.7, 1.4}


def test_the_overlap_is_whole_where_the_answer_is_the_share() -> None:
    share = torch.rand(2, 1, 6, 6, 6, generator=torch.Generator().manual_seed(0))
    rounded = (share > 0.5).float()
    assert no_overlap(share, share) < no_overlap(rounded, share)
    assert no_overlap(rounded, rounded) < 0.02
    assert no_overlap(1 - rounded, rounded) > 0.98


def test_each_view_counts_alike_however_small_its_nodule() -> None:
    share = torch.zeros(2, 1, 12, 12, 12)
    share[0, :, :6] = 1
    share[1, :, 6, 4:8, 2:10] = 1
    small_missed, large_missed = share.clone(), share.clone()
    small_missed[1], large_missed[0] = 0, 0
    assert float(no_overlap(small_missed, share)) == pytest.approx(float(no_overlap(large_missed, share)), abs=0.03)


def test_it_learns(spec: ModelSpec) -> None:
    task, chance = task_of(spec), np.random.default_rng(0)
    network = task.network(1)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    batch = [task.sample(source(), chance) for _ in range(2)]
    stacked = {name: torch.stack([one[name] for one in batch]) for name in batch[0]}
    assert stacked["image"].shape == (2, 1, *SIZE)
    losses = []
    for _ in range(12):
        optimiser.zero_grad()
        loss = task.loss(network, stacked)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    found = task.validate(network.eval(), [source()])
    assert 0 <= found.score <= 1
    assert found.cases[0][:2] == (0, "ball")


def test_another_kind_of_model_is_refused(spec: ModelSpec) -> None:
    with pytest.raises(ConfigurationError, match="one map"):
        task_of(load_spec(SHIPPED / "lung_nodule_detector"))
    with pytest.raises(ConfigurationError, match="of cubes"):
        task_of(spec.model_copy(update={"input": spec.input.model_copy(update={"spacing_mm": (1.0, 0.7, 0.7)})}))


def test_a_box_without_a_place_is_shown_somewhere(spec: ModelSpec) -> None:
    piece = ball(4.0, (1.0, 0.7, 0.7))
    full = replace(lung(), truth=np.ones_like(lung().truth))
    view = make_view(Source(piece, [piece], [full]), SIZE, 0.7, STILL, np.random.default_rng(0))
    assert view.share.max() > 0.9

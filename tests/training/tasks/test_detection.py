"""Detection: scenes, the centre map, and that a network learns from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (the extra train)")
pytest.importorskip("monai", reason="torch is not installed (the extra train)")

from models.spec import ModelSpec, load_spec  # noqa: E402
from models.store import SHIPPED  # noqa: E402
from tests.training.insertion.test_insertion import ball, lung  # noqa: E402
from training.insertion.compose import Scene  # noqa: E402
from training.insertion.ground import Nodule  # noqa: E402
from training.tasks.detection import DetectionTask, average_precision, centre_map, focal  # noqa: E402
from training.tasks.scenes import Source, make_scene  # noqa: E402
from training.tasks.settings import DetectionSettings, SceneSettings  # noqa: E402

SIZE = (32, 32, 32)
MILLIMETRE = (1.0, 1.0, 1.0)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    return load_spec(SHIPPED / "lung_nodule_detector")


@pytest.fixture(scope="module")
def source() -> Source:
    pieces = [ball(r, MILLIMETRE) for r in (4, 5, 6)]
    return Source(pieces[0], pieces, [lung()])


def test_a_scene_is_drawn_by_chance_alone(source: Source) -> None:
    one, same, other = (make_scene(source, SIZE, SceneSettings(), np.random.default_rng(n)) for n in (1, 1, 2))
    assert np.array_equal(one.hu, same.hu)
    assert not np.array_equal(one.hu, other.hu)
    assert one.hu.shape == one.share.shape == SIZE


def test_scenes_hold_what_is_asked_for(source: Source) -> None:
    def count(**shares: float) -> int:
        rules = SceneSettings(**{"empty_share": 0, "company_share": 0, "sham_share": 0, **shares})  # type: ignore[arg-type]
        return sum(len(make_scene(source, SIZE, rules, np.random.default_rng(n)).nodules) for n in range(20))

    assert count(empty_share=1) == 0
    assert count(empty_share=1, sham_share=1) == 0
    assert 15 <= count() <= 20
    assert count(company_share=0.8) > 25


def test_the_centre_map_is_one_at_centres_and_falls_with_size() -> None:
    scene = Scene.of(lung(), (slice(0, 30),) * 3)
    scene.nodules += [
        Nodule("a", (10.0, 10.0, 10.0), 6.0, inserted=True),
        Nodule("b", (22.0, 22.0, 22.0), 18.0, inserted=True),
    ]
    found = centre_map(scene)
    assert found[10, 10, 10] == found[22, 22, 22] == 1
    assert found[10, 10, 13] < found[22, 22, 25]


def test_the_focal_loss_wants_centres_only_and_nothing_of_what_is_unknown() -> None:
    target = torch.zeros(1, 1, 8, 8, 8)
    target[..., 4, 4, 4] = 1
    known = torch.ones_like(target)
    right, wrong = 12 * target - 6, 6 - 12 * target
    assert focal(right, target, known) < 0.01 < 1 < focal(wrong, target, known)
    assert focal(wrong, target, torch.zeros_like(known)) == 0


def test_average_precision() -> None:
    assert average_precision([(0.9, True), (0.8, True)], 2) == 1
    assert average_precision([(0.9, False), (0.8, True)], 1) == 0.5
    assert average_precision([(0.9, True)], 2) == 0.5
    assert average_precision([], 3) == 0


@pytest.fixture
def task(spec: ModelSpec) -> Callable[[], DetectionTask]:
    rules = SceneSettings(thick_share=0, kernel_share=0, noise_share=0, shift_share=0)
    return lambda: DetectionTask(spec, DetectionSettings(kind="nodule-detection", crop=SIZE, scenes=rules))


def test_it_learns_to_mark_balls(task: Callable[[], DetectionTask], source: Source) -> None:
    learner = task()
    network = learner.network(1)
    optimiser = torch.optim.AdamW(network.parameters(), lr=5e-3)
    chance = np.random.default_rng(0)
    before = learner.validate(network.eval(), [source] * 8)
    for _ in range(60):
        batch = [learner.sample(source, chance) for _ in range(2)]
        loss = learner.loss(network.train(), {name: torch.stack([b[name] for b in batch]) for name in batch[0]})
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    found = learner.validate(network.eval(), [source] * 8)
    assert found.score > 0.8
    assert found.metrics["dice"] > max(0.6, before.metrics["dice"])


def test_a_sample_shows_what_is_unknown(task: Callable[[], DetectionTask], source: Source) -> None:
    ground = lung()
    ground.truth[:] = 2
    batch = task().sample(replace(source, grounds=[ground]), np.random.default_rng(0))
    assert batch["image"].shape == (1, *SIZE)
    assert batch["known"].sum() == 0

"""Patches of a slice and readers' rating: samples, weights, and that their networks learn and export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (the extra train)")
pytest.importorskip("monai", reason="torch is not installed (the extra train)")

from imaging.errors import ConfigurationError  # noqa: E402
from inference.session import EngineOptions, Session  # noqa: E402
from models.spec import ModelSpec, load_spec  # noqa: E402
from models.store import SHIPPED  # noqa: E402
from training.export.onnx_file import taken, to_onnx  # noqa: E402
from training.export.parity import check_parity  # noqa: E402
from training.lung_cases import Patch, Rated  # noqa: E402
from training.runs.configuration import TrainingConfiguration  # noqa: E402
from training.runs.learner import Learner  # noqa: E402
from training.tasks.build import build_task  # noqa: E402
from training.tasks.patches import PatchTask, turned  # noqa: E402
from training.tasks.rating import RatingTask, drawn  # noqa: E402
from training.tasks.settings import PatchSettings, RatingSettings  # noqa: E402

STILL = PatchSettings(
    kind="patch-classification", scaling=0, shift_pixels=0, contrast=0, brightness=0, noise=0, nodule_weight=2
)
RATING = RatingSettings(kind="readers-rating")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def spec_of(name: str) -> ModelSpec:
    return load_spec(SHIPPED / name)


def patch(number: int) -> Patch:
    """A bright disc in the middle, or a bright bar across."""
    y, x = np.indices((50, 50)) - 24.5
    nodule = number % 2 == 0
    bright = np.hypot(y, x) < 5 + number % 3 if nodule else np.abs(y) < 2 + number % 3
    noise = np.random.default_rng(number).normal(0, 30, (50, 50))
    return Patch(f"p{number}", f"s{number}", (np.where(bright, 40, -850) + noise).astype(np.float32), nodule)


def nodule(number: int) -> Rated:
    """A ball; the larger ones are suspicious."""
    radius = 3 + number % 7
    at = np.indices((21, 41, 41)) - np.array([10, 20, 20]).reshape(3, 1, 1, 1)
    mask = np.linalg.norm(at, axis=0) <= radius
    hu = np.where(mask, 30, -850) + np.random.default_rng(number).normal(0, 20, mask.shape)
    return Rated(
        case=f"n{number}",
        subject=f"s{number}",
        suspicious=radius > 6,
        diameter=2.0 * radius,
        hu=hu.astype(np.int16),
        outlines=lambda: (mask, at[0] ** 2 + at[1] ** 2 + at[2] ** 2 <= (radius - 1) ** 2),
        spacing=(1.0, 1.0, 1.0),
        traits=45,
        digests=("0" * 64,),
    )


def learn(task: Any, items: list[Any], steps: int, rate: float) -> Any:
    network, chance = task.network(1), np.random.default_rng(0)
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate)
    for step in range(steps):
        batch = [task.sample(items[(step * 8 + n) % len(items)], chance) for n in range(8)]
        loss = task.loss(network.train(), {name: torch.stack([b[name] for b in batch]) for name in batch[0]})
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


def test_patches_are_told_apart(tmp_path: Path) -> None:
    task, items = (
        PatchTask(spec_of("lung_nodule_candidate_classifier"), PatchSettings(kind="patch-classification")),
        [patch(n) for n in range(24)],
    )
    network = learn(task, items, 40, 3e-3)
    found = task.validate(network, items)
    assert found.score > 0.95 and [case[1] for case in found.cases] == [item.case for item in items]
    task.draw(network, items[0], tmp_path / "one.png", "best: p0")
    assert (tmp_path / "one.png").stat().st_size > 500


def test_how_a_patch_lies_decides_nothing() -> None:
    task = PatchTask(spec_of("lung_nodule_candidate_classifier"), STILL)
    network, image = task.network(2).eval(), torch.rand(1, 1, 48, 48)
    with torch.inference_mode():
        there = [network(torch.rot90(image, k, (2, 3))).item() for k in range(4)] + [network(image.flip(3)).item()]
    assert there == pytest.approx([there[0]] * 5, abs=1e-5)


def test_a_patch_is_turned_about_its_middle() -> None:
    image = torch.from_numpy(patch(0).hu[None])
    seen = turned(image, (48, 48), STILL, np.random.default_rng(0))
    assert seen.shape == (1, 48, 48)
    assert seen[0, 22:26, 22:26].mean() > -50 > seen[0, :8].mean()


def test_a_nodule_weighs_more_in_the_loss() -> None:
    task = PatchTask(spec_of("lung_nodule_candidate_classifier"), STILL)
    batch = {"image": torch.zeros(1, 1, 48, 48)}
    constant = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48 * 48, 1))
    torch.nn.init.zeros_(constant[1].bias)
    yes, no = (task.loss(constant, {**batch, "nodule": torch.tensor([[v]])}).item() for v in (1.0, 0.0))
    assert yes == pytest.approx(2 * no)


def test_ratings_are_learnt_and_the_members_differ() -> None:
    task, items = RatingTask(spec_of("lung_nodule_suspicion"), RATING), [nodule(n) for n in range(40)]
    network = learn(task, items, 60, 1e-2)
    found = task.validate(network, items)
    assert found.score > 0.95 and found.metrics["log_loss"] < 0.6
    scores = task._answers(network, items[:1])
    assert scores.shape == (1, 50) and scores.std() > 0.01


def test_a_subject_is_drawn_alike_whoever_else_there_is() -> None:
    assert np.array_equal(drawn("a", 50), drawn("a", 50)) and not np.array_equal(drawn("a", 50), drawn("b", 50))
    assert np.mean([drawn(f"s{n}", 50) for n in range(200)]) == pytest.approx(1, abs=0.05)
    task, item = RatingTask(spec_of("lung_nodule_suspicion"), RATING), nodule(4)
    batch = task.sample(item, np.random.default_rng(0))
    assert np.array_equal(batch["weight"].numpy(), drawn(item.subject, 50))


def test_whom_a_member_did_not_draw_it_does_not_learn_from() -> None:
    task = RatingTask(spec_of("lung_nodule_suspicion"), RATING)
    network = task.network(0)
    batch = {
        name: torch.stack([value] * 2) for name, value in task.sample(nodule(1), np.random.default_rng(0)).items()
    }
    batch["weight"] = torch.zeros_like(batch["weight"])
    batch["weight"][:, 3] = 1
    task.loss(network, batch).backward()
    moved = network.inward.grad.abs().sum(dim=(1, 2)) > 0
    assert moved.nonzero().ravel().tolist() == [3]


@pytest.mark.parametrize(
    "name", ["lung_nodule_candidate_classifier", "lung_nodule_suspicion", "lung_nodule_slice_suspicion"]
)
def test_the_exported_file_computes_the_same(name: str, tmp_path: Path) -> None:
    spec = spec_of(name)
    settings = (
        STILL
        if spec.task == "classification"
        else RATING.model_copy(update={"source": "exams" if "slice" in name else "boxes"})
    )
    task = PatchTask(spec, settings) if isinstance(settings, PatchSettings) else RatingTask(spec, settings)
    network = task.network(3).eval()
    content = to_onnx(network, spec)
    (tmp_path / "model.onnx").write_bytes(content)
    chance = np.random.default_rng(0)
    inputs = [chance.random(taken(spec)[1], np.float32) for _ in range(3)]
    assert check_parity(tmp_path / "model.onnx", network, inputs, spec).passed
    Session(content, EngineOptions()).check(spec)


def test_a_description_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no second look"):
        PatchTask(spec_of("lung_nodule_suspicion"), STILL)
    with pytest.raises(ConfigurationError, match="no model of readers' rating"):
        RatingTask(spec_of("lung_nodule_slice_suspicion"), RATING)


def test_the_loop_takes_networks_on_slices_and_on_rows() -> None:
    """Weights of two, three or no axes of space go into the fast order each has, and a step moves them."""
    common = {"cohort": "toy", "epochs": 1, "batch_size": 2, "optimiser": {"learning_rate": 0.01}, "average": 0.9}
    for name, settings, item in (
        ("lung_nodule_candidate_classifier", STILL, patch(0)),
        ("lung_nodule_suspicion", RATING, nodule(0)),
    ):
        rules = TrainingConfiguration.model_validate({**common, "task": settings.model_dump()})
        task = build_task(spec_of(name), rules)
        learner = Learner(task, task.network(0), rules, torch.device("cpu"))
        samples = [task.sample(item, np.random.default_rng(n)) for n in range(2)]
        before = [weight.clone() for weight in learner.judged.parameters()]
        learner.step({key: torch.stack([s[key] for s in samples]) for key in samples[0]}, 0.0, 0)
        assert any(not torch.equal(a, b) for a, b in zip(before, learner.judged.parameters(), strict=True))

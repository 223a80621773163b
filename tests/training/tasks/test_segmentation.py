"""Patches, labels that move with them, the loss, and whole cases as serving would answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (the extra train)")
pytest.importorskip("monai", reason="torch is not installed (the extra train)")

from scipy import ndimage  # noqa: E402

from imaging.errors import ConfigurationError  # noqa: E402
from imaging.geometry import Geometry  # noqa: E402
from models.spec import ModelSpec, load_spec  # noqa: E402
from models.store import SHIPPED  # noqa: E402
from models.transforms import prepare  # noqa: E402
from training.cases import LabelledVolume  # noqa: E402
from training.evaluation.metrics import dice  # noqa: E402
from training.tasks.augmentation import alter_intensity, cut, mirror, random_turn  # noqa: E402
from training.tasks.segmentation import Case, SegmentationTask  # noqa: E402
from training.tasks.settings import Augmentation, SegmentationSettings  # noqa: E402

PATCH = (16, 16, 8)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    shipped = load_spec(SHIPPED / "hippocampus_segmenter")
    return shipped.model_copy(update={"input": shipped.input.model_copy(update={"patch": PATCH})})


def task(spec: ModelSpec, foreground: float = 0.5, **augmentation: Any) -> SegmentationTask:
    rules = Augmentation.model_validate(augmentation)
    settings = SegmentationSettings(kind="segmentation", foreground_share=foreground, augmentation=rules)
    return SegmentationTask(spec, settings)


def case(spec: ModelSpec, shape: tuple[int, int, int] = (22, 14, 13), smooth: float = 2) -> Case:
    """What is brightest is anterior, what is bright posterior."""
    array = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=shape), smooth) * 1000
    labels = np.choose(np.digitize(array, np.percentile(array, [70, 85])), [0, 2, 1]).astype(np.uint8)
    geometry = Geometry(shape, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)))
    volume = LabelledVolume("case_0", "0", array.astype(np.float32), labels, geometry)
    prepared = prepare(volume.array, geometry, spec.input)
    return Case(volume, prepared, prepared.grid.to_network(labels, labels=True))


def test_a_cut_without_a_turn_is_a_slice() -> None:
    stack = torch.rand(2, 9, 11, 13)
    found = cut(stack, (4, 6, 5), np.array([3.5, 4.5, 8.0]), np.eye(3))
    assert torch.allclose(found, stack[:, 2:6, 2:8, 6:11], atol=1e-5)


def test_outside_there_is_nothing() -> None:
    found = cut(torch.ones(1, 4, 4, 4), (8, 4, 4), np.array([1.5, 1.5, 1.5]), np.eye(3))
    assert torch.allclose(found[0, :, 2, 2], torch.tensor([0.0, 0, 1, 1, 1, 1, 0, 0]), atol=1e-5)


def test_a_turned_cut_is_scipys() -> None:
    image = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(20, 22, 24)), 1.5)
    rules = Augmentation(rotation_degrees=40, scaling=0.3)
    turn = random_turn(rules, (2.0, 1.0, 0.5), np.random.default_rng(2))
    middle, patch = np.array([9.0, 11.5, 12.0]), (8, 10, 6)
    offset = middle - turn @ (np.asarray(patch) - 1) / 2
    expected = ndimage.affine_transform(image, turn, offset, patch, order=1, mode="constant")
    found = cut(torch.from_numpy(image.astype(np.float32))[None], patch, middle, turn)[0].numpy()
    inside = ndimage.affine_transform(np.ones(image.shape), turn, offset, patch, order=1, mode="constant") > 0.999
    assert inside.mean() > 0.8
    assert np.abs(found - expected)[inside].max() < 1e-4


def test_a_turn_keeps_lengths_in_mm() -> None:
    spacing = np.array([3.0, 1.0, 0.5])
    rules = Augmentation(rotation_degrees=90)
    turn = random_turn(rules, (3.0, 1.0, 0.5), np.random.default_rng(3))
    in_mm = spacing[:, None] * turn / spacing[None, :]
    assert np.allclose(in_mm @ in_mm.T, np.eye(3)) and np.linalg.det(in_mm) == pytest.approx(1)


def test_mirrored_is_the_patient_axis_that_was_named_only() -> None:
    sample, rules = torch.rand(2, 3, 4, 5), Augmentation(mirror=("RL",))
    found = [mirror(sample, rules, "SPL", np.random.default_rng(n)) for n in range(20)]
    turned = [torch.equal(one, sample.flip(3)) for one in found]
    assert all(t or torch.equal(one, sample) for t, one in zip(turned, found, strict=True))
    assert 3 < sum(turned) < 17
    other = [mirror(sample, rules, "LPS", np.random.default_rng(n)) for n in range(20)]
    assert any(torch.equal(one, sample.flip(1)) for one in other)


def test_intensity_changes_on_its_share_and_gamma_keeps_mean_and_deviation() -> None:
    image = torch.randn(1, 8, 8, 8)
    still = Augmentation(contrast=0.5, brightness=1, gamma=0.5, noise=1)
    assert torch.equal(alter_intensity(image, still, np.random.default_rng(0)), image)
    changed = alter_intensity(image, Augmentation(intensity_share=1, gamma=0.5), np.random.default_rng(0))
    assert not torch.allclose(changed, image)
    assert changed.mean().item() == pytest.approx(image.mean().item(), abs=1e-4)
    assert changed.std().item() == pytest.approx(image.std().item(), abs=1e-4)
    flat = torch.full((1, 4, 4, 4), 2.0)
    assert torch.equal(
        alter_intensity(flat, Augmentation(intensity_share=1, gamma=0.5), np.random.default_rng(0)), flat
    )


def test_a_sample_without_augmentation_is_what_serving_sees(spec: ModelSpec) -> None:
    one = case(spec, shape=(12, 14, 7))
    sample = task(spec).sample(one, np.random.default_rng(0))
    assert torch.allclose(sample["image"], torch.from_numpy(one.prepared.image), atol=1e-3)
    assert np.array_equal(sample["labels"][0].numpy(), one.labels)
    assert sample["image"].shape == (1, *PATCH) and sample["labels"].dtype == torch.uint8


def test_labels_move_with_the_image(spec: ModelSpec) -> None:
    """A network that reads labels off the grey values still does after any augmentation of space."""
    one = case(spec, smooth=5)
    learner = task(spec, mirror=["RL"], spatial_share=1, rotation_degrees=30, scaling=0.2, shift_mm=3)
    anterior = one.prepared.image[0][one.labels == 1].min()
    for number in range(10):
        sample = learner.sample(one, np.random.default_rng(number))
        bright = (sample["image"][0] >= float(anterior)).numpy()
        # interpolated grey values and interpolated labels part at the surface only
        assert dice(bright, sample["labels"][0].numpy() == 1) > 0.8


def test_padding_stays_what_serving_pads_with(spec: ModelSpec) -> None:
    one = case(spec, shape=(8, 9, 8))
    learner = task(spec, intensity_share=1, brightness=5, noise=2)
    image = learner.sample(one, np.random.default_rng(1))["image"][0]
    assert torch.all(image[:4] == 0) and torch.all(image[-4:] == 0) and torch.all(image[6:10, 6:10] != 0)


def test_the_same_chance_gives_the_same_sample(spec: ModelSpec) -> None:
    one, learner = case(spec), task(spec, spatial_share=1, rotation_degrees=30, intensity_share=1, noise=1)
    first, second, third = (learner.sample(one, np.random.default_rng(n)) for n in (1, 1, 2))
    assert torch.equal(first["image"], second["image"]) and torch.equal(first["labels"], second["labels"])
    assert not torch.equal(first["image"], third["image"])


def test_patches_look_for_the_foreground(spec: ModelSpec) -> None:
    """One labelled voxel in a corner of a larger case: with it wanted, every patch holds it."""
    one = case(spec, shape=(40, 40, 20))
    one.labels[:] = 0
    one.labels[38, 1, 18] = 1

    def hits(share: float) -> int:
        samples = [task(spec, foreground=share).sample(one, np.random.default_rng(n)) for n in range(20)]
        return sum(bool(s["labels"].any()) for s in samples)

    assert hits(1.0) == 20 and hits(0.0) < 15


def test_the_loss_is_least_for_the_truth(spec: ModelSpec) -> None:
    labels = torch.randint(0, 3, (2, 1, 4, 4, 4), dtype=torch.uint8)
    right = torch.nn.functional.one_hot(labels[:, 0].long(), 3).movedim(-1, 1).float() * 20
    losses = [
        float(task(spec).loss(lambda _image, s=scores: s, {"image": torch.zeros(1), "labels": labels}))
        for scores in (right, torch.zeros_like(right), -right)
    ]
    assert losses[0] < 1e-3 < losses[1] < losses[2]
    # at equal odds: cross entropy ln 3, and Dice of one third everywhere
    shares = [float((labels == value).float().mean()) for value in (1, 2)]
    soft = 1 - np.mean([2 / 3 * share / (1 / 3 + share) for share in shares])
    assert losses[1] == pytest.approx(np.log(3) + soft, abs=1e-4)


def test_whole_cases_are_judged_on_their_own_grid(spec: ModelSpec) -> None:
    class Truth(torch.nn.Module):
        """Scores that follow from the grey values as the labels of `case` do."""

        def __init__(self, low: float, high: float) -> None:
            super().__init__()
            self.cuts = torch.nn.Parameter(torch.tensor([low, high]))

        def forward(self, image: Any) -> Any:
            low, high = self.cuts
            anterior, posterior = image >= high, (image >= low) & (image < high)
            return 20 * torch.cat([image < low, anterior, posterior], dim=1).float()

    one = case(spec)
    grey = one.prepared.image[0]
    perfect = Truth(float(grey[one.labels == 2].min()), float(grey[one.labels == 1].min()))
    learner = SegmentationTask(
        spec.model_copy(update={"post_processing": type(spec.post_processing)()}),
        SegmentationSettings(kind="segmentation"),
    )
    assert np.array_equal(learner.predict(perfect, one), one.volume.labels)
    found = learner.validate(perfect, [one, one])
    assert found.score == 1 and found.metrics == {"dice": 1, "dice_anterior": 1, "dice_posterior": 1}
    assert found.cases == [(0, "case_0", 1.0), (1, "case_0", 1.0)]
    blind = learner.validate(Truth(100.0, 200.0), [one])
    assert blind.score == 0


def test_what_is_no_segmentation_of_volumes_is_refused(spec: ModelSpec) -> None:
    with pytest.raises(ConfigurationError, match="takes a volume and gives labels"):
        task(spec.model_copy(update={"task": "detection"}))


def test_a_network_that_isnt_there_or_doesnt_fit_is_told(spec: ModelSpec) -> None:
    with pytest.raises(ConfigurationError, match=r"no models/nobody/network\.py"):
        task(spec.model_copy(update={"name": "nobody"})).network(0)
    odd = spec.model_copy(update={"input": spec.input.model_copy(update={"patch": (10, 16, 8)})})
    with pytest.raises(ConfigurationError, match="divide by 8"):
        task(odd).network(0)

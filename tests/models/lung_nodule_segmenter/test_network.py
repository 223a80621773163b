"""The segmenter's network."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (the extra train)")

from models.lung_nodule_segmenter.network import build  # noqa: E402
from models.spec import load_spec  # noqa: E402
from models.store import SHIPPED  # noqa: E402

SPEC = load_spec(SHIPPED / "lung_nodule_segmenter")


def test_it_answers_for_every_voxel_and_at_first_that_there_is_none() -> None:
    network = build(SPEC).eval()
    with torch.inference_mode():
        scores = network(torch.rand(1, 1, *SPEC.input.patch))
    assert scores.shape == (1, SPEC.output.channels, *SPEC.input.patch)
    assert float(torch.sigmoid(scores).mean()) < 0.3


def test_the_same_seed_gives_the_same_weights() -> None:
    one, same, other = (build(SPEC, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_a_patch_that_doesnt_halve_is_refused() -> None:
    odd = SPEC.model_copy(update={"input": SPEC.input.model_copy(update={"patch": (48, 48, 44)})})
    with pytest.raises(ValueError, match="divide by 8"):
        build(odd)

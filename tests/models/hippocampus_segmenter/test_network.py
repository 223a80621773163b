"""The network's shape, its reproducible start, and its way into ONNX."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import onnxruntime
import pytest

from models.spec import ModelSpec, load_spec
from models.store import SHIPPED

torch = pytest.importorskip("torch", reason="torch is not installed (the extra train)")
pytest.importorskip("onnxscript", reason="torch is not installed (the extra train)")

from models.hippocampus_segmenter.network import build  # noqa: E402


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    """The shipped description, with a patch that is quick on any machine."""
    shipped = load_spec(SHIPPED / "hippocampus_segmenter")
    return shipped.model_copy(update={"input": shipped.input.model_copy(update={"patch": (16, 24, 8)})})


def weights(network: Any) -> Any:
    return torch.cat([p.detach().ravel() for p in network.parameters()])


def test_the_same_seed_gives_the_same_weights_and_leaves_the_worlds_chance_alone(spec: ModelSpec) -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = weights(build(spec, seed=1))
    torch.rand(7)
    assert torch.equal(first, weights(build(spec, seed=1)))
    assert not torch.equal(first, weights(build(spec, seed=2)))
    torch.manual_seed(5)
    build(spec, seed=3)
    assert torch.equal(torch.get_rng_state(), state)


def test_scores_stand_for_every_voxel_and_the_start_favours_nobody(spec: ModelSpec) -> None:
    network = build(spec).eval()
    with torch.inference_mode():
        scores = network(torch.from_numpy(np.random.default_rng(0).normal(size=(2, 1, 16, 24, 8)).astype(np.float32)))
    assert scores.shape == (2, 3, 16, 24, 8)
    odds = torch.softmax(scores, dim=1).mean(dim=(0, 2, 3, 4))
    assert torch.all((odds > 0.2) & (odds < 0.5))


def test_it_learns_to_copy_a_threshold(spec: ModelSpec) -> None:
    torch.manual_seed(0)
    image = torch.randn(1, 1, 16, 24, 8)
    truth = (image[:, 0] > 0).long()
    network = build(spec).train()
    steps = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(15):
        steps.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(image), truth)
        loss.backward()
        steps.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("patch", [(16, 24, 12), (4, 8, 8)])
def test_a_patch_that_does_not_halve_is_refused(spec: ModelSpec, patch: tuple[int, int, int]) -> None:
    wrong = spec.model_copy(update={"input": spec.input.model_copy(update={"patch": patch})})
    with pytest.raises(ValueError, match="divide by 8"):
        build(wrong)


@pytest.mark.filterwarnings("ignore")  # the exporter's own, by the dozen
def test_exported_it_gives_the_same_scores_within_the_size_that_may_be_released(spec: ModelSpec) -> None:
    network = build(spec).eval()
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 1, 16, 24, 8)).astype(np.float32))
    program = torch.onnx.export(
        network, (image,), input_names=["image"], output_names=["scores"], dynamo=True, verbose=False
    )
    file = io.BytesIO()
    program.save(file)
    assert file.tell() < 8e6
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    assert [entry.shape for entry in session.get_inputs()] == [[1, 1, 16, 24, 8]]
    (scores,) = session.run(["scores"], {"image": image.numpy()})
    with torch.inference_mode():
        expected = network(image).numpy()
    assert np.abs(scores - expected).max() < 1e-4

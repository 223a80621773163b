"""Networks rewritten for the CPU's kernels: the same answers, and none rewritten that isn't understood."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

import inference.slices
from inference.onnx_runtime import OnnxRuntime
from inference.session import EngineOptions
from inference.slices import slices_as_batch
from tests.inference.toys import by_itself, network, small_unet, spread

SIZE = (6, 8, 10)


def drawn(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def both(content: bytes, image: Any) -> tuple[Any, Any]:
    """Scores of the file as it is, and rewritten."""
    rewritten = slices_as_batch(content)
    assert rewritten != content
    expected, found = (
        OnnxRuntime(c, threads=1, spinning=False).run({"image": image})["scores"] for c in (content, rewritten)
    )
    assert found.shape == expected.shape
    return expected, found


def test_a_segmenters_network_answers_alike() -> None:
    content = small_unet(SIZE)
    expected, found = both(content, drawn(1, 1, *SIZE))
    assert expected.std() > 0.3 and np.abs(found - expected).max() < 1e-5
    kernels = [
        list(attribute.ints)
        for node in onnx.load_from_string(slices_as_batch(content)).graph.node
        for attribute in node.attribute
        if node.op_type == "Conv" and attribute.name in ("strides", "kernel_shape")
    ]
    assert kernels and all(len(kernel) == 2 for kernel in kernels)


@given(
    kernel=st.tuples(*[st.integers(1, 4)] * 3),
    strides=st.tuples(*[st.integers(1, 3)] * 3),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_any_convolution(kernel: tuple[int, ...], strides: tuple[int, ...], data: st.DataObject) -> None:
    pads = [data.draw(st.integers(0, k - 1)) for k in kernel]
    out = [(n + 2 * p - k) // s + 1 for n, p, k, s in zip(SIZE, pads, kernel, strides, strict=True)]
    weights = {"w": drawn(3, 2, *kernel)} | ({"b": drawn(3)} if data.draw(st.booleans()) else {})
    node = helper.make_node("Conv", ["image", *weights], ["scores"], pads=pads * 2, strides=strides)
    expected, found = both(network([node], [1, 2, *SIZE], [1, 3, *out], weights), drawn(1, 2, *SIZE))
    assert np.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("kernel", [(2, 2, 2), (1, 2, 2), (3, 1, 2)])
@pytest.mark.parametrize("bias", [False, True])
def test_a_transposed_convolution(kernel: tuple[int, ...], bias: bool) -> None:
    out = np.multiply(SIZE, kernel).tolist()
    weights = {"w": drawn(2, 3, *kernel)} | ({"b": drawn(3)} if bias else {})
    node = helper.make_node("ConvTranspose", ["image", *weights], ["scores"], strides=kernel)
    expected, found = both(network([node], [1, 2, *SIZE], [1, 3, *out], weights), drawn(1, 2, *SIZE))
    assert np.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("middle", [0.0, 1e3])
def test_normalisation_of_a_small_spread_about_a_large_mean(middle: float) -> None:
    """In float64, by its definition; a constant channel gives the shift, never what is no number."""
    image = middle + drawn(1, 2, *SIZE)
    image[0, 1] = middle
    scale, shift = drawn(2), drawn(2) + 2
    node = helper.make_node("InstanceNormalization", ["image", "scale", "shift"], ["scores"], epsilon=1e-5)
    _, found = both(network([node], [1, 2, *SIZE], [1, 2, *SIZE], {"scale": scale, "shift": shift}), image)
    exact = image[0, 0].astype(np.float64)
    exact = (exact - exact.mean()) / np.sqrt(exact.var() + 1e-5) * scale[0] + shift[0]
    assert np.allclose(found[0, 0], exact, atol=1e-3) and np.allclose(found[0, 1], shift[1], atol=1e-3)


def conv(takes: list[int | str], gives: list[int | str], weights: Any = None, **attributes: Any) -> bytes:
    weights = drawn(3, 2, 3, 3, 3) if weights is None else weights
    attributes = {"pads": [1] * 6} | attributes
    return network([helper.make_node("Conv", ["image", "w"], ["scores"], **attributes)], takes, gives, {"w": weights})


OPTIONS = EngineOptions(threads=1)


def runs_as_it_is(content: bytes) -> bool:
    backend, image = OPTIONS.make(content), drawn(1, 1, *SIZE)
    expected = OnnxRuntime(content, threads=1).run({"image": image})["scores"]
    return backend.provider == "CPUExecutionProvider" and np.array_equal(
        backend.run({"image": image})["scores"], expected
    )


def test_the_provider_says_which_graph_runs() -> None:
    assert OPTIONS.make(small_unet(SIZE)).provider == "CPUExecutionProvider, slices as the batch"
    assert runs_as_it_is(by_itself(SIZE))


def test_a_rewritten_graph_that_is_refused_runs_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference.slices, "slices_as_batch", lambda _: b"nothing that can be loaded")
    assert runs_as_it_is(small_unet(SIZE))


def test_a_rewriting_that_stumbles_leaves_the_graph_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stumble(_: Any) -> None:
        raise IndexError("a defect")

    monkeypatch.setattr(inference.slices._Rewriting, "result", stumble)
    assert runs_as_it_is(small_unet(SIZE))
    assert "its rewriting for the CPU failed" in capsys.readouterr().out


def test_without_onnx_the_cpu_runs_graphs_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "inference.slices")
    monkeypatch.setitem(sys.modules, "onnx", None)
    OPTIONS.check()
    assert runs_as_it_is(small_unet(SIZE))


KEPT = {
    "no model": b"nothing",
    "an operator that isn't known": by_itself(SIZE),
    "factors beside an image": spread(SIZE),
    "several images at once": conv([2, 2, *SIZE], [2, 3, *SIZE]),
    "a batch left open": conv(["n", 2, *SIZE], ["n", 3, *SIZE]),
    "an image of rows and columns": conv([1, 2, 8, 10], [1, 3, 8, 10], drawn(3, 2, 3, 3), pads=[1] * 4),
    "channels in groups": conv([1, 2, *SIZE], [1, 4, *SIZE], drawn(4, 1, 3, 3, 3), group=2),
    "holes in the kernel": conv([1, 2, *SIZE], [1, 3, *SIZE], dilations=[2] * 3, pads=[2] * 6),
    "more slices before than behind": conv([1, 2, *SIZE], [1, 3, *SIZE], pads=[2, 1, 1, 0, 1, 1]),
    "a kernel that is computed": network(
        [helper.make_node("Relu", ["w"], ["v"]), helper.make_node("Conv", ["image", "v"], ["scores"], pads=[1] * 6)],
        [1, 2, *SIZE],
        [1, 3, *SIZE],
        {"w": drawn(3, 2, 3, 3, 3)},
    ),
    "channels joined along slices": network(
        [helper.make_node("Concat", ["image", "image"], ["scores"], axis=2)], [1, 2, *SIZE], [1, 2, 12, 8, 10], {}
    ),
}


@pytest.mark.parametrize("kept", KEPT)
def test_what_is_not_understood_stays_as_it_is(kept: str) -> None:
    assert slices_as_batch(KEPT[kept]) is KEPT[kept]

"""Small networks whose answers are known, written as ONNX files."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.spec import ModelSpec

TERM = {"value": "5366008", "scheme": "SCT", "meaning": "Hippocampus"}


def network(nodes: list[Any], takes: list[int | str], gives: list[int | str], weights: dict[str, Any]) -> bytes:
    """A model from ``image`` to ``scores``."""
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, takes)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, gives)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def spread(patch: tuple[int, ...], factors: tuple[float, ...] = (1.0, 2.0, 3.0), batch: int = 1) -> bytes:
    """Channel k of the scores is the one channel of the image times ``factors[k]``."""
    shape = (1, len(factors), *[1] * len(patch))
    weights = {"factors": np.asarray(factors, np.float32).reshape(shape)}
    node = helper.make_node("Mul", ["image", "factors"], ["scores"])
    return network([node], [batch, 1, *patch], [batch, len(factors), *patch], weights)


def convolution(patch: tuple[int, ...], seed: int = 0) -> bytes:
    """A 3³ convolution without padding's help at the patch's edge: what a patch says depends on where it lies."""
    weights = {"w": np.random.default_rng(seed).normal(size=(3, 1, *[3] * len(patch))).astype(np.float32)}
    node = helper.make_node("Conv", ["image", "w"], ["scores"], pads=[1] * 2 * len(patch))
    return network([node], [1, 1, *patch], [1, 3, *patch], weights)


def small_unet(patch: tuple[int, int, int], seed: int = 0) -> bytes:
    """Every operator of the segmenters: down once and up again, with a short cut; three channels of scores."""
    rng = np.random.default_rng(seed)

    def drawn(*shape: int) -> Any:
        return (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    weights = {
        "first": drawn(8, 1, 3, 3, 3),
        "down": drawn(16, 8, 3, 3, 3),
        "up": drawn(16, 8, 2, 2, 2),
        "merge": drawn(8, 16, 3, 3, 3),
        "head": drawn(3, 8, 1, 1, 1),
        "scale_8": 1 + drawn(8),
        "shift_8": drawn(8),
        "scale_16": 1 + drawn(16),
        "shift_16": drawn(16),
    }
    nodes = [
        helper.make_node("Conv", ["image", "first"], ["a"], pads=[1] * 6),
        helper.make_node("InstanceNormalization", ["a", "scale_8", "shift_8"], ["b"]),
        helper.make_node("LeakyRelu", ["b"], ["c"], alpha=0.01),
        helper.make_node("Conv", ["c", "down"], ["d"], pads=[1] * 6, strides=[2] * 3),
        helper.make_node("InstanceNormalization", ["d", "scale_16", "shift_16"], ["e"]),
        helper.make_node("LeakyRelu", ["e"], ["f"], alpha=0.01),
        helper.make_node("ConvTranspose", ["f", "up"], ["g"], strides=[2] * 3),
        helper.make_node("Concat", ["g", "c"], ["h"], axis=1),
        helper.make_node("Conv", ["h", "merge"], ["i"], pads=[1] * 6),
        helper.make_node("Add", ["i", "c"], ["j"]),
        helper.make_node("LeakyRelu", ["j"], ["k"], alpha=0.01),
        helper.make_node("Conv", ["k", "head"], ["scores"]),
    ]
    return network(nodes, [1, 1, *patch], [1, 3, *patch], weights)


def by_itself(patch: tuple[int, ...]) -> bytes:
    """Scores 0, 1 and 2 times the patch's mean: every voxel of a patch alike."""
    axes = list(range(2, 2 + len(patch)))
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=axes, keepdims=1),
        helper.make_node("Mul", ["mean", "factors"], ["each"]),
        helper.make_node("Expand", ["each", "shape"], ["scores"]),
    ]
    factors = np.arange(3, dtype=np.float32).reshape(1, 3, *[1] * len(patch))
    return network(
        nodes, [1, 1, *patch], [1, 3, *patch], {"factors": factors, "shape": np.array([1, 3, *patch], np.int64)}
    )


def toy_spec(patch: tuple[int, ...], overlap: float = 0.5, activation: str = "softmax", **changes: Any) -> ModelSpec:
    """A description of a segmentation with a background and two labels."""
    labels = [{"value": n, "name": f"label_{n}", "code": TERM, "category": TERM} for n in (1, 2)]
    if activation == "sigmoid":
        labels.append({"value": 3, "name": "label_3", "code": TERM, "category": TERM})
    flat = len(patch) == 2
    values = {
        "name": "toy",
        "title": "Toy",
        "task": "segmentation",
        "input": {
            "kind": "radiograph" if flat else "volume",
            "modality": "DX" if flat else "MR",
            "body_part": TERM,
            "intensity": [{"method": "z-score"}],
            "patch": patch,
            "overlap": overlap,
        }
        | ({} if flat else {"orientation": "SPL", "spacing_mm": (1, 1, 1)}),
        "output": {"activation": activation, "labels": labels},
        "thresholds": {f"label_{n}": {"value": 0.5, "chosen_for": "x"} for n in (1, 2, 3)},
        "licence": "CC0",
        "training_data": [{"name": "none", "licence": "CC0", "images": 0, "source": "made up"}],
        "intended_use": "Tests.",
        "limits": {},
    }
    return ModelSpec.model_validate(values | changes)

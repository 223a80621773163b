"""Three-dimensional networks rewritten for ONNX Runtime's CPU kernels: slices become the batch.

ONNX Runtime has fast blocked kernels for convolutions in a plane and none for those in space (docs/benchmarks.md). So
a tensor [1, channel, slice, row, column] is kept as [slice, channel, row, column], and a convolution over three
slices becomes three in the plane, whose results are moved by a slice and added. The numbers are the same but for
rounding. A graph with an operator that isn't known here is left as it is; so is one that the rewriting stumbles on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import structlog
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import helper, numpy_helper

log = structlog.get_logger(__name__)
_ELEMENTWISE = ("Add", "LeakyRelu", "Relu")
_OPSETS = range(13, 24)
"""Versions of ONNX in which the operators known here mean the same."""
_WRITTEN = {"opset_imports": [helper.make_opsetid("", 18)], "ir_version": 8}


class _UnknownHere(Exception):
    """A graph that isn't rewritten."""


def slices_as_batch(content: bytes) -> bytes:
    """The rewritten model file, or ``content`` itself where that can't be done."""
    try:
        model = onnx.load_from_string(content)
        return bytes(_Rewriting(model).result().SerializeToString())
    except (DecodeError, onnx.shape_inference.InferenceError, _UnknownHere):
        return content  # what is no model is said by whoever loads it
    except Exception:
        # a defect here must not keep a model from reading that runs as it is
        log.exception("a network is run as it is: its rewriting for the CPU failed")
        return content


@dataclass(frozen=True, eq=False)
class _Kernel:
    """A convolution: weights [out, in, slice, row, column]; pad and stride along slices; what it is in the plane."""

    weights: NDArray[Any]
    bias: NDArray[Any]
    pad: int
    stride: int
    plane: dict[str, list[int]]


class _Rewriting:
    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
        graph = self._model.graph
        known = {opset.domain: opset.version for opset in model.opset_import}
        _need(set(known) == {""} and known[""] in _OPSETS and not model.functions and not graph.sparse_initializer)
        self._weights = {entry.name: entry for entry in graph.initializer}
        _need(not any(entry.external_data for entry in graph.initializer))
        self._shapes = {
            entry.name: [axis.dim_value for axis in entry.type.tensor_type.shape.dim]
            for entry in (*graph.input, *graph.value_info, *graph.output)
        }
        self._nodes: list[onnx.NodeProto] = []
        self._made: dict[str, onnx.TensorProto] = {}

    def result(self) -> onnx.ModelProto:
        graph = self._model.graph
        inputs = [entry for entry in graph.input if entry.name not in self._weights]
        _need(len(inputs) == len(graph.output) == 1)
        (image,), (scores,) = inputs, graph.output
        _need(len(self._shape(image.name)) == len(self._shape(scores.name)) == 5)
        self._add("Squeeze", [image.name, self._constant(np.array([0]))], f"{image.name}/whole")
        self._add("Transpose", [f"{image.name}/whole"], _flat(image.name), perm=[1, 0, 2, 3])
        ways: dict[str, Callable[[onnx.NodeProto], None]] = {
            "Conv": self._convolution,
            "ConvTranspose": self._transposed_convolution,
            "InstanceNormalization": self._normalisation,
            "Concat": self._concatenation,
            **dict.fromkeys(_ELEMENTWISE, self._elementwise),
        }
        for node in graph.node:
            _need(node.op_type in ways and len(node.output) == 1)
            ways[node.op_type](node)
        self._add("Transpose", [_flat(scores.name)], f"{scores.name}/whole", perm=[1, 0, 2, 3])
        self._add("Unsqueeze", [f"{scores.name}/whole", self._constant(np.array([0]))], scores.name)
        written = helper.make_graph(self._nodes, graph.name, inputs, [scores], list(self._made.values()))
        return helper.make_model(written, **_WRITTEN)

    def _convolution(self, node: onnx.NodeProto) -> None:
        known = _attributes(node)
        weights, bias = self._weight(node.input[1]), self._bias(node)
        strides, pads = known.get("strides", [1] * 3), known.get("pads", [0] * 6)
        _need(known.get("group", 1) == 1 and known.get("auto_pad", b"NOTSET") == b"NOTSET")
        _need(set(known.get("dilations", [1])) == {1} and pads[0] == pads[3] < weights.shape[2])
        kernel = _Kernel(weights, bias, pads[0], strides[0], {"strides": strides[1:], "pads": pads[1:3] + pads[4:]})
        if kernel.stride == 1 and self._shape(node.output[0])[2] == self._shape(node.input[0])[2]:
            self._shifted_out(node, kernel)
        else:
            self._shifted_in(node, kernel)

    def _shifted_out(self, node: onnx.NodeProto, kernel: _Kernel) -> None:
        """Each slice of the kernel on every slice of the image; the results then go where they belong.

        All of them in one convolution would be a little faster and take half as much memory again.
        """
        out, depth, before = node.output[0], kernel.weights.shape[2], ""
        for k in range(depth):
            shift = (
                kernel.pad - k
            )  # by how many slices the result moves; what leaves at one end enters as 0 at the other
            inputs, term = [_flat(node.input[0]), self._constant(kernel.weights[:, :, k])], f"{out}/{k}"
            if not shift:
                inputs.append(self._constant(kernel.bias))
            self._add("Conv", inputs, term, **kernel.plane)
            if shift:
                moves = self._constant(np.array([shift, 0, 0, 0, -shift, 0, 0, 0]))
                self._add("Pad", [term, moves], term := f"{term}/moved")
            if before:  # two at a time: less lies in memory than with one sum of all
                self._add("Add", [before, term], term := f"{term}/sum")
            before = term
        self._add("Identity", [before], _flat(out))

    def _shifted_in(self, node: onnx.NodeProto, kernel: _Kernel) -> None:
        """Where fewer slices come out: those that one is made of, side by side as channels."""
        out, image, deep = node.output[0], _flat(node.input[0]), self._shape(node.output[0])[2]
        depth = kernel.weights.shape[2]
        if kernel.pad:
            self._add("Pad", [image, self._constant(np.array([kernel.pad, 0, 0, 0] * 2))], f"{out}/padded")
            image = f"{out}/padded"
        for k in range(depth):
            span = [np.array([n]) for n in (k, k + (deep - 1) * kernel.stride + 1, 0, kernel.stride)]
            self._add("Slice", [image, *map(self._constant, span)], f"{out}/{k}")
        self._add("Concat", [f"{out}/{k}" for k in range(depth)], f"{out}/in", axis=1)
        stacked = np.concatenate([kernel.weights[:, :, k] for k in range(depth)], axis=1)
        inputs = [f"{out}/in", self._constant(stacked), self._constant(kernel.bias)]
        self._add("Conv", inputs, _flat(out), **kernel.plane)

    def _transposed_convolution(self, node: onnx.NodeProto) -> None:
        """Stride as long as the kernel: every slice becomes so many, none of which another one reaches."""
        known = _attributes(node)
        weights, out = self._weight(node.input[1]), node.output[0]  # [in, out, *kernel]
        kernel = weights.shape[2:]
        _need(known.get("group", 1) == 1 and known.get("auto_pad", b"NOTSET") == b"NOTSET")
        _need(known.get("strides") == list(kernel) and set(known.get("dilations", [1])) == {1})
        _need(
            not any(known.get("pads", []))
            and not any(known.get("output_padding", []))
            and "output_shape" not in known
        )
        stacked = np.concatenate([weights[:, :, k] for k in range(kernel[0])], axis=1)
        biases = np.concatenate([self._bias(node)] * kernel[0])
        inputs = [_flat(node.input[0]), self._constant(stacked), self._constant(biases)]
        self._add("ConvTranspose", inputs, f"{out}/all", strides=list(kernel[1:]))
        _, channels, deep, *plane = self._shape(out)
        shape = self._constant(np.array([deep, channels, *plane]))
        self._add("Reshape", [f"{out}/all", shape], _flat(out))

    def _normalisation(self, node: onnx.NodeProto) -> None:
        """Each channel less its mean, by its deviation: in two passes, as a difference of squares would cancel."""
        image, out = _flat(node.input[0]), node.output[0]
        channels = self._shape(out)[1]
        mean, centred, squares = f"{out}/mean", f"{out}/centred", f"{out}/squares"
        count = np.float32(np.prod(self._shape(out)) / channels)
        axes = self._constant(np.array([0, 2, 3]))
        self._add("ReduceMean", [image, axes], mean, keepdims=1)
        self._add("Sub", [image, mean], centred)
        self._add("ReduceSumSquare", [centred, axes], squares, keepdims=0)
        self._add("Div", [squares, self._constant(np.array(count))], f"{out}/variance")
        zeros = self._constant(np.zeros(channels, np.float32))
        scale, shift = (self._constant(self._weight(name)) for name in node.input[1:])
        self._add(
            "BatchNormalization",
            [centred, scale, shift, zeros, f"{out}/variance"],
            _flat(out),
            epsilon=_attributes(node).get("epsilon", 1e-5),
        )

    def _concatenation(self, node: onnx.NodeProto) -> None:
        axis = _attributes(node).get("axis")
        _need(axis in (1, -4) and all(len(self._shape(name)) == 5 for name in node.input))
        self._add("Concat", [_flat(name) for name in node.input], _flat(node.output[0]), axis=1)

    def _elementwise(self, node: onnx.NodeProto) -> None:
        shape = self._shape(node.output[0])
        _need(len(shape) == 5 and all(self._shape(name) == shape for name in node.input))
        self._add(node.op_type, [_flat(name) for name in node.input], _flat(node.output[0]), **_attributes(node))

    def _shape(self, name: str) -> list[int]:
        """Of an activation: 1 in the batch, and every length known."""
        shape = self._shapes.get(name, [])
        _need(name not in self._weights and bool(shape) and shape[0] == 1 and all(shape))
        return shape

    def _weight(self, name: str) -> NDArray[Any]:
        _need(name in self._weights)
        values: NDArray[Any] = numpy_helper.to_array(self._weights[name])
        _need(values.dtype == np.float32)
        return values

    def _bias(self, node: onnx.NodeProto) -> NDArray[Any]:
        if len(node.input) > 2:
            return self._weight(node.input[2])
        axis = 0 if node.op_type == "Conv" else 1
        return np.zeros(self._weight(node.input[1]).shape[axis], np.float32)

    def _constant(self, values: NDArray[Any]) -> str:
        name = f"constant/{len(self._made)}"
        self._made[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def _add(self, operator: str, inputs: list[str], *outputs: str, **attributes: Any) -> None:
        self._nodes.append(helper.make_node(operator, inputs, list(outputs), **attributes))


def _flat(name: str) -> str:
    return f"{name}/slices"


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}


def _need(fulfilled: bool) -> None:
    if not fulfilled:
        raise _UnknownHere

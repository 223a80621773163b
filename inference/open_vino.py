"""Networks run by OpenVINO on the CPU: three-dimensional networks at 1.6 times ONNX Runtime's speed.

It needs the extra `openvino`. Where ONNX Runtime stops with an error at an index out of range, OpenVINO gives 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from imaging.errors import EngineError
from inference.backend import IMAGE, SCORES, Port, one_line


class OpenVino:
    """A model file's bytes, loaded; as `inference.backend.Backend`.

    Parameters
    ----------
    threads
        As `inference.session.EngineOptions`.

    Raises
    ------
    EngineError
        OpenVINO refuses the model.
    """

    provider = "OpenVINO CPU"

    def __init__(self, content: bytes, *, threads: int = 0) -> None:
        core = openvino.Core()
        # bfloat16 is its default where the processor has it: half the digits that parity is checked on
        options = {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
        }
        try:
            self._model = core.compile_model(core.read_model(model=content, weights=b""), "CPU", options)
        except RuntimeError as error:  # all that OpenVINO raises
            raise EngineError(f"OpenVINO can't load it: {one_line(error)}") from error
        self.inputs = {port.name: port for port in map(_port, self._model.inputs)}
        self.outputs = {port.name: port for port in map(_port, self._model.outputs)}

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        request = self._model.create_infer_request()  # one each: a request serves one thread
        for name, value in inputs.items():
            request.set_tensor(name, openvino.Tensor(np.ascontiguousarray(value)))
        _infer(request)
        return {name: np.array(request.get_tensor(name).data) for name in self.outputs}

    def bind(self, image: NDArray[Any], scores: NDArray[Any]) -> _Bound:
        return _Bound(self._model.create_infer_request(), image, scores)


class _Bound:
    """A request with tensors of its own."""

    def __init__(self, request: openvino.InferRequest, image: NDArray[Any], scores: NDArray[Any]) -> None:
        self._request, self._arrays = request, (image, scores)  # kept: a shared tensor holds their addresses only
        request.set_tensor(IMAGE, openvino.Tensor(image, shared_memory=True))
        request.set_tensor(SCORES, openvino.Tensor(scores, shared_memory=True))

    def run(self) -> None:
        _infer(self._request)


def _infer(request: openvino.InferRequest) -> None:
    try:
        request.infer()
    except RuntimeError as error:
        raise EngineError(f"the run failed: {one_line(error)}") from error


def _port(entry: openvino.ConstOutput) -> Port:
    shape = tuple(axis.get_length() if axis.is_static else None for axis in entry.partial_shape)
    return Port(entry.any_name, shape, np.dtype(entry.element_type.to_dtype()))

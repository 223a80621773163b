"""Networks run by ONNX Runtime, on CPU or CUDA."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from imaging.errors import EngineError, ModelFailure
from inference.backend import IMAGE, SCORES, Port, one_line

_TYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}
# ONNX Runtime's own errors have no common parent of theirs
_ERRORS = (
    failures.EPFail,
    failures.EngineError,
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.InvalidProtobuf,
    failures.NoModel,
    failures.NotImplemented,
    failures.RuntimeException,
)
CPU: tuple[str, dict[str, str]] = ("CPUExecutionProvider", {})


def cuda(device: int) -> tuple[str, dict[str, str]]:
    """The provider of GPU number ``device``, and its options."""
    # an exhaustive search takes minutes at the first patch; TF32 would round what parity is checked on
    options = {"device_id": str(device), "cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}
    return "CUDAExecutionProvider", options


class OnnxRuntime:
    """A model file's bytes, loaded; as `inference.backend.Backend`.

    Parameters
    ----------
    provider
        Name and options: `CPU` or `cuda`.
    threads, spinning
        As `inference.session.EngineOptions`.
    graph
        What was done to the graph before; told in ``provider``.
    optimise
        Whether the graph is rewritten into a faster one; always, but where that is measured.
    patterns
        Whether the first run's memory is planned into one block for the later ones. It takes the memory once more
        and saves no time where shapes are fixed (docs/benchmarks.md).

    Raises
    ------
    EngineError
        The provider isn't there, or refuses the model.
    """

    def __init__(
        self,
        content: bytes,
        provider: tuple[str, dict[str, str]] = CPU,
        *,
        threads: int = 0,
        spinning: bool = False,
        graph: str = "",
        optimise: bool = True,
        patterns: bool = False,
    ) -> None:
        name, _ = provider
        if name not in onnxruntime.get_available_providers():
            raise EngineError(f"{name} was asked for, and this ONNX Runtime doesn't have it: install raysight[gpu]")
        levels = onnxruntime.GraphOptimizationLevel
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 3
        settings.intra_op_num_threads = threads
        settings.inter_op_num_threads = 1
        settings.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        settings.graph_optimization_level = levels.ORT_ENABLE_ALL if optimise else levels.ORT_DISABLE_ALL
        settings.enable_mem_pattern = patterns
        settings.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
        try:
            self._session = onnxruntime.InferenceSession(content, settings, providers=[provider])
        except _ERRORS as error:
            raise EngineError(f"ONNX Runtime can't load it: {one_line(error)}") from error
        taken = str(self._session.get_providers()[0])
        if taken != name:
            raise EngineError(f"{name} was asked for, ONNX Runtime took {taken}")
        self.provider = f"{name}, {graph}" if graph else name
        self.inputs = {entry.name: _port(entry) for entry in self._session.get_inputs()}
        self.outputs = {entry.name: _port(entry) for entry in self._session.get_outputs()}

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        with _told():
            values = self._session.run(None, dict(inputs))
        return dict(zip(self.outputs, values, strict=True))

    def bind(self, image: NDArray[Any], scores: NDArray[Any]) -> _Bound:
        return _Bound(self._session, image, scores)


class _Bound:
    """ONNX Runtime's IO binding."""

    def __init__(self, session: onnxruntime.InferenceSession, image: NDArray[Any], scores: NDArray[Any]) -> None:
        self._session, self._arrays = session, (image, scores)  # kept: the binding holds their addresses only
        self._binding = session.io_binding()
        self._binding.bind_input(IMAGE, "cpu", 0, image.dtype.type, image.shape, image.ctypes.data)
        self._binding.bind_output(SCORES, "cpu", 0, scores.dtype.type, scores.shape, scores.ctypes.data)

    def run(self) -> None:
        with _told():
            self._session.run_with_iobinding(self._binding)


@contextmanager
def _told() -> Iterator[None]:
    """What a run fails on, as Raysight's errors."""
    try:
        yield
    except failures.InvalidArgument as error:  # the arrays fit, so it is the values
        raise ModelFailure(f"the run failed: {one_line(error)}") from error
    except _ERRORS as error:
        raise EngineError(f"the run failed: {one_line(error)}") from error


def _port(entry: onnxruntime.NodeArg) -> Port:
    if entry.type not in _TYPES:
        raise EngineError(f"{entry.name} is of type {entry.type}, which isn't supported")
    shape = tuple(n if isinstance(n, int) else None for n in entry.shape)
    return Port(entry.name, shape, np.dtype(_TYPES[entry.type]))

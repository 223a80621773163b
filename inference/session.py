"""One ONNX Runtime session: how it is made, checked, warmed up, and run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from imaging.errors import EngineError
from models.spec import ModelSpec, TabularInput
from models.store import ReleasedModel

ProviderName = Literal["cpu", "cuda"]
IMAGE, SCORES = "image", "scores"
"""Names of an image model's one input, [batch, channel, *patch], and one output."""

_TYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}
# ONNX Runtime's own errors have no common parent of theirs
RUNTIME_ERRORS = (
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


# y = x, one number, as an ONNX file: opset 17, IR 8
_IDENTITY = (
    b'\x08\x08:7\n\x10\n\x01x\x12\x01y"\x08Identity\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01'
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x02\x10\x11"
)


@dataclass(frozen=True)
class EngineOptions:
    """How models are run. None of it is part of a reading's key.

    Parameters
    ----------
    provider
        ``cpu``, or ``cuda`` (the extra `gpu`). What isn't there is an error, never a silent change to the other.
    threads
        Threads within one operator; 0 takes one per physical core.
    spinning
        Threads wait busily between operators: faster, at the cost of whoever shares the cores.
    device
        Number of the GPU.
    sessions_kept
        So many loaded versions stay in memory; the one not asked for the longest goes first.
    """

    provider: ProviderName = "cpu"
    threads: int = 0
    spinning: bool = True
    device: int = 0
    sessions_kept: int = 4

    @property
    def _provider(self) -> tuple[str, dict[str, str]]:
        if self.provider == "cpu":
            return "CPUExecutionProvider", {}
        # an exhaustive search takes minutes at the first patch; TF32 would round what parity is checked on
        options = {"device_id": str(self.device), "cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}
        return "CUDAExecutionProvider", options

    def check(self) -> None:
        """EngineError when the provider isn't there: it is told by a session, not by what was compiled in."""
        self.make(_IDENTITY)

    def make(self, content: bytes) -> onnxruntime.InferenceSession:
        """A session of a model file's bytes; EngineError when the provider isn't there or refuses the model."""
        name, options = self._provider
        if name not in onnxruntime.get_available_providers():
            raise EngineError(f"{name} was asked for, and this ONNX Runtime doesn't have it: install raysight[gpu]")
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 3
        settings.intra_op_num_threads = self.threads
        settings.inter_op_num_threads = 1
        settings.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        settings.add_session_config_entry("session.intra_op.allow_spinning", str(int(self.spinning)))
        try:
            session = onnxruntime.InferenceSession(content, settings, providers=[(name, options)])
        except RUNTIME_ERRORS as error:
            raise EngineError(f"ONNX Runtime can't load it: {_line(error)}") from error
        if session.get_providers()[0] != name:
            raise EngineError(f"{name} was asked for, ONNX Runtime took {session.get_providers()[0]}")
        return session


class Session:
    """A released version, loaded, checked against its spec, and warm. Safe from any thread.

    Raises
    ------
    EngineError
        It was altered, can't be loaded, or isn't what its spec says.
    """

    def __init__(self, released: ReleasedModel, options: EngineOptions) -> None:
        self.label = f"{released.name} {released.version}"
        try:
            self._session = options.make(released.content())
        except EngineError as error:
            raise EngineError(f"{self.label}: {error}") from error
        self._inputs = {entry.name: entry for entry in self._session.get_inputs()}
        self._outputs = {entry.name: entry for entry in self._session.get_outputs()}
        self.check(released.spec)
        for _ in range(2):  # the first run plans memory, the second takes it: neither is a patient's
            self.infer({name: self._zeros(name) for name in self._inputs})

    def infer(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Named arrays to named arrays."""
        if set(inputs) != set(self._inputs):
            raise EngineError(f"{self.label} takes {sorted(self._inputs)}, not {sorted(inputs)}")
        for name, value in inputs.items():
            entry = self._inputs[name]
            if value.dtype != _type(entry) or not _fits(value.shape, entry.shape):
                wanted = f"{entry.shape} {np.dtype(_type(entry))}"
                raise EngineError(f"{self.label} takes {name} as {wanted}, not {list(value.shape)} {value.dtype}")
        try:
            values = self._session.run(None, dict(inputs))
        except RUNTIME_ERRORS as error:
            raise EngineError(f"{self.label} failed: {_line(error)}") from error
        return dict(zip(self._outputs, values, strict=True))

    @property
    def provider(self) -> str:
        """What computes, such as CPUExecutionProvider."""
        return str(self._session.get_providers()[0])

    def runner(self) -> BoundRunner:
        """Buffers of one's own for many runs."""
        return BoundRunner(self._session, self._zeros(IMAGE), self._empty(SCORES), self.label)

    def _zeros(self, name: str) -> NDArray[Any]:
        entry = self._inputs[name]
        return np.zeros([n if isinstance(n, int) else 1 for n in entry.shape], _type(entry))

    def _empty(self, name: str) -> NDArray[Any]:
        entry = self._outputs[name]
        return np.zeros(entry.shape, _type(entry))

    def check(self, spec: ModelSpec) -> None:
        """An image model has fixed shapes, those of its spec; EngineError names what differs."""
        if isinstance(spec.input, TabularInput):
            return
        given, made = list(self._inputs), list(self._outputs)
        if given != [IMAGE] or made != [SCORES]:
            raise EngineError(
                f"{self.label}: an image model takes {IMAGE!r} and gives {SCORES!r}, not {given}, {made}"
            )
        takes, gives = self._inputs[IMAGE].shape, self._outputs[SCORES].shape
        space = list(spec.input.patch) if spec.task == "segmentation" else []
        if takes[1:] != [len(spec.input.intensity), *spec.input.patch] or not isinstance(takes[0], int):
            raise EngineError(f"{self.label}: its input is {takes}, its spec says patches of {spec.input.patch}")
        if spec.task in ("segmentation", "classification") and gives != [takes[0], spec.output.channels, *space]:
            raise EngineError(f"{self.label}: its output is {gives}, its spec says {spec.output.channels} channels")


class BoundRunner:
    """Input and output stay in place from run to run (ONNX Runtime's IO binding). For one thread at a time."""

    def __init__(
        self, session: onnxruntime.InferenceSession, taken: NDArray[Any], given: NDArray[Any], label: str
    ) -> None:
        self.input = taken
        self._output, self._session, self._label = given, session, label
        self._binding = session.io_binding()
        self._binding.bind_input(IMAGE, "cpu", 0, taken.dtype.type, taken.shape, taken.ctypes.data)
        self._binding.bind_output(SCORES, "cpu", 0, given.dtype.type, given.shape, given.ctypes.data)

    def run(self) -> NDArray[Any]:
        """The scores of what stands in ``input``; overwritten by the next run."""
        try:
            self._session.run_with_iobinding(self._binding)
        except RUNTIME_ERRORS as error:
            raise EngineError(f"{self._label} failed: {_line(error)}") from error
        return self._output


def _type(entry: onnxruntime.NodeArg) -> type[np.generic]:
    if entry.type not in _TYPES:
        raise EngineError(f"{entry.name} is of type {entry.type}, which isn't supported")
    return _TYPES[entry.type]


def _fits(shape: tuple[int, ...], wanted: list[int | str | None]) -> bool:
    return len(shape) == len(wanted) and all(
        n == w or not isinstance(w, int) for n, w in zip(shape, wanted, strict=True)
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())

"""A network, loaded: how it is made, checked, warmed up, and run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import structlog
from numpy.typing import NDArray

from imaging.errors import EngineError, ModelFailure
from inference.backend import IMAGE, ROW, SCORES, Backend
from inference.onnx_runtime import OnnxRuntime, cuda
from models.spec import ModelSpec, Output, TabularInput

log = structlog.get_logger(__name__)

ProviderName = Literal["cpu", "cuda", "openvino"]

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
        ``cpu``, ``cuda`` (the extra `gpu`), or ``openvino`` (the extra `openvino`, on the CPU). What isn't there is
        an error, never a silent change to another.
    threads
        Threads within one operator; 0 takes one per physical core.
    spinning
        Threads wait busily between operators. It gains nothing on a quiet machine and costs processor time on a busy
        one (docs/benchmarks.md), so it is off. OpenVINO has its own way of waiting.
    device
        Number of the GPU.
    sessions_kept
        So many loaded versions stay in memory; the one not asked for the longest goes first.
    """

    provider: ProviderName = "cpu"
    threads: int = 0
    spinning: bool = False
    device: int = 0
    sessions_kept: int = 4

    def check(self) -> None:
        """EngineError when the provider isn't there: it is told by a session, not by what was compiled in."""
        self.make(_IDENTITY)

    def make(self, content: bytes) -> Backend:
        """A model file's bytes, loaded; EngineError when the provider isn't there or refuses the model."""
        if self.provider == "openvino":
            return _open_vino(content, self.threads)
        if self.provider == "cuda":
            return OnnxRuntime(content, cuda(self.device), threads=self.threads, spinning=self.spinning)
        rewritten = _rewritten(content)
        if rewritten is not content:
            try:
                return OnnxRuntime(
                    rewritten, threads=self.threads, spinning=self.spinning, graph="slices as the batch"
                )
            except EngineError as error:
                log.warning("a network is run as it is: rewritten it can't be loaded", why=str(error))
        return OnnxRuntime(content, threads=self.threads, spinning=self.spinning)


class Session:
    """A model file's bytes, loaded and warm. Safe from any thread.

    It knows no version: those that are the same file share it, and `inference.engine.OnnxModel` says whose errors
    they are.

    Raises
    ------
    EngineError
        They can't be loaded, or don't run.
    """

    def __init__(self, content: bytes, options: EngineOptions) -> None:
        self._backend = options.make(content)
        try:
            for _ in range(2):  # the first run plans memory, the second takes it: neither is a patient's
                self.infer({name: port.zeros() for name, port in self._backend.inputs.items()})
        except ModelFailure as error:
            raise EngineError(str(error)) from error

    @property
    def provider(self) -> str:
        """As `inference.backend.Backend.provider`."""
        return self._backend.provider

    def infer(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Named arrays to named arrays."""
        ports = self._backend.inputs
        if set(inputs) != set(ports):
            raise ModelFailure(f"it takes {sorted(ports)}, not {sorted(inputs)}")
        for name, value in inputs.items():
            if not ports[name].fits(value):
                given = f"{list(value.shape)} {value.dtype}"
                raise ModelFailure(f"it takes {name} as {ports[name]}, not {given}")
        return self._backend.run(inputs)

    def runner(self) -> BoundRunner:
        """Buffers of one's own for many runs."""
        return BoundRunner(self._backend)

    def check(self, spec: ModelSpec) -> None:
        """A model has fixed shapes, those of its spec; EngineError names what differs."""
        if isinstance(spec.input, TabularInput):
            self._check_table(spec.input, spec.output)
            return
        given, made = list(self._backend.inputs), list(self._backend.outputs)
        if given != [IMAGE] or made != [SCORES]:
            raise EngineError(f"an image model takes {IMAGE!r} and gives {SCORES!r}, not {given}, {made}")
        takes, gives = self._backend.inputs[IMAGE], self._backend.outputs[SCORES]
        space = spec.input.patch if spec.task == "segmentation" else ()
        if takes.shape[1:] != (len(spec.input.intensity), *spec.input.patch) or takes.shape[0] is None:
            raise EngineError(f"its input is {takes}, its spec says patches of {spec.input.patch}")
        if spec.task in ("segmentation", "classification") and (
            gives.shape != (takes.shape[0], spec.output.channels, *space)
        ):
            raise EngineError(f"its output is {gives}, its spec says {spec.output.channels} channels")

    def _check_table(self, rules: TabularInput, output: Output) -> None:
        if list(self._backend.inputs) != [ROW]:
            return  # a model that others made takes its columns as it likes
        takes, gives = self._backend.inputs[ROW], self._backend.outputs.get(SCORES)
        members = (output.members,) if output.members else ()
        if takes.shape[1:] != (len(rules.columns),) or gives is None:
            raise EngineError(f"its input is {takes}, its spec says {len(rules.columns)} columns")
        if gives.shape[1:] != (output.channels, *members):
            raise EngineError(f"its output is {gives}, its spec says {output.channels} channels {members or ''}")


class BoundRunner:
    """Input and output stay in place from run to run. For one thread at a time."""

    def __init__(self, backend: Backend) -> None:
        self.input, self._output = backend.inputs[IMAGE].zeros(), backend.outputs[SCORES].zeros()
        self._bound = backend.bind(self.input, self._output)

    def run(self) -> NDArray[Any]:
        """The scores of what stands in ``input``; overwritten by the next run."""
        self._bound.run()
        return self._output


def _rewritten(content: bytes) -> bytes:
    """A network as the CPU's kernels run it fastest; ``content`` itself where it stays as it is."""
    try:
        from inference.slices import slices_as_batch  # noqa: PLC0415 - onnx loads here, and no other provider needs it
    except ModuleNotFoundError as error:
        if error.name != "onnx":
            raise
        log.warning("networks are run as they are, more slowly: onnx isn't installed; install raysight[cpu]")
        return content
    return slices_as_batch(content)


def _open_vino(content: bytes, threads: int) -> Backend:
    try:
        from inference.open_vino import OpenVino  # noqa: PLC0415 - an extra of its own
    except ModuleNotFoundError as error:
        if error.name != "openvino":
            raise
        raise EngineError("openvino was asked for, and isn't installed: install raysight[openvino]") from None
    return OpenVino(content, threads=threads)

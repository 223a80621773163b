"""The ways to run one network over an image: ours, step by step, and MONAI's on torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from imaging.pipeline import Answer
from inference.backend import IMAGE, SCORES, Backend
from inference.blending import Finish, Tiling, finish_for
from inference.onnx_runtime import OnnxRuntime
from inference.session import BoundRunner, EngineOptions
from inference.slices import slices_as_batch
from inference.sliding import TileRunner, slide
from models.spec import ModelSpec, VolumeInput


@dataclass(frozen=True)
class Variant:
    """One way to run the network over an image.

    Parameters
    ----------
    optimise, spinning, patterns
        As `OnnxRuntime`.
    slices
        Slices are the batch: `inference.slices`.
    bound
        Input and output stay in place from patch to patch.
    band
        Scores held for one patch's depth; else for the whole image, as the peer does.
    skip
        Patches in which nothing is wanted aren't run.
    """

    name: str
    engine: Literal["onnxruntime", "openvino", "torch"] = "onnxruntime"
    threads: int = 1
    optimise: bool = False
    spinning: bool = False
    patterns: bool = True
    slices: bool = False
    bound: bool = False
    band: bool = False
    skip: bool = False
    answer: Answer = Answer.LABELS


def steps(threads: int) -> list[Variant]:
    """The tuning steps, each on top of the one before, two others, and last the peer with the same threads."""
    plain = Variant("graph as exported, 1 thread")
    optimised = replace(plain, name="+ graph optimisations", optimise=True)
    threaded = replace(optimised, name=f"+ {threads} threads", threads=threads)
    bound = replace(threaded, name="+ buffers in place", bound=True)
    band = replace(bound, name="+ scores of one patch's depth only", band=True)
    lean = replace(band, name="+ no memory planned ahead", patterns=False)
    served = replace(lean, name="+ slices as the batch: as it serves", slices=True)
    spinning = replace(served, name="the same, threads wait busily", spinning=True)
    vino = replace(served, name="OpenVINO in ONNX Runtime's place", engine="openvino")
    peer = Variant("MONAI on torch", "torch", threads)
    return [plain, optimised, threaded, bound, band, lean, served, spinning, vino, peer]


class UnboundRunner:
    """A new output for every patch."""

    def __init__(self, backend: Backend) -> None:
        self.input = backend.inputs[IMAGE].zeros()
        self._backend = backend

    def run(self) -> NDArray[Any]:
        """The scores."""
        return self._backend.run({IMAGE: self.input})[SCORES]


Run = Callable[[NDArray[Any], NDArray[Any]], tuple[NDArray[Any], int, int]]
"""From an image [1, *space] and a mask of what is wanted to answer [channel, *space], patches run, patches in all."""


def prepared(variant: Variant, spec: ModelSpec, folder: Path) -> Run:
    """The network loaded as the variant has it."""
    return _peer(variant, spec, folder) if variant.engine == "torch" else _ours(variant, spec, folder)


def _ours(variant: Variant, spec: ModelSpec, folder: Path) -> Run:
    rules, content = rules_of(spec), (folder / "model.onnx").read_bytes()
    backend: Backend
    if variant.engine == "openvino":
        backend = EngineOptions(provider="openvino", threads=variant.threads).make(content)
    else:
        backend = OnnxRuntime(
            slices_as_batch(content) if variant.slices else content,
            threads=variant.threads,
            spinning=variant.spinning,
            optimise=variant.optimise,
            patterns=variant.patterns,
        )
    runner: TileRunner = BoundRunner(backend) if variant.bound else UnboundRunner(backend)
    tiling, finish = Tiling(rules.patch, rules.overlap), finish_for(variant.answer, spec.output)

    def run(image: NDArray[Any], mask: NDArray[Any]) -> tuple[NDArray[Any], int, int]:
        if not variant.band:
            count = tiling.count(image.shape[1:])
            return _whole(runner, image, tiling, finish, spec.output.channels), count, count
        wanted = mask if variant.skip else None
        found = slide(runner, image, tiling, finish, channels=spec.output.channels, wanted=wanted)
        boxed = found.values.shape[1:] != image.shape[1:]
        answer = found.full(image.shape[1:], finish.empty) if boxed else found.values
        return answer, found.tiles_run, found.tiles_all

    return run


def _whole(runner: TileRunner, image: NDArray[Any], tiling: Tiling, finish: Finish, channels: int) -> NDArray[Any]:
    """Scores and weights of the whole image in memory, divided at the end."""
    sums = np.zeros((channels, *image.shape[1:]), np.float32)
    total, weights = np.zeros(image.shape[1:], np.float32), tiling.weights()
    for tile in tiling.tiles(image.shape[1:]):
        runner.input[0] = image[(slice(None), *tile)]
        sums[(slice(None), *tile)] += runner.run()[0] * weights
        total[tile] += weights
    sums /= total
    return finish.apply(sums).astype(finish.dtype)


def _peer(variant: Variant, spec: ModelSpec, folder: Path) -> Run:
    import torch
    from monai.inferers import SlidingWindowInferer

    rules = rules_of(spec)
    torch.set_num_threads(variant.threads)
    built = network(spec, folder / "weights.pt")
    window = SlidingWindowInferer(rules.patch, sw_batch_size=1, overlap=rules.overlap, mode="gaussian")

    def run(image: NDArray[Any], mask: NDArray[Any]) -> tuple[NDArray[Any], int, int]:
        with torch.inference_mode():
            scores = window(torch.from_numpy(image[None]), built)
            found = scores[0] if variant.answer is Answer.SCORES else scores.argmax(dim=1)
        count = Tiling(rules.patch, rules.overlap).count(image.shape[1:])
        return found.numpy(), count, count

    return run


def network(spec: ModelSpec, weights: Path | None) -> Any:
    """The torch network, ready to run."""
    import torch

    from models.hippocampus_segmenter.network import build

    built = build(spec).eval()
    if weights is not None:
        built.load_state_dict(torch.load(weights, weights_only=True))
    return built


def rules_of(spec: ModelSpec) -> VolumeInput:
    """The description's input, which is a volume."""
    if not isinstance(spec.input, VolumeInput):
        raise TypeError("the benchmark is of volumes")
    return spec.input


def write_model(spec: ModelSpec, weights: Path | None, folder: Path) -> None:
    """`model.onnx` and `weights.pt` of one network."""
    import torch

    built = network(spec, weights)
    torch.save(built.state_dict(), folder / "weights.pt")
    example = torch.zeros(1, 1, *rules_of(spec).patch)
    torch.onnx.export(built, (example,), input_names=[IMAGE], output_names=[SCORES], dynamo=True, verbose=False).save(
        folder / "model.onnx"
    )

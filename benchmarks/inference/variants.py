"""The ways to run one network over an image: ours, step by step, and MONAI's on torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from imaging.pipeline import Answer
from inference.blending import Finish, Tiling, finish_for
from inference.session import IMAGE, SCORES, BoundRunner
from inference.sliding import TileRunner, slide
from models.spec import ModelSpec, VolumeInput

LEVELS = {
    "none": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


@dataclass(frozen=True)
class Variant:
    """One way to run the network over an image.

    Parameters
    ----------
    band
        Scores held for one patch's depth; else for the whole image, as the peer does.
    bound
        Input and output stay in place from patch to patch.
    skip
        Patches without lung aren't run.
    """

    name: str
    peer: bool = False
    threads: int = 1
    optimise: str = "none"
    spinning: bool = False
    bound: bool = False
    band: bool = False
    skip: bool = False
    answer: Answer = Answer.LABELS


def steps(threads: int) -> list[Variant]:
    """The tuning steps, each on top of the one before; the peer with the same threads comes last."""
    plain = Variant("graph as exported, 1 thread")
    optimised = replace(plain, name="+ graph optimisations", optimise="all")
    threaded = replace(optimised, name=f"+ {threads} threads", threads=threads)
    spinning = replace(threaded, name="+ threads wait busily", spinning=True)
    bound = replace(spinning, name="+ buffers in place", bound=True)
    band = replace(bound, name="+ scores of one patch's depth only", band=True)
    return [plain, optimised, threaded, spinning, bound, band, Variant("MONAI on torch", peer=True, threads=threads)]


class UnboundRunner:
    """Without IO binding: a new output for every patch."""

    def __init__(self, session: onnxruntime.InferenceSession, taken: NDArray[Any]) -> None:
        self.input = taken
        self._session = session

    def run(self) -> NDArray[Any]:
        """The scores."""
        scores: NDArray[Any] = self._session.run([SCORES], {IMAGE: self.input})[0]
        return scores


def ours(variant: Variant, spec: ModelSpec, folder: Path) -> Callable[[NDArray[Any], NDArray[Any]], Any]:
    """A function of image [1, *space] and mask to (answer [channel, *space], patches run, patches in all)."""
    rules = rules_of(spec)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = variant.threads
    settings.graph_optimization_level = LEVELS[variant.optimise]
    settings.add_session_config_entry("session.intra_op.allow_spinning", str(int(variant.spinning)))
    session = onnxruntime.InferenceSession(folder / "model.onnx", settings, providers=["CPUExecutionProvider"])
    taken = np.zeros((1, 1, *rules.patch), np.float32)
    given = np.zeros((1, spec.output.channels, *rules.patch), np.float32)
    runner: TileRunner = UnboundRunner(session, taken)
    if variant.bound:
        runner = BoundRunner(session, taken, given, "benchmark")
    tiling, finish = Tiling(rules.patch, rules.overlap), finish_for(variant.answer, spec.output)

    def run(image: NDArray[Any], mask: NDArray[Any]) -> Any:
        if not variant.band:
            return _whole(runner, image, tiling, finish, spec.output.channels), *[tiling.count(image.shape[1:])] * 2
        wanted = mask if variant.skip else None
        found = slide(runner, image, tiling, finish, channels=spec.output.channels, wanted=wanted)
        return found.full(image.shape[1:], finish.empty), found.tiles_run, found.tiles_all

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


def peer(variant: Variant, spec: ModelSpec, folder: Path) -> Callable[[NDArray[Any], NDArray[Any]], Any]:
    """The same function with MONAI and torch."""
    import torch
    from monai.inferers import SlidingWindowInferer

    rules = rules_of(spec)
    torch.set_num_threads(variant.threads)
    built = network(spec, folder / "weights.pt")
    window = SlidingWindowInferer(rules.patch, sw_batch_size=1, overlap=rules.overlap, mode="gaussian")

    def run(image: NDArray[Any], mask: NDArray[Any]) -> Any:
        with torch.inference_mode():
            scores = window(torch.from_numpy(image[None]), built)
            found = scores[0] if variant.answer is Answer.SCORES else scores.argmax(dim=1)
        return found.numpy(), *[Tiling(rules.patch, rules.overlap).count(image.shape[1:])] * 2

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

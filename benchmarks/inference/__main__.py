"""Sliding windows beside MONAI's `SlidingWindowInferer` on torch: `python -m benchmarks.inference`.

The same network, weights, image, patches, threads and processor. Every variant has a process of its own, and they
take turns; a ratio is the median of the ratios within the repetitions. Memory is the most by which a process grew
over what it was with the network loaded and the image read, warm-up included. Three tables:

dense       a volume of noise, all patches: the tuning steps, one on top of the other, OpenVINO, and the peer
chest       the box round the lungs of a chest CT (made up, or --ct): patches without lung skipped; the peer gets the
            same box
parity      the greatest difference of the blended scores from the peer's, on the noise and on a part of the chest

Needs the extras `train` and `openvino`. The network is untrained unless --weights are given; seconds and memory don't
depend on them. About six minutes on two quiet cores.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
import openvino
from numpy.typing import NDArray

from benchmarks.inference.images import chest
from benchmarks.inference.measure import Measurement, answers, in_turn
from benchmarks.inference.variants import Variant, rules_of, steps, write_model
from imaging.pipeline import Answer
from models.spec import load_spec
from models.store import SHIPPED


def table(variants: Sequence[Variant], rows: Sequence[Measurement], *, gains: bool = False) -> None:
    """Print the rows with their ratios to the last one, the peer; with ``gains``, to the row before too."""
    base = rows[-1]
    print("| variant | patches run | s | CPU s | × faster | × less CPU | MiB | of the peer's |", end="")
    print(" × faster than the row before |" if gains else "")
    print("|---" * (9 if gains else 8) + "|")
    for index, (variant, m) in enumerate(zip(variants, rows, strict=True)):
        print(
            f"| {variant.name} | {m.tiles_run} of {m.tiles_all} "
            f"| {median(m.seconds):.2f} | {median(m.processor_seconds):.2f} "
            f"| {m.faster_than(base):.2f} | {m.faster_than(base, processor=True):.2f} "
            f"| {m.peak_mib:.0f} | {m.peak_mib / base.peak_mib:.2f} |",
            end="",
        )
        if gains:
            before = f"{m.faster_than(rows[index - 1]):.2f}" if index and m is not base else ""
            print(f" {before} |", end="")
        print()


def save(folder: Path, scene: str, image: NDArray[Any], mask: NDArray[Any]) -> None:
    """Where the variants' processes find it."""
    np.save(folder / f"{scene}.npy", image)
    np.save(folder / f"{scene}_mask.npy", mask)


def _middle(length: int, part: int) -> slice:
    part = min(part, length)
    return slice((length - part) // 2, (length + part) // 2)


def load() -> str:
    """What else the machine does."""
    return "load average " + " ".join(f"{value:.1f}" for value in os.getloadavg())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="a state_dict of the network (untrained)")
    parser.add_argument(
        "--shape", type=int, nargs=3, default=[156, 182, 160], help="of the dense volume (156 182 160)"
    )
    parser.add_argument("--spacing", type=float, default=0.75, help="of the chest, mm (0.75)")
    parser.add_argument("--overlap", type=float, default=0.25, help="of the patches (0.25)")
    parser.add_argument("--ct", type=Path, help="a folder with one chest CT (a made-up chest)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="(every core)")
    parser.add_argument("--repetitions", type=int, default=3, help="of the dense volume (3)")
    parser.add_argument("--chest-repetitions", type=int, default=1, help="of the chest; 0 leaves it out (1)")
    arguments = parser.parse_args()
    spec = load_spec(SHIPPED / "hippocampus_segmenter")
    spec = spec.model_copy(update={"input": spec.input.model_copy(update={"overlap": arguments.overlap})})
    patch = rules_of(spec).patch
    with tempfile.TemporaryDirectory(prefix="raysight-inference-") as name:
        folder = Path(name)
        (folder / "spec.json").write_text(spec.model_dump_json(), encoding="utf-8")
        write_model(spec, arguments.weights, folder)
        noise = np.random.default_rng(0).normal(size=(1, *arguments.shape)).astype(np.float32)
        save(folder, "dense", noise, np.ones(noise.shape[1:], bool))
        print(
            f"{platform.machine()}, {os.cpu_count()} cores, {arguments.threads} threads, {load()}; "
            f"patches of {patch}, overlap {arguments.overlap}; "
            f"ONNX Runtime {onnxruntime.__version__}, OpenVINO {openvino.__version__.split('-')[0]}\n"
        )
        tuning = steps(arguments.threads)
        *_, ours, _, vino, monai = tuning
        print(f"dense: {tuple(arguments.shape)} voxels, {arguments.repetitions} repetitions")
        table(tuning, in_turn(tuning, "dense", folder, arguments.repetitions), gains=True)
        print(f"{load()}\n")
        scenes = ["dense"]
        if arguments.chest_repetitions:
            image, lungs, whole = chest(arguments.spacing, arguments.ct, patch)
            save(folder, "chest", image, lungs)
            middle = tuple(_middle(n, 3 * p // 2) for n, p in zip(lungs.shape, patch, strict=True))
            save(folder, "part", np.ascontiguousarray(image[(slice(None), *middle)]), lungs[middle])
            scenes.append("part")
            skipping = [
                replace(v, name=f"{who}, patches without lung skipped", skip=True)
                for v, who in ((ours, "ONNX Runtime"), (vino, "OpenVINO"))
            ]
            rows = in_turn([*skipping, monai], "chest", folder, arguments.chest_repetitions)
            print(
                f"chest: {image.shape[1:]} voxels of a scan of {whole}, {lungs.mean():.0%} of them lung, "
                f"{arguments.chest_repetitions} repetitions"
            )
            table([*skipping, monai], rows)
            print(f"skipped: {1 - rows[0].tiles_run / rows[0].tiles_all:.0%} of the box's patches; {load()}\n")
        for scene in scenes:
            mask = np.load(folder / f"{scene}_mask.npy")
            *found, peer = answers([replace(v, answer=Answer.SCORES) for v in (ours, vino, monai)], scene, folder)
            apart = " and ".join(f"{np.abs(scores - peer)[:, mask].max():.1e}" for scores in found)
            print(f"parity, {scene}: scores (standard deviation {peer.std():.2f}) differ by at most {apart}")


if __name__ == "__main__":
    main()

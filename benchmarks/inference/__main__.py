"""Sliding windows beside MONAI's `SlidingWindowInferer` on torch: `python -m benchmarks.inference`.

The same network, weights, image, patches and processor. Every variant runs in a process of its own; seconds are the
median of the repetitions after a warm-up, and peak memory is what the run adds to a process that holds the
model and the image. Three tables:

dense       a volume of noise, all patches: the tuning steps, one on top of the other, and the peer
chest       the box round the lungs of a chest CT (made up, or --ct): patches without lung skipped; the peer gets the
            same box
parity      the greatest difference of the blended scores from the peer's, on both

Needs the extra `train`. The network is untrained unless --weights are given; seconds and memory don't depend on them.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime

from benchmarks.inference.images import chest
from benchmarks.inference.measure import Measurement, measure
from benchmarks.inference.variants import Variant, rules_of, steps, write_model
from imaging.pipeline import Answer
from models.spec import load_spec
from models.store import SHIPPED


def table(rows: Sequence[tuple[Variant, Measurement]]) -> None:
    """Print the rows with their ratios to the last one, the peer."""
    base = rows[-1][1]
    print("| variant | patches run | s | × faster | MiB added | of the peer's |\n|---|---|---|---|---|---|")
    for variant, m in rows:
        print(
            f"| {variant.name} | {m.tiles_run} of {m.tiles_all} | {m.seconds:.2f} | {base.seconds / m.seconds:.2f} "
            f"| {m.peak_mib:.0f} | {m.peak_mib / base.peak_mib:.2f} |"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="a state_dict of the network (untrained)")
    parser.add_argument(
        "--shape", type=int, nargs=3, default=[128, 160, 120], help="of the dense volume (128 160 120)"
    )
    parser.add_argument("--spacing", type=float, default=1.5, help="of the chest, mm (1.5)")
    parser.add_argument("--overlap", type=float, default=0.25, help="of the patches (0.25)")
    parser.add_argument("--ct", type=Path, help="a folder with one chest CT (a made-up chest)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="(every core)")
    parser.add_argument("--repetitions", type=int, default=3, help="(3)")
    arguments = parser.parse_args()
    spec = load_spec(SHIPPED / "hippocampus_segmenter")
    spec = spec.model_copy(update={"input": spec.input.model_copy(update={"overlap": arguments.overlap})})
    with tempfile.TemporaryDirectory(prefix="raysight-inference-") as name:
        folder = Path(name)
        (folder / "spec.json").write_text(spec.model_dump_json(), encoding="utf-8")
        write_model(spec, arguments.weights, folder)
        noise = np.random.default_rng(0).normal(size=(1, *arguments.shape)).astype(np.float32)
        image, lungs, whole = chest(arguments.spacing, arguments.ct, rules_of(spec).patch)
        for scene, array, mask in (("dense", noise, np.ones(noise.shape[1:], bool)), ("chest", image, lungs)):
            np.save(folder / f"{scene}.npy", array)
            np.save(folder / f"{scene}_mask.npy", mask)
        print(
            f"{platform.machine()}, {os.cpu_count()} cores, {arguments.threads} threads; patches of "
            f"{rules_of(spec).patch}, overlap {arguments.overlap}; ONNX Runtime {onnxruntime.__version__}\n"
        )
        tuning = steps(arguments.threads)
        print(f"dense: {tuple(arguments.shape)} voxels")
        table([(v, measure(v, "dense", folder, arguments.repetitions)[0]) for v in tuning])
        best, monai = tuning[-2], tuning[-1]
        skipping = replace(best, name="patches without lung skipped", skip=True)
        print(f"\nchest: {image.shape[1:]} voxels of a scan of {whole}, {lungs.mean():.0%} of them lung")
        rows = [(v, measure(v, "chest", folder, arguments.repetitions)[0]) for v in (best, skipping, monai)]
        table(rows)
        print(f"skipped: {1 - rows[1][1].tiles_run / rows[1][1].tiles_all:.0%} of the box's patches\n")
        for scene, one, mask in (("dense", best, np.ones(noise.shape[1:], bool)), ("chest", skipping, lungs)):
            scores = [measure(replace(v, answer=Answer.SCORES), scene, folder, 1)[1] for v in (one, monai)]
            apart = np.abs(scores[0] - scores[1])[:, mask].max()
            print(f"parity, {scene}: scores differ by at most {apart:.1e}")


if __name__ == "__main__":
    main()

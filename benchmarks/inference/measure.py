"""One variant on one image, in a process of its own: `python -m benchmarks.inference.measure JOB`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.inference.variants import Variant, ours, peer, rules_of
from imaging.pipeline import Answer
from models.spec import ModelSpec


@dataclass(frozen=True)
class Measurement:
    """Seconds (median), peak memory that the run added (MiB), and how many patches ran of how many."""

    seconds: float
    peak_mib: float
    tiles_run: int
    tiles_all: int


@contextmanager
def added_memory() -> Iterator[Callable[[], float]]:
    """A function that says by how many MiB the process has grown at most since."""
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the high-water mark (Linux, proc(5))
    yield lambda: (_status("VmHWM") - before) / 1024


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def work(job: dict[str, Any]) -> None:
    """In a process of its own: one variant on one image; prints its `Measurement`."""
    folder, variant = Path(job["folder"]), Variant(**job["variant"] | {"answer": Answer(job["variant"]["answer"])})
    spec = ModelSpec.model_validate_json((folder / "spec.json").read_text(encoding="utf-8"))
    image, mask = np.load(folder / f"{job['scene']}.npy"), np.load(folder / f"{job['scene']}_mask.npy")
    run = (peer if variant.peer else ours)(variant, spec, folder)
    patch = rules_of(spec).patch
    for _ in range(2):  # ONNX Runtime plans memory in the first run and takes it in the second
        run(np.zeros((1, *patch), np.float32), np.ones(patch, bool))
    seconds, peak = [], 0.0
    for _ in range(job["repetitions"]):
        with added_memory() as added:
            began = time.perf_counter()
            answer, done, of = run(image, mask)
            seconds.append(time.perf_counter() - began)
            peak = max(peak, added())
    np.save(folder / "answer.npy", answer)
    print(json.dumps(asdict(Measurement(median(seconds), peak, done, of))))


def measure(variant: Variant, scene: str, folder: Path, repetitions: int) -> tuple[Measurement, NDArray[Any]]:
    """Run one variant in a process of its own."""
    job = {"variant": asdict(variant), "scene": scene, "folder": str(folder), "repetitions": repetitions}
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.inference.measure", json.dumps(job)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Measurement(**json.loads(done.stdout.splitlines()[-1])), np.load(folder / "answer.npy")


if __name__ == "__main__":
    work(json.loads(sys.argv[1]))

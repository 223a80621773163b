"""Variants that take turns on one image, each in a process of its own.

Within each repetition every variant runs once, so that what else the machine does meets all of them; a ratio is the
median of the ratios within the repetitions.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.inference.variants import Variant, prepared, rules_of
from imaging.pipeline import Answer
from models.spec import ModelSpec


@dataclass(frozen=True)
class Measurement:
    """One variant.

    Parameters
    ----------
    seconds, processor_seconds
        By repetition, from image to answer.
    peak_mib
        By how much the process grew at most, over what it was with the network loaded and the image read.
    tiles_run, tiles_all
        How many patches ran, of how many.
    """

    seconds: tuple[float, ...]
    processor_seconds: tuple[float, ...]
    peak_mib: float
    tiles_run: int
    tiles_all: int

    def faster_than(self, other: Measurement, *, processor: bool = False) -> float:
        """Median, over the repetitions, of the other's seconds by ours."""
        if processor:
            return median(b / a for a, b in zip(self.processor_seconds, other.processor_seconds, strict=True))
        return median(b / a for a, b in zip(self.seconds, other.seconds, strict=True))


class Worker:
    """A variant in a process of its own, which runs when told to."""

    def __init__(self, variant: Variant, scene: str, folder: Path) -> None:
        self._runs: list[dict[str, Any]] = []
        self._answer = folder / f"answer-{id(self)}.npy"
        job = {"variant": asdict(variant), "scene": scene, "folder": str(folder), "answer": str(self._answer)}
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.inference.measure", json.dumps(job)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._line()  # loaded and warm

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is not None:
            self._process.kill()
        self._process.communicate()

    def run(self) -> None:
        """Once over the image."""
        self._tell("run")
        self._runs.append(self._line())

    def answer(self) -> NDArray[Any]:
        """Of the last run."""
        self._tell("save")
        self._line()
        found: NDArray[Any] = np.load(self._answer)
        self._answer.unlink()
        return found

    def measurement(self) -> Measurement:
        """All runs so far."""
        last = self._runs[-1]
        return Measurement(
            tuple(run["seconds"] for run in self._runs),
            tuple(run["processor_seconds"] for run in self._runs),
            last["peak_mib"],
            last["tiles_run"],
            last["tiles_all"],
        )

    def _tell(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a variant's process ended with {self._process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found


def in_turn(variants: Sequence[Variant], scene: str, folder: Path, repetitions: int) -> list[Measurement]:
    """Each variant once in every repetition, the first one last in the next."""
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(variant, scene, folder)) for variant in variants]
        for repetition in range(repetitions):
            first = repetition % len(workers)
            for worker in workers[first:] + workers[:first]:
                worker.run()
        return [worker.measurement() for worker in workers]


def answers(variants: Sequence[Variant], scene: str, folder: Path) -> list[NDArray[Any]]:
    """Of each variant, once."""
    found = []
    for variant in variants:
        with Worker(variant, scene, folder) as worker:
            worker.run()
            found.append(worker.answer())
    return found


def serve(job: dict[str, Any]) -> None:
    """In the variant's process: a line of JSON when ready, and one for each line read."""
    folder, variant = Path(job["folder"]), Variant(**job["variant"] | {"answer": Answer(job["variant"]["answer"])})
    spec = ModelSpec.model_validate_json((folder / "spec.json").read_text(encoding="utf-8"))
    image, mask = np.load(folder / f"{job['scene']}.npy"), np.load(folder / f"{job['scene']}_mask.npy")
    run = prepared(variant, spec, folder)
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the high-water mark (Linux, proc(5))
    patch = rules_of(spec).patch
    for _ in range(2):  # ONNX Runtime plans memory in the first run and takes it in the second
        run(np.zeros((1, *patch), np.float32), np.ones(patch, bool))
    print("{}", flush=True)
    answers: list[NDArray[Any]] = []
    for line in sys.stdin:
        if line.strip() == "save":
            np.save(job["answer"], answers[-1])
            print("{}", flush=True)
            continue
        answers.clear()  # the next one's memory is not to come on top
        began, processor = time.perf_counter(), time.process_time()
        answer, tiles_run, tiles_all = run(image, mask)
        report = {
            "seconds": time.perf_counter() - began,
            "processor_seconds": time.process_time() - processor,
            "peak_mib": (_status("VmHWM") - before) / 1024,
            "tiles_run": tiles_run,
            "tiles_all": tiles_all,
        }
        answers.append(answer)
        print(json.dumps(report), flush=True)


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))

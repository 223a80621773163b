"""What a version costs, beside the champion: time per case and peak memory, each in fresh processes, taken in turns.

`python -m training.gate.cost` is such a process: it reads a request on standard input and answers on standard output.
Memory is what the version adds: the process's peak (VmHWM of `/proc/self/status`) less what it held before the
version was loaded (VmRSS), as the libraries' own share would hide a difference.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from imaging.errors import EngineError
from inference.engine import OnnxEngine
from models.store import ModelStore, ReleasedModel
from training.evaluation.evaluator import Case, evaluator_for
from training.gate.decision import Check
from training.gate.rules import GateRules

ROUNDS = 3
CASES = 3
LEAST_MEGABYTES = 16.0  # below it a ratio is that of two noises
TIMEOUT_SECONDS = 900


@dataclass(frozen=True)
class Cost:
    """Of one version.

    Parameters
    ----------
    seconds
        Per case, median.
    megabytes
        Added at the peak, median of the rounds.
    """

    seconds: float
    megabytes: float


class CandidateError(EngineError):
    """The candidate can't be measured, which is the candidate's own fault."""


def compare_costs(
    candidate: ReleasedModel, champion: ReleasedModel | None, cases: Sequence[Case]
) -> tuple[Cost, Cost | None]:
    """Measure both by turns on the same cases.

    Raises
    ------
    CandidateError
        The candidate can't be run.
    EngineError
        The champion can't be run.
    """
    ours: list[Cost] = []
    theirs: list[Cost] = []
    for turn in range(ROUNDS):
        pair = ((candidate, ours), (champion, theirs))
        for version, kept in pair if turn % 2 == 0 else pair[::-1]:
            if version is not None:
                kept.append(
                    _in_fresh_process(version, cases[:CASES], CandidateError if kept is ours else EngineError)
                )
    return _middle(ours), _middle(theirs) if theirs else None


def cost_checks(candidate: Cost, champion: Cost | None, rules: GateRules) -> tuple[Check, ...]:
    """Latency and memory against the champion's; of a first version they are told only."""
    times = candidate.seconds, champion.seconds if champion else None
    peaks = _counted(candidate), _counted(champion) if champion else None
    return (
        _check("latency", "s per case", *times, rules.latency_ratio_max),
        _check("memory", "MB at the peak", *peaks, rules.memory_ratio_max),
    )


def _counted(cost: Cost) -> float:
    return max(cost.megabytes, LEAST_MEGABYTES)


def _check(name: str, unit: str, ours: float, theirs: float | None, most: float) -> Check:
    if theirs is None:
        words = f"{ours:.3g} {unit}; there is no champion to compare with"
        return Check(name=name, passed=True, words=words, figures={"candidate": ours})
    ratio = ours / theirs
    words = f"{ours:.3g} {unit}, the champion {theirs:.3g}: ratio {ratio:.2f}, at most {most:g} is allowed"
    figures = {"candidate": ours, "champion": theirs, "ratio": ratio, "most": most}
    return Check(name=name, passed=ratio <= most, words=words, figures=figures)


def _middle(costs: Sequence[Cost]) -> Cost:
    return Cost(median(c.seconds for c in costs), median(c.megabytes for c in costs))


def _in_fresh_process(version: ReleasedModel, cases: Sequence[Case], failed: type[EngineError]) -> Cost:
    request = {
        "folder": str(version.path.parents[2]),
        "name": version.name,
        "version": version.version,
        "cases": b64encode(pickle.dumps(tuple(cases))).decode(),
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "training.gate.cost"],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr.decode(errors="replace").strip().splitlines() or ["it was killed"])[-1]
        raise failed(f"{version.name} {version.version} can't be measured: {last}") from None
    except subprocess.TimeoutExpired:
        raise failed(f"{version.name} {version.version} took more than {TIMEOUT_SECONDS} s") from None
    return Cost(**json.loads(done.stdout))


def _measure(request: Mapping[str, str]) -> Cost:
    """Time and peak memory of this very process."""
    asked: tuple[Case, ...] = pickle.loads(b64decode(request["cases"]))  # noqa: S301  its own parent made it
    cases = [case.load() for case in asked]
    before = _megabytes("VmRSS")
    model = OnnxEngine(ModelStore((Path(request["folder"]),))).open(request["name"], request["version"])
    evaluator = evaluator_for(model.spec)
    seconds = []
    for case in cases:
        for _ in range(2):  # the first time warms up
            began = time.perf_counter()
            evaluator.answer(model, case)
            last = time.perf_counter() - began
        seconds.append(last)
    return Cost(median(seconds), _megabytes("VmHWM") - before)


def _megabytes(name: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise EngineError(f"this system doesn't tell a process's memory ({name})")


def main() -> None:
    """Answer one request."""
    print(json.dumps(asdict(_measure(json.load(sys.stdin)))))


if __name__ == "__main__":
    main()

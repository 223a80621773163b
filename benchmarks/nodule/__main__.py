"""A chest CT's way through Raysight, by stage: `python -m benchmarks.nodule`.

A real archive (Orthanc) forwards lidc-0314 (275 slices, JPEG-LS) to `raysight serve` with the shipped settings;
counted is from the last C-STORE's answer until the archive has proved that it has the report. The configured finder
and the classical baseline take turns, each on a fresh home and archive. With more than two cores two are used.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

import yaml

from benchmarks.nodule.loop import ROOT, Way, run_way

GOAL_SECONDS, GOAL_MB = 30.0, 3072.0
PEER = "baseline"
CITED = "Cited, not measured here: a public U-Net pipeline of the same task takes 144 s of compute alone on 2 cores."


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("RAYSIGHT_TEST_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default, help="the folder of real images")
    parser.add_argument("--scan", default="lidc-0314", help="a folder under ct/ (lidc-0314)")
    parser.add_argument("--finders", nargs="+", help="as the configuration names them (the shipped one and baseline)")
    parser.add_argument("--models", type=Path, help="a folder of models in place of the shipped ones")
    parser.add_argument("--repetitions", type=int, default=3, help="(3)")
    parser.add_argument("--patience", type=float, default=900, help="seconds until a way counts as lost (900)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    told = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[:2]
    os.sched_setaffinity(0, cores)
    files = sorted((told.data / "ct" / told.scan).glob("*.dcm"))
    if not files:
        parser.error(f"no images under {told.data / 'ct' / told.scan}")
    finders = told.finders or list(dict.fromkeys([_configured(), PEER]))
    place = {
        "machine": f"{len(cores)} cores, {_processor()}, Linux {platform.release()}",
        "load average before": _load(),
    }
    ways = []
    for repetition in range(1, told.repetitions + 1):
        for finder in finders:
            with tempfile.TemporaryDirectory(prefix="raysight-nodule-") as folder:
                way = run_way(files, Path(folder), finder, models=told.models, patience=told.patience)
            ways.append(way)
            print(f"{repetition}: {finder:10} {way.whole:6.1f} s, {way.model}", file=sys.stderr, flush=True)
    place["load average after"] = _load()
    if told.json:
        print(json.dumps({"machine": place, "ways": [asdict(w) for w in ways]}, indent=2))
    else:
        print("\n".join(report(f"{told.scan}, {len(files)} slices", place, ways)))


def report(title: str, place: dict[str, str], ways: Sequence[Way]) -> list[str]:
    """The tables as Markdown: medians over the repetitions, and the median of each repetition's ratio."""
    finders = list(dict.fromkeys(w.finder for w in ways))
    of = {finder: [w for w in ways if w.finder == finder] for finder in finders}
    lines = [title, "", *(f"- {name}: {value}" for name, value in place.items())]
    lines += [
        f"- {f}: {of[f][0].model}, {of[f][0].findings} findings, complete: {of[f][0].evidence}" for f in finders
    ]
    names = list(dict.fromkeys(name for w in ways for name in w.seconds))
    lines += ["", f"| seconds | {' | '.join(finders)} |", f"|---|{'---|' * len(finders)}"]
    for name in names:
        cells = [f"{median(w.seconds[name] for w in of[f]):.1f}" if name in of[f][0].seconds else "" for f in finders]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    wholes = [_middle([w.whole for w in of[f]]) for f in finders]
    lines.append(f"| **last C-STORE to confirmed** | {' | '.join(wholes)} |")
    if PEER in of:
        ratios = [_middle([a.whole / b.whole for a, b in zip(of[f], of[PEER], strict=True)], ".2f") for f in finders]
        lines.append(f"| ÷ {PEER}, same repetition | {' | '.join(ratios)} |")
    lines += ["", f"| most memory, MB | {' | '.join(finders)} |", f"|---|{'---|' * len(finders)}"]
    for role in dict.fromkeys(name.split()[0] for w in ways for name in w.peak_mb):
        lines.append(f"| {role} | {' | '.join(_most(of[f], role) for f in finders)} |")
    totals = [f"{max(sum(w.peak_mb.values()) for w in of[f]):.0f}" for f in finders]
    lines += [f"| all, each at its own peak | {' | '.join(totals)} |", ""]
    lines.append(f"Goals: {GOAL_SECONDS:.0f} s, {GOAL_MB:.0f} MB. {CITED}")
    return lines


def _most(ways: Sequence[Way], role: str) -> str:
    peaks = [peak for w in ways for name, peak in w.peak_mb.items() if name.split()[0] == role]
    return f"{max(peaks):.0f}" if peaks else ""


def _middle(values: Sequence[float], form: str = ".1f") -> str:
    return f"{median(values):{form}} ({min(values):{form}}–{max(values):{form}})"


def _configured() -> str:
    told = yaml.safe_load((ROOT / "configs" / "pipelines" / "lung_nodule.yaml").read_text(encoding="utf-8"))
    return str(told.get("finder", PEER))


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())


def _load() -> str:
    return ", ".join(f"{value:.1f}" for value in os.getloadavg())


if __name__ == "__main__":
    main()

"""Images per second into the node, beside Orthanc and dcmtk's storescp: `python -m benchmarks.ingest`.

Every repetition measures each server once under each load, one after the other, each on an empty folder of the same
file system. Two rates are told: images per second of wall time, and images per second of the server's own processor
time, in which the senders have no part. With two cores or more each load runs a second time with the server on one
core and the senders on another. One sender waits for three fsyncs an image on our side, so what the disk alone takes
for them is told too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

from benchmarks.ingest.disk import sync_seconds
from benchmarks.ingest.images import batches
from benchmarks.ingest.measure import Measurement, measure
from benchmarks.ingest.servers import ROOT, SERVERS, Server

OURS = SERVERS[0].name


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("RAYSIGHT_TEST_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default, help="the folder of real images")
    parser.add_argument("--images", type=int, default=300, help="of each sender (300)")
    parser.add_argument("--senders", type=int, nargs="+", default=[1, 4], help="at once (1 4)")
    parser.add_argument("--repetitions", type=int, default=3, help="(3)")
    parser.add_argument("--servers", nargs="+", choices=[s.name for s in SERVERS], default=[s.name for s in SERVERS])
    parser.add_argument("--folder", type=Path, help="where all of them store (a temporary folder)")
    parser.add_argument("--unpinned", action="store_true", help="leave out the variant with a core for the server")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the tables")
    arguments = parser.parse_args()
    servers = [s for s in SERVERS if s.name in arguments.servers]
    for server in servers:
        if server.absent:
            print(f"left out: {server.absent}", file=sys.stderr)
    servers = [s for s in servers if not s.absent]
    cores = len(os.sched_getaffinity(0))
    pinned = [False] if arguments.unpinned or cores < 2 else [False, True]
    studies = batches(arguments.data / "ct" / "lidc-0001-slab", max(arguments.senders), arguments.images)
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="raysight-ingest-") as folder:
        place = describe(Path(folder), cores)
        measured, syncs = [], []
        for repetition in range(1, arguments.repetitions + 1):
            syncs.append(1000 * sync_seconds(Path(folder)))
            for count in arguments.senders:
                for apart in pinned:
                    for server in servers:
                        one = measure(server, studies[:count], Path(folder) / "server", pinned=apart)
                        measured.append(one)
                        _progress(repetition, one)
        place["fsync of file, folder and log line alone, ms"] = f"{_middle(syncs, '.1f')} at each repetition's start"
        place["load average after"] = _load()
    if arguments.json:
        print(json.dumps({"machine": place, "measurements": [asdict(m) for m in measured]}, indent=2))
    else:
        print("\n".join(report(place, servers, measured)))


def describe(folder: Path, cores: int) -> dict[str, str]:
    """Machine, file system and versions: what the figures depend on."""
    processor = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = (line.partition(":")[2].strip() for line in processor if line.startswith("model name"))
    model = next(models, platform.machine())
    device, kind = _output("df", "--output=source,fstype", str(folder)).splitlines()[1].split()
    return {
        "machine": f"{cores} cores, {model}, Linux {platform.release()}",
        "file system": f"{kind} ({device}), every server on it",
        "Python": platform.python_version(),
        "Orthanc": _version("Orthanc"),
        "dcmtk": _version("storescp"),
        "load average before": _load(),
    }


def report(place: dict[str, str], servers: Sequence[Server], measured: Sequence[Measurement]) -> list[str]:
    """The tables as Markdown: medians over the repetitions, and the median of each repetition's ratio."""
    lines = [f"- {name}: {value}" for name, value in place.items()]
    lines += [f"- {s.name}: {s.about}" for s in servers]
    loads = dict.fromkeys((m.senders, m.pinned) for m in measured)
    for senders, pinned in loads:
        of_load = [m for m in measured if (m.senders, m.pinned) == (senders, pinned)]
        where = "server on one core, senders on another" if pinned else "server and senders on all cores"
        lines += [
            "",
            f"{senders} sender{'s' if senders > 1 else ''}, {of_load[0].images} images, {where}:",
            "",
            "| server | images/s | images per server CPU second | server CPU, ms/image (of it until answered) "
            "| sender CPU, ms/image | ours ÷ it, images/s | ours ÷ it, per CPU second |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [_row(s.name, of_load) for s in servers]
    return lines


def _row(name: str, of_load: Sequence[Measurement]) -> str:
    its = [m for m in of_load if m.server == name]
    ours = [m for m in of_load if m.server == OURS]
    walls = [a.rate / b.rate for a, b in zip(ours, its, strict=False)]
    cpus = [a.cpu_rate / b.cpu_rate for a, b in zip(ours, its, strict=False)]
    other = name != OURS and bool(ours)
    cells = [
        name,
        _middle((m.rate for m in its), ".0f"),
        _middle((m.cpu_rate for m in its), ".0f"),
        f"{_per_image(its, 'server_cpu_seconds')} ({_per_image(its, 'answer_cpu_seconds')})",
        _per_image(its, "sender_cpu_seconds"),
        _middle(walls, ".2f") if other else "",
        _middle(cpus, ".2f") if other else "",
    ]
    return f"| {' | '.join(cells)} |"


def _per_image(measured: Sequence[Measurement], what: str) -> str:
    return f"{median(1000 * getattr(m, what) / m.images for m in measured):.2f}"


def _middle(values: Iterable[float], form: str) -> str:
    """Median, and lowest to highest."""
    found = sorted(values)
    return f"{median(found):{form}} ({found[0]:{form}}–{found[-1]:{form}})"


def _progress(repetition: int, one: Measurement) -> None:
    where = "pinned" if one.pinned else "free"
    told = f"{one.rate:6.0f} images/s {1000 * one.server_cpu_seconds / one.images:6.2f} ms CPU/image"
    print(f"{repetition}: {one.senders} senders, {where:6} {one.server:24} {told}", file=sys.stderr, flush=True)


def _version(program: str) -> str:
    try:
        return _output(program, "--version").splitlines()[0]
    except FileNotFoundError:
        return "absent"


def _load() -> str:
    return ", ".join(f"{value:.1f}" for value in os.getloadavg())


def _output(*command: str) -> str:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    return subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"PATH": path}).stdout


if __name__ == "__main__":
    main()

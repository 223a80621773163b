"""The nodules against the earlier CT: read in the same way, laid onto the present one, paired, and their change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from imaging import codes
from imaging.errors import ImageError
from imaging.geometry import Vector
from imaging.images import Volume
from imaging.pipeline import Prior
from imaging.reading import EarlierPlace, Finding
from pipelines.lung_nodule.configuration import LungNoduleConfiguration
from pipelines.lung_nodule.followup.change import Course, Followed, follow, kernel_class
from pipelines.lung_nodule.followup.pairing import Fate, Pairing, Seen, Shown, pair
from pipelines.lung_nodule.followup.registration import NotRegistered, Registration, register
from pipelines.lung_nodule.guidelines.coded import lung_rads_category
from pipelines.lung_nodule.guidelines.facts import Change, Comparison
from pipelines.lung_nodule.guidelines.growth import Measured
from pipelines.lung_nodule.lungs import find_lungs
from pipelines.lung_nodule.nodule import Mark, Nodule, Way, distinct

_SAME_MM = 5.0  # a mark so near to an earlier finding is on it, or within half its long axis


@dataclass(frozen=True)
class Past:
    """One nodule against the earlier CT.

    Parameters
    ----------
    fate
        NEW, NOT_SHOWN or NOT_COMPARED; None where it has a partner.
    comparison
        For the guidelines; None where nothing is known of the earlier CT at its place.
    followed
        Its change; None without a partner that could be measured.
    why
        Why it isn't compared.
    tracking_uid
        Its own in the earlier reading.
    place
        In the earlier CT.
    """

    fate: Fate | None
    comparison: Comparison | None = None
    followed: Followed | None = None
    why: str = ""
    tracking_uid: str | None = None
    place: EarlierPlace | None = None

    @property
    def words(self) -> str:
        """What became of it, for people."""
        if self.fate is Fate.NEW:
            return str(Fate.NEW)
        return str(self.followed.course if self.followed else Course.NOT_COMPARABLE)


@dataclass(frozen=True)
class Compared:
    """What the earlier CT says.

    Parameters
    ----------
    nodules
        Those now; with those that were too faint by themselves, and had a reported partner then.
    pasts
        Of each of them, in that order.
    notes
        Nodules then that aren't seen now; why nothing was compared.
    """

    nodules: tuple[Nodule, ...]
    pasts: tuple[Past, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Present:
    """The CT that is read: what it shows, its nodules, and its marks that are too faint to be reported."""

    shown: Shown
    nodules: Sequence[Nodule]
    faint: Sequence[Mark] = ()


def compare(present: Present, prior: Prior, way: Way, rules: LungNoduleConfiguration) -> Compared:
    """Every nodule against the earlier CT.

    One that isn't a chest, or can't be laid onto this one, is told of, and nothing is called new or gone.
    """
    nodules = tuple(present.nodules)
    volume = prior.images[0]
    if not isinstance(volume, Volume):
        raise TypeError("an earlier CT is a volume")
    try:
        then = Shown(volume, find_lungs(volume, rules.lungs))
    except ImageError as error:
        past = Past(Fate.NOT_COMPARED, why=str(error))
        return Compared(nodules, (past,) * len(nodules), (f"The earlier CT could not be compared: {error}",))
    return _Comparison(present, then, prior, way, rules).run()


@dataclass(frozen=True, eq=False)
class _Comparison:
    present: Present
    then: Shown
    prior: Prior
    way: Way
    rules: LungNoduleConfiguration

    @property
    def days(self) -> int:
        """Between the two CTs."""
        return max(1, round(self.prior.days))

    def run(self) -> Compared:
        rules, now, then = self.rules.follow_up, self.present, self.then
        marks = list(self.way.find(then.volume, then.lungs))
        said, alone = _said_of(marks, self._findings())
        marks += [Mark(f.centre, _size(f), reported=False) for f in alone]
        said |= {len(marks) - len(alone) + k: f for k, f in enumerate(alone)}
        registration = register(now.shown.volume, now.shown.lungs, then.volume, then.lungs, rules.registration)
        seen = [Seen(_centre(n), n.ball_mm, n.facts.density) for n in now.nodules]
        seen += [Seen(m.point, _diameter(m), reported=False) for m in now.faint]
        before = [Seen(m.point, _diameter(m), reported=m.reported) for m in marks]
        pairing = pair(seen, before, registration, present=now.shown, prior=then, rules=rules.pairing)
        nodules = list(now.nodules)
        pasts: dict[int, Past] = {}
        notes: list[str] = []
        for one in pairing.pairs:
            index = one.now
            if index >= len(now.nodules):
                nodule = self.way.measure(now.shown.volume, now.faint[index - len(now.nodules)])
                if nodule is None:
                    notes.append(f"{self._name(marks[one.then], said.get(one.then))} is seen now, but not measured.")
                    continue
                if len(distinct([*nodules, nodule])) == len(nodules):
                    notes.append(f"{self._name(marks[one.then], said.get(one.then))} is part of another one now.")
                    continue
                nodules.append(nodule)
                index = len(nodules) - 1
            pasts[index] = self._paired(nodules[index], marks[one.then], said.get(one.then))
        pasts |= {one.index: self._single(one.fate, one.why, nodules[one.index], registration) for one in pairing.now}
        notes += self._lost(pairing, marks, said, registration)
        return Compared(tuple(nodules), tuple(pasts[k] for k in range(len(nodules))), tuple(notes))

    def _findings(self) -> Sequence[Finding]:
        """What was reported of the same series then."""
        result = self.prior.result
        series = self.then.volume.series.series_instance_uid
        return result.reading.findings if result and result.reading.series_instance_uid == series else ()

    def _paired(self, nodule: Nodule, mark: Mark, said: Finding | None) -> Past:
        uid = said.tracking_uid if said else None
        category = lung_rads_category(said.assessments) if said else None
        before = self.way.measure(self.then.volume, mark)
        if before is None:
            why = "it couldn't be measured in the earlier CT"
            comparison = Comparison.same(Change.NOT_COMPARABLE, self.days, why)
            return Past(None, comparison, None, why, uid, self._place(mark.point, "seen, not measured"))
        then, now = self._measured(before, self.then), self._measured(nodule, self.present.shown)
        followed = follow(then, now, self.days, category)
        words = _axes(before)
        return Past(
            None,
            followed.comparison,
            followed,
            followed.why,
            uid,
            self._place(_centre(before), words, before.key_slice),
        )

    def _single(self, fate: Fate, why: str, nodule: Nodule, registration: Registration | NotRegistered) -> Past:
        if isinstance(registration, NotRegistered):
            return Past(fate, why=why)
        x, y, z = (float(v) for v in registration.to_prior(_centre(nodule))[0])
        if fate is Fate.NEW:
            return Past(fate, Comparison.same(Change.NEW, self.days), place=self._place((x, y, z), "not there"))
        return Past(fate, Comparison.same(Change.BASELINE, self.days, why), why=why)

    def _measured(self, nodule: Nodule, shown: Shown) -> Measured:
        series, facts = shown.volume.series, nodule.facts
        return Measured(
            facts.mean_any_plane_mm,
            facts.mean_largest_image_mm,
            facts.solid_mean_mm,
            facts.volume_mm3,
            nodule.volume_error,
            series.thickness,
            kernel_class(series, self.rules.selection),
        )

    def _place(self, centre: Vector, words: str, key_slice: int | None = None) -> EarlierPlace | None:
        """A place in the earlier CT; None where it lies past it."""
        geometry = self.then.volume.geometry
        slice_, row, column = (float(v) for v in geometry.to_index(centre))
        index = round(slice_) if key_slice is None else key_slice
        if not 0 <= index < geometry.shape[0]:
            return None
        return EarlierPlace(self.then.volume.series.series_instance_uid, index, row, column, words)

    def _lost(
        self,
        pairing: Pairing,
        marks: Sequence[Mark],
        said: Mapping[int, Finding],
        registration: Registration | NotRegistered,
    ) -> tuple[str, ...]:
        if isinstance(registration, NotRegistered):
            return (f"{registration.why[:1].upper()}{registration.why[1:]}: no nodule was compared.",)
        names = [(one, self._name(marks[one.index], said.get(one.index))) for one in pairing.then]
        return tuple(
            f"{name} is not seen any more." if one.fate is Fate.GONE else f"{name} is not shown now: {one.why}."
            for one, name in names
        )

    def _name(self, mark: Mark, said: Finding | None) -> str:
        """A nodule of the earlier CT, for people."""
        index = float(self.then.volume.geometry.to_index(mark.point)[0])
        own = f", its finding {said.number}," if said else ""
        return f"The nodule of the earlier CT at slice {round(index) + 1} (about {_diameter(mark):.0f} mm){own}"


def _said_of(marks: Sequence[Mark], findings: Sequence[Finding]) -> tuple[dict[int, Finding], list[Finding]]:
    """Which finding each mark of the earlier CT is, nearest first; and the findings that no mark is on."""
    near = sorted(
        (float(np.linalg.norm(np.subtract(mark.point, finding.centre))), k, n)
        for k, mark in enumerate(marks)
        for n, finding in enumerate(findings)
    )
    said: dict[int, Finding] = {}
    taken: set[int] = set()
    for away, k, n in near:
        if k not in said and n not in taken and away <= max(_SAME_MM, _size(findings[n]) / 2):
            said[k] = findings[n]
            taken.add(n)
    return said, [finding for n, finding in enumerate(findings) if n not in taken]


def _size(finding: Finding) -> float:
    return finding.measured(codes.LONG_AXIS) or _SAME_MM


def _diameter(mark: Mark) -> float:
    return mark.diameter or _SAME_MM


def _centre(nodule: Nodule) -> Vector:
    x, y, z = (float(v) for v in nodule.mask.centroid)
    return x, y, z


def _axes(nodule: Nodule) -> str:
    sizes = {m.concept: m.value for m in nodule.measurements if m.derivation is None}
    return f"{sizes[codes.LONG_AXIS]:.1f} × {sizes[codes.SHORT_AXIS]:.1f} mm, {sizes[codes.VOLUME] / 1000:.2f} ml"

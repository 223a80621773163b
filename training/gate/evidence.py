"""What a version must bring along before the gate looks at a score: file, lineage, approval, parity, card, no leak.

None of these costs a look at the gate's cases.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from imaging.errors import CohortError, ConfigurationError, RaysightError
from models.store import ReleasedModel
from training.cohort import Cohort, Split, Use, leaks, load_cohort, require
from training.cohort.members import DEVELOPMENT
from training.evaluation.card import card_problems
from training.evaluation.kept import card_of, evaluation_of
from training.gate.decision import Check
from training.places import Places
from training.runs.folder import MANIFEST, WEIGHTS
from training.runs.record import RunRecord, read_record
from training.runs.start import probed
from training.tasks.probes import probes

if TYPE_CHECKING:
    from training.export.parity import Parity

LEAKS_TOLD = 3


def gather(places: Places, released: ReleasedModel, gate: Cohort, on: date, data: Path) -> tuple[Check, ...]:
    """Check everything about a version that its figures don't tell.

    Parameters
    ----------
    gate
        The cohort whose gate and test splits the version's training must not have seen.
    data
        The folder that cohorts' paths start from.
    """
    lineage, record, cohort = _lineage(places, released)
    return (
        _file(released, record),
        lineage,
        _approval(cohort, gate, on),
        _parity(places, released, record, cohort, data),
        _card(released, gate),
        _leak(cohort, gate),
    )


def _file(released: ReleasedModel, record: RunRecord | None) -> Check:
    figures = {"sha256": released.sha256}
    if record is not None and record.onnx_sha256 != released.sha256:
        made = record.onnx_sha256[:12] + "…" if record.onnx_sha256 else "nothing"
        words = f"run {record.run} exported {made}, and model.onnx is {released.sha256[:12]}…: publish the run again"
        return Check(name="file", passed=False, words=words, figures=figures)
    return Check(name="file", passed=True, words=f"model.onnx is unaltered, {released.sha256[:12]}…", figures=figures)


def _lineage(places: Places, released: ReleasedModel) -> tuple[Check, RunRecord | None, Cohort | None]:
    """The check, and what the run's own folder says; the record only in its folder counts."""
    try:
        named = RunRecord.model_validate(released.provenance.lineage.get("run"))
    except ValidationError:
        return _no("lineage", "provenance.json names no run: publish it with `raysight train`"), None, None
    folder = places.runs / named.run
    try:
        record = read_record(folder)
        cohort = load_cohort(folder / MANIFEST)
    except RaysightError as error:
        return _no("lineage", f"what run {named.run} was made of can't be read: {error}"), None, None
    problems = []
    if record.model != released.name:
        problems.append(f"run {record.run} is of {record.model}")
    if record.state != "done":
        problems.append(f"run {record.run} is {record.state}, not done")
    if not record.cohort.digest == named.cohort.digest == cohort.digest:
        problems.append(
            f"run {record.run} saw cohort {record.cohort.digest[:12]}…, provenance.json says "
            f"{named.cohort.digest[:12]}…, the manifest beside the run is {cohort.digest[:12]}…"
        )
    if problems:
        return _no("lineage", "; ".join(problems)), record, cohort
    words = f"run {record.run} on cohort {cohort.name} {cohort.digest[:12]}…"
    figures = {"run": record.run, "cohort": cohort.digest, "revision": record.revision}
    return Check(name="lineage", passed=True, words=words, figures=figures), record, cohort


def _approval(cohort: Cohort | None, gate: Cohort, on: date) -> Check:
    if cohort is None:
        return _no("approval", "the cohort isn't known, so nobody's approval is")
    try:
        require(cohort, Use.RELEASE, on)
        require(gate, Use.EVALUATE, on)
    except CohortError as error:
        return _no("approval", str(error))
    words = f"by {cohort.approval.by} until {cohort.approval.until}, release allowed"
    return Check(name="approval", passed=True, words=words)


def _parity(
    places: Places, released: ReleasedModel, record: RunRecord | None, cohort: Cohort | None, data: Path
) -> Check:
    """What the export found, and found again here: torch against the file itself, on the run's validation cases."""
    claimed = released.provenance.lineage.get("parity")
    if not isinstance(claimed, Mapping) or not claimed:
        return _no("parity", "provenance.json tells of none: publish the run again")
    if claimed.get("onnx_sha256") != released.sha256:
        return _no("parity", "parity was checked on another ONNX file: export the run again", claimed)
    if claimed.get("passed") is not True:
        words = f"torch and ONNX differ by {claimed.get('max_difference')}: more than the tolerance"
        return _no("parity", words, claimed)
    if record is None or cohort is None:
        return _no("parity", "the run isn't known, so it can't be checked again", claimed)
    try:
        found = _parity_here(places.runs / record.run, released, record, cohort, data)
    except _NotHere as reason:
        if record.merged_from:
            return _no(
                "parity", f"the run was trained elsewhere, and it can't be checked again here: {reason}", claimed
            )
        words = f"torch and ONNX differed by {claimed.get('max_difference')} when the run was exported; {reason}"
        return Check(name="parity", passed=True, words=words, figures=claimed)
    except RaysightError as error:
        return _no("parity", f"it can't be checked again: {error}", claimed)
    return Check(name="parity", passed=found.passed, words=found.words, figures=found.model_dump(mode="json"))


class _NotHere(Exception):
    """What is needed to check parity isn't on this machine; says what."""


def _parity_here(folder: Path, released: ReleasedModel, record: RunRecord, cohort: Cohort, data: Path) -> Parity:
    if not (folder / WEIGHTS).is_file():
        raise _NotHere(f"not checked again, as {folder / WEIGHTS} is gone")
    if find_spec("torch") is None:
        raise _NotHere("not checked again, as torch isn't installed here")
    from training.export.export import parity_with_run  # noqa: PLC0415  loads torch

    members = probed(cohort, record.fold)
    if lost := [m.case for m in members if not all((data / file.path).is_file() for file in m.files)]:
        raise _NotHere(f"not checked again, as {data} lacks {len(lost)} of the cases that the run was validated on")
    return parity_with_run(folder, released.path, probes(released.spec, members, data))


def _card(released: ReleasedModel, gate: Cohort) -> Check:
    """Its figures are on the test split, or pooled over folds where the gate's cohort has none."""
    if gate.only(Split.TEST):
        where, command = "on the test split", f"`raysight evaluate {released.name} --version {released.version}`"
    else:
        where, command = "pooled over the folds", f"`raysight evaluate {released.name} --cv`"
    try:
        evaluation, card = evaluation_of(released), card_of(released)
    except ConfigurationError as error:
        return _no("card", str(error))
    if evaluation is None:
        return _no("card", f"it was never evaluated {where}: {command}")
    if gate.only(Split.TEST):
        fits = (evaluation.sha256, evaluation.data) == (released.sha256, "test")
    else:
        fits = evaluation.data == "cv" and released.sha256 in evaluation.runs.values()
    if not fits:
        return _no("card", f"its evaluation is of another file, or not {where}: {command}")
    if problems := card_problems(card, evaluation) if card else ("there is no card.md",):
        return _no("card", "; ".join(problems))
    return Check(name="card", passed=True, words=f"complete, its figures are those of the evaluation {where}")


def _leak(cohort: Cohort | None, gate: Cohort) -> Check:
    if cohort is None:
        return _no("leak", "what the run saw isn't known, so it may have seen the gate's cases")
    # a run trains on the one split of development, and chooses its best epoch by the other
    seen, tested = cohort.only(*DEVELOPMENT), gate.only(Split.GATE, Split.TEST)
    found = leaks(seen, tested)
    figures = {"seen": len(seen), "tested": len(tested), "leaks": len(found)}
    if found:
        rest = len(found) - LEAKS_TOLD
        told = "; ".join(leak.message for leak in found[:LEAKS_TOLD]) + (f"; and {rest} more" if rest > 0 else "")
        return _no("leak", f"training saw what it is tested on: {told}", figures)
    words = f"none of {len(tested)} gate and test cases, nor a copy, is among the {len(seen)} that the run saw"
    return Check(name="leak", passed=True, words=words, figures=figures)


def _no(name: str, words: str, figures: Mapping[str, Any] | None = None) -> Check:
    return Check(name=name, passed=False, words=words, figures=figures or {})

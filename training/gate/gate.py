"""The gate: cheap checks, then a counted look at its own cases, then a decision with its reason in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

from imaging.errors import ConfigurationError, EngineError, UsageError
from inference.engine import OnnxEngine
from models.store import ModelStore, ReleasedModel
from training.cohort import Cohort, CohortShelf, Split
from training.evaluation.evaluate import Tell, cases_of, evaluate, files_digest
from training.evaluation.evaluator import Case
from training.evaluation.kept import EVALUATION, prior_of
from training.evaluation.report import Report
from training.gate.cost import CandidateError, Cost, compare_costs, cost_checks
from training.gate.decision import LOOK, Check, Decision, DecisionBook
from training.gate.evidence import gather
from training.gate.judging import judge_figures
from training.gate.rules import GateRules
from training.locking import locked
from training.places import Places

_EVIDENCE, _COSTS, _OURS = 0.1, 0.4, 0.7
"""Where the first, the second and the third part of the work end, roughly."""
Measure = Callable[[ReleasedModel, ReleasedModel | None, Sequence[Case]], tuple[Cost, Cost | None]]


@dataclass(frozen=True)
class Gate:
    """One model's gate.

    Parameters
    ----------
    rules_sha256
        Of the file that ``rules`` stand in.
    data
        Gives the data folder of the gate's cohort; asked only when a version is judged.
    tell
        Told what is being done, and which share of the whole is done.
    costs
        Measures candidate and champion.
    """

    places: Places
    book: DecisionBook
    rules: GateRules
    rules_sha256: str
    data: Callable[[], Path]
    tell: Tell = field(default=lambda _what, _share: None)
    costs: Measure = compare_costs

    def decide(self, model: str, version: str, champion: ReleasedModel | None, *, by: str, override: str) -> Decision:
        """Judge a version. A look at the gate's cases is kept as it begins; the decision isn't kept here.

        Parameters
        ----------
        override
            Why it shall read even if the gate refuses; empty when it shall not. A file that was altered never does.

        Raises
        ------
        UsageError
            There is no such version, or the gate's cohort was never built.
        EngineError
            The champion can't be run.
        CohortError
            A case of the gate was changed or can't be read.
        """
        data, cohort, at = self.data(), gate_cohort(self.places, self.rules), datetime.now(UTC)
        inputs = {"gate": f"{cohort.name}/{Split.GATE}", "rules": self.rules_sha256, "cohort": cohort.digest}
        asked = Decision(
            decision=f"{model}-{at:%Y%m%d-%H%M%S}-{uuid4().hex[:6]}",
            kind="gate",
            model=model,
            version=version,
            before=champion.version if champion else None,
            promoted=False,
            reason="",
            inputs=inputs,
            by=by,
            at=at,
        )
        try:
            released = find_version(self.places, model, version)
        except EngineError as error:
            return refused(asked, Check(name="file", passed=False, words=str(error)))
        asked = _with(asked, inputs=inputs | _digests(released, champion))
        judged = self._judge(asked, released, champion, cohort, data)
        passed = all(check.passed for check in judged.checks)
        sound = next(check.passed for check in judged.checks if check.name == "file")
        reason = _reason(judged.checks)
        if override and sound and not passed:
            words = f"Override by {by}: {override}. The gate: {reason}"
            return _with(judged, kind="override", promoted=True, reason=words)
        return _with(judged, promoted=passed, reason=reason)

    def _judge(
        self, asked: Decision, released: ReleasedModel, champion: ReleasedModel | None, cohort: Cohort, data: Path
    ) -> Decision:
        """The checks, stage by stage; and the look, where one was taken."""
        self.tell("file, lineage, approval, parity, card, leaks", 0.0)
        checks = gather(self.places, released, cohort, asked.at.date(), data)
        if not all(check.passed for check in checks):
            return _with(asked, checks=checks)
        cases = cases_of(released.spec, cohort, Split.GATE, data)
        for case in cases:
            case.load()  # what is gone or was changed is told before it costs a look
        self.tell("time and memory", _EVIDENCE)
        try:
            checks += cost_checks(*self.costs(released, champion, cases), self.rules)
        except CandidateError as error:
            checks += (_cannot_run(error),)
        if not all(check.passed for check in checks):
            return _with(asked, checks=checks)
        look = self._begin_look(asked, files_digest(cases))
        assert look.alpha is not None  # a look has one
        words = f"look {look.look} at the gate's cases, alpha {look.alpha:.4g}"
        try:
            ours = self._report(released, cases, cohort, _part(self.tell, words, _COSTS, _OURS))
        except (EngineError, ConfigurationError) as error:
            checks += (_cannot_run(error),)
        else:
            tell = _part(self.tell, f"{words}: the champion", _OURS, 1.0)
            theirs = self._report(champion, cases, cohort, tell) if champion else None
            checks += judge_figures(self.rules, ours, theirs, look.alpha)
        return _with(asked, checks=checks, look=look.look, alpha=look.alpha, gate_cases=look.gate_cases)

    def _begin_look(self, asked: Decision, cases: str) -> Decision:
        """Count a look before the first case is seen: what dies later was a look too."""
        with deciding(self.places, asked.model):
            number = 1 + looks(self.book, asked.model, cases, asked.inputs["gate"])
            look = _with(
                asked,
                decision=asked.decision + LOOK,
                kind="look",
                reason=f"Look {number} at the gate's cases was begun and came to no decision",
                look=number,
                alpha=self.rules.alpha / number,
                gate_cases=cases,
            )
            self.book.append(look)
        return look

    def _report(self, version: ReleasedModel, cases: Sequence[Case], cohort: Cohort, tell: Tell) -> Report:
        return evaluate(
            version,
            OnnxEngine(ModelStore((version.path.parents[2],))),
            cases,
            data="gate",
            cohort=cohort.digest,
            prior=prior_of(version),
            resamples=self.rules.resamples,
            tell=tell,
        )


def deciding(places: Places, model: str) -> AbstractContextManager[None]:
    """Nobody else on this machine counts a look, decides or moves an alias of ``model``; held for moments."""
    return locked(places.home / "models" / model)


def gate_cohort(places: Places, rules: GateRules) -> Cohort:
    """The cohort that the rules name, as it was built last; UsageError when it never was."""
    cohort = CohortShelf(places.cohorts).latest(rules.cohort)
    if cohort is None:
        raise UsageError(f"the gate's cohort was never built: `raysight cohort build {rules.cohort}`")
    return cohort


def looks(book: DecisionBook, model: str, gate_cases: str, gate: str) -> int:
    """How often a model's versions were judged on these cases, or on this gate while it held others.

    A gate to which cases were added isn't a new one: most of it was seen.
    """
    taken = (d for d in book.of(model) if d.look is not None)
    return sum(d.gate_cases == gate_cases or d.inputs.get("gate") == gate for d in taken)


def find_version(places: Places, model: str, version: str) -> ReleasedModel:
    """A released version, else a candidate.

    Raises
    ------
    UsageError
        There is none.
    EngineError
        It was altered, or its provenance is missing.
    """
    require_version(places, model, version)
    return places.all_versions.version(model, version)


def require_version(places: Places, model: str, version: str) -> None:
    """UsageError where there is no such version, sound or not."""
    versions = places.all_versions.versions(model)
    if version not in versions:
        known = ", ".join(versions) or "none"
        raise UsageError(f"model {model} has no version {version}; there are: {known}")


def refused(decision: Decision, *checks: Check) -> Decision:
    """The decision with further checks, which failed."""
    found = (*decision.checks, *checks)
    return _with(decision, kind="gate", promoted=False, checks=found, reason=_reason(found))


def _with(decision: Decision, /, **changes: Any) -> Decision:
    return decision.model_copy(update=changes)


def _digests(released: ReleasedModel, champion: ReleasedModel | None) -> dict[str, str]:
    found = {"model": released.sha256}
    evaluation = released.path.with_name(EVALUATION)
    if evaluation.is_file():
        found["evaluation"] = sha256(evaluation.read_bytes()).hexdigest()
    return found | ({"champion": champion.sha256} if champion else {})


def _cannot_run(error: Exception) -> Check:
    return Check(name="run", passed=False, words=f"it can't read the gate's cases: {error}")


def _part(tell: Tell, words: str, begin: float, end: float) -> Tell:
    """``tell`` for a part of the whole."""
    return lambda what, share: tell(f"{words}: {what}", begin + (end - begin) * share)


def _reason(checks: Sequence[Check]) -> str:
    failed = [check for check in checks if not check.passed]
    if failed:
        return "Refused: " + "; ".join(f"{check.name}: {check.words}" for check in failed)
    primary = next(check for check in checks if check.name == "primary")
    return f"Promoted: {primary.words}"

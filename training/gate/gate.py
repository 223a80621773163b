"""The gate: cheap checks, then a counted look at its own cases, then a decision with its reason in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from imaging.errors import EngineError, UsageError
from inference.engine import OnnxEngine
from models.store import ModelStore, ReleasedModel
from training.cases import CaseFiles
from training.cohort import Cohort, CohortShelf
from training.evaluation.evaluate import cases_of, evaluate, files_digest
from training.evaluation.kept import prior_of
from training.evaluation.report import Report
from training.evaluation.settings import EvaluationSettings
from training.gate.cost import Cost, compare_costs, cost_checks
from training.gate.decision import Check, Decision, DecisionBook
from training.gate.evidence import gather
from training.gate.judging import judge_figures
from training.gate.rules import GateRules
from training.places import Places

Measure = Callable[[ReleasedModel, ReleasedModel | None, Sequence[CaseFiles]], tuple[Cost, Cost | None]]


@dataclass(frozen=True)
class Gate:
    """One model's gate.

    Parameters
    ----------
    rules_sha256
        Of the file that ``rules`` stand in.
    data
        The data folder of the gate's cohort.
    tell
        Told what is being done.
    costs
        Measures candidate and champion.
    """

    places: Places
    book: DecisionBook
    rules: GateRules
    rules_sha256: str
    data: Path
    tell: Callable[[str], None] = field(default=lambda _: None)
    costs: Measure = compare_costs

    def decide(self, model: str, version: str, champion: ReleasedModel | None, *, by: str, override: str) -> Decision:
        """Judge a version; nothing is published or kept yet.

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
        cohort = gate_cohort(self.places, self.rules)
        at = datetime.now(UTC)
        before = champion.version if champion else None
        inputs = {"gate": f"{cohort.name}/{self.rules.split}", "rules": self.rules_sha256, "cohort": cohort.digest}
        known = {
            "decision": f"{model}-{at:%Y%m%d-%H%M%S}-{uuid4().hex[:6]}",
            "model": model,
            "version": version,
            "before": before,
            "by": by,
            "at": at,
        }
        try:
            released = find_version(self.places, model, version)
        except EngineError as error:
            altered = Check(name="file", passed=False, words=str(error))
            return Decision(
                **known, kind="gate", promoted=False, reason=_reason((altered,)), checks=(altered,), inputs=inputs
            )
        inputs["model"] = released.sha256
        if champion:
            inputs["champion"] = champion.sha256
        judged = self._judge(released, champion, cohort, at)
        passed = all(check.passed for check in judged.checks)
        sound = next(check.passed for check in judged.checks if check.name == "file")
        kind = "override" if override and sound and not passed else "gate"
        reason = _reason(judged.checks)
        if kind == "override":
            reason = f"Override by {by}: {override}. The gate: {reason}"
        return Decision(
            **known,
            kind=kind,
            promoted=passed or kind == "override",
            reason=reason,
            checks=judged.checks,
            look=judged.look,
            alpha=judged.alpha,
            gate_cases=judged.gate_cases,
            inputs=inputs,
        )

    def _judge(
        self, released: ReleasedModel, champion: ReleasedModel | None, cohort: Cohort, at: datetime
    ) -> _Judged:
        self.tell("file, lineage, approval, parity, card, leaks")
        checks = gather(self.places, released, cohort, at.date())
        if not all(check.passed for check in checks):
            return _Judged(checks)
        cases = cases_of(cohort, self.rules.split, self.data)
        self.tell("time and memory")
        checks += cost_checks(*self.costs(released, champion, cases), self.rules)
        if not all(check.passed for check in checks):
            return _Judged(checks)
        digest = files_digest(cases)
        look = 1 + looks(self.book, released.name, digest, f"{cohort.name}/{self.rules.split}")
        alpha = self.rules.alpha / look
        self.tell(f"look {look} at the gate's {len(cases)} cases, alpha {alpha:.4g}")
        ours = self._report(released, cases, cohort)
        theirs = self._report(champion, cases, cohort) if champion else None
        checks += judge_figures(self.rules, ours, theirs, alpha)
        return _Judged(checks, look, alpha, digest)

    def _report(self, version: ReleasedModel, cases: Sequence[CaseFiles], cohort: Cohort) -> Report:
        engine = OnnxEngine(ModelStore((version.path.parents[2],)))
        settings = EvaluationSettings(resamples=self.rules.resamples)
        return evaluate(
            version,
            engine,
            cases,
            data="gate",
            cohort=cohort.digest,
            prior=prior_of(version),
            settings=settings,
        )


@dataclass(frozen=True)
class _Judged:
    checks: tuple[Check, ...]
    look: int | None = None
    alpha: float | None = None
    gate_cases: str | None = None


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
    for store in (places.store, ModelStore((places.candidates,))):
        if version in store.versions(model):
            return store.version(model, version)
    known = ", ".join(places.all_versions.versions(model)) or "none"
    raise UsageError(f"model {model} has no version {version}; there are: {known}")


def _reason(checks: Sequence[Check]) -> str:
    failed = [check for check in checks if not check.passed]
    if failed:
        return "Refused: " + "; ".join(f"{check.name}: {check.words}" for check in failed)
    primary = next(check for check in checks if check.name == "primary")
    return f"Promoted: {primary.words}"

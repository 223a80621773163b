"""What the figures on the gate's cases say: floors, the primary metric, subgroups."""

from __future__ import annotations

from collections.abc import Sequence

from training.evaluation.report import CaseScores, Report
from training.gate.decision import Check
from training.gate.rules import Floor, GateRules
from training.gate.statistic import judge


def judge_figures(rules: GateRules, candidate: Report, champion: Report | None, alpha: float) -> tuple[Check, ...]:
    """Every check of the figures.

    Parameters
    ----------
    champion
        On the same cases; None for a first version, which is held against the candidate's own baseline.
    alpha
        One-sided, after the looks that were taken.
    """
    floors = tuple(_floor(name, rule, candidate) for name, rule in rules.floors.items())
    return (*floors, _primary(rules, candidate, champion, alpha), *_subgroups(rules, candidate, champion))


def _floor(metric: str, rule: Floor, report: Report) -> Check:
    figure = report.figures.get(metric)
    below = rule.least is not None
    value = None
    if figure is not None:
        value = figure.value if rule.by == "mean" else figure.low if below else figure.high
    name = "floor" if below else "ceiling"
    if value is None:
        return Check(name=name, passed=False, words=f"{metric}: the evaluation has no figure for it")
    if missing := [c.case for c in report.cases if c.scores.get(metric) is None and metric not in c.undefined]:
        words = f"{metric}: these cases have none, so the rest say nothing: {', '.join(missing)}"
        return Check(name=name, passed=False, words=words, figures={"metric": metric, "missing": len(missing)})
    limit = rule.least if rule.least is not None else rule.most
    assert limit is not None  # the rules hold one of the two
    passed = value >= limit if below else value <= limit
    what = "the mean" if rule.by == "mean" else f"the {'lower' if below else 'upper'} bound"
    words = f"{metric}: {what} is {value:.4g}, {'at least' if below else 'at most'} {limit:g} is asked for"
    return Check(name=name, passed=passed, words=words, figures={"metric": metric, "value": value, "limit": limit})


def _primary(rules: GateRules, candidate: Report, champion: Report | None, alpha: float) -> Check:
    rule = rules.primary
    if champion is not None:
        other, against = champion.cases, f"the champion, version {champion.version}"
        limit = 0.0 if rule.improve == "better" else -rule.margin
    elif candidate.baseline is not None:
        other, against, limit = candidate.baseline.cases, f"the baseline ({candidate.baseline.name})", 0.0
    else:
        return Check(name="primary", passed=False, words="a first version must beat the baseline, and there is none")
    verdict = judge(
        candidate.cases,
        other,
        rule.name,
        higher_is_better=rule.higher_is_better,
        alpha=alpha,
        limit=limit,
        resamples=rules.resamples,
    )
    asked = "better" if limit == 0 else f"not worse by {rule.margin:g}"
    said = "" if verdict.passed else "not shown to be "
    words = (
        f"{said}{asked} than {against}: {verdict.words}; the bound must be above {limit:g} and p at most {alpha:.2g}"
    )
    return Check(name="primary", passed=verdict.passed, words=words, figures={**verdict.figures})


def _subgroups(rules: GateRules, candidate: Report, champion: Report | None) -> list[Check]:
    """One check for each group of the champion's and the candidate's common cases."""
    if champion is None:
        return []
    rule, metric = rules.subgroups, rules.primary
    theirs = {case.case: case for case in champion.cases}
    checks = []
    for subgroup in candidate.subgroups:
        ours = [c for c in candidate.cases if c.groups.get(subgroup.criterion) == subgroup.group]
        verdict = judge(
            ours,
            _of(theirs, ours),
            metric.name,
            higher_is_better=metric.higher_is_better,
            alpha=(1 - rule.interval) / 2,
            limit=-rule.margin,
            resamples=rules.resamples,
        )
        difference = verdict.difference
        fell = difference.mean is not None and difference.mean < -rule.margin
        sure = difference.high is not None and difference.high < 0
        large = subgroup.subjects >= rule.min_subjects
        refused = large and (bool(verdict.missing) or (fell and sure))
        note = "" if large else f"; reported only, below {rule.min_subjects} subjects"
        words = f"{subgroup.criterion} {subgroup.group}: {verdict.words}{note}"
        figures = {"criterion": subgroup.criterion, "group": subgroup.group, **verdict.figures}
        checks.append(Check(name="subgroup", passed=not refused, words=words, figures=figures))
    return checks


def _of(theirs: dict[str, CaseScores], ours: Sequence[CaseScores]) -> list[CaseScores]:
    return [theirs[case.case] for case in ours if case.case in theirs]

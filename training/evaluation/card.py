"""A model's card: text by people, and one block of figures that only `raysight evaluate` writes."""

from __future__ import annotations

import re

from imaging.errors import ConfigurationError
from training.evaluation.report import Figure, Metric, Report

BEGIN, END = "<!-- figures: written by raysight evaluate -->", "<!-- end -->"
SECTIONS = ("Intended use", "Training data", "Figures", "Baseline", "Limits", "Licence")
"""What every card has, as headings of the second level with text below."""
_BLOCK = re.compile(re.escape(BEGIN) + r"\n.*?" + re.escape(END), re.DOTALL)
_DATA = {
    "test": "locked test split",
    "gate": "gate's split",
    "validation": "validation split, which chose the best epoch",
    "cv": "folds pooled, each answered by the run that left it out",
    "folder": "folder of cases, each taken as a subject of its own",
}


def with_figures(card: str, report: Report) -> str:
    """The card's text with the report's figures in its block; ConfigurationError when it has no block."""
    if len(_BLOCK.findall(card)) != 1:
        raise ConfigurationError(
            f"the card of {report.model} needs one block for figures: a line {BEGIN!r} and, below, a line {END!r}"
        )
    block = figures_block(report)
    return _BLOCK.sub(lambda _: block, card)


def card_problems(card: str, report: Report) -> tuple[str, ...]:
    """What is incomplete in a card, a sentence each; none when a version may be promoted with it.

    Parameters
    ----------
    report
        The version's evaluation on the test split: the card's figures must be these.
    """
    problems = [
        f"the section {name} is {'missing' if text is None else 'empty'}"
        for name in SECTIONS
        if not (text := _section(card, name))
    ]
    if report.baseline is None:
        problems.append("the evaluation has no baseline to stand beside")
    if figures_block(report) not in card:
        command = command_of(report)
        problems.append(f"its figures aren't those of this version's evaluation: `{command}` writes them")
    return tuple(problems)


def figures_block(report: Report) -> str:
    """The block, markers included; the same report gives the same text."""
    version = f"Version {report.version}" if report.version else f"{len(report.runs) or 'Several'} runs"
    digest = f" (sha256 `{report.sha256}`)" if report.sha256 else ""
    cohort = f" of cohort `{report.cohort}`" if report.cohort else ""
    subjects = len({case.subject for case in report.cases})
    lines = [
        BEGIN,
        f"{version}{digest}, {words_of(report)}{cohort}: {len(report.cases)} cases, {subjects} subjects.",
        f"Means over cases, in brackets the {100 * report.confidence:g} % interval by bootstrap over subjects.",
        *_exact(report),
        "",
        "| Metric | Model | Baseline |",
        "|---|---|---|",
        *(_row(metric, report) for metric in report.metrics),
        "",
    ]
    if report.baseline:
        lines += [f"Baseline: {report.baseline.name}.", ""]
        if gains := differences_in_words(report):
            lines += [f"Model less baseline, case by case: {gains}.", ""]
    if report.subgroups:
        first = report.metrics[0]
        lines += [f"| Subgroup | Subjects | {first.title} |", "|---|---|---|"]
        lines += [
            f"| {part.criterion}: {part.group} | {part.subjects} | {in_words(part.figures[first.name], first)} |"
            for part in report.subgroups
        ]
        lines.append("")
    failed = [f"- {case.case}: {case.failure}" for case in report.failures]
    lines += [f"Failed: {len(failed) or 'no case'}.", *([""] if failed else []), *failed, ""]
    lines += [f"`{command_of(report)}`, {report.created:%Y-%m-%d}", END]
    return "\n".join(lines)


def in_words(figure: Figure | None, metric: Metric) -> str:
    """`0.893 (0.885–0.901)`, with the unit; a dash where there is none."""
    if figure is None or figure.value is None:
        return "–"
    digits = 2 if metric.unit else 3
    unit = f" {metric.unit}" if metric.unit else ""
    if figure.low is None or figure.high is None:
        return f"{figure.value:.{digits}f}{unit}"
    return f"{figure.value:.{digits}f}{unit} ({figure.low:.{digits}f}–{figure.high:.{digits}f})"


def differences_in_words(report: Report) -> str:
    """Model less baseline by metric; empty where none is told."""
    told = report.baseline.differences if report.baseline else {}
    return "; ".join(f"{m.title} {in_words(told[m.name], m)}" for m in report.metrics if m.name in told)


def words_of(report: Report) -> str:
    """What its cases are."""
    return _DATA[report.data]


def command_of(report: Report) -> str:
    """What writes this report again."""
    if report.data == "cv":
        return f"raysight evaluate {report.model} --cv"
    more = {"validation": " --split validation", "folder": " --data DIR"}.get(report.data, "")
    return f"raysight evaluate {report.model} --version {report.version}{more}"


def _row(metric: Metric, report: Report) -> str:
    base = report.baseline.figures.get(metric.name) if report.baseline else None
    return f"| {metric.title} | {in_words(report.figures[metric.name], metric)} | {in_words(base, metric)} |"


def _exact(report: Report) -> list[str]:
    """Which figures have another interval."""
    exact = [metric.title for metric in report.metrics if metric.interval != "bootstrap"]
    return [f"Exact intervals (shares by subject, counts as Poisson's): {'; '.join(exact)}."] if exact else []


def _section(card: str, name: str) -> str | None:
    """The text below a heading, up to the next one; None without the heading."""
    parts = re.split(r"^## +(.+?) *$", card, flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    return sections[name].strip() if name in sections else None

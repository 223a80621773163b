"""The nouns of lineage, and how each thing becomes a node of the tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from imaging.reading import ModelIdentity
from training.gate.decision import Decision


@dataclass(frozen=True)
class Result:
    """What one reading left.

    Parameters
    ----------
    key
        The reading's key.
    models
        All that read together, the one that the result is named after first; a digest is empty when it isn't known.
    objects
        SOP Instance UID of each object, by role.
    """

    key: str
    study_instance_uid: str
    pipeline: str
    models: tuple[ModelIdentity, ...]
    state: str
    objects: Mapping[str, str]


class Results(Protocol):
    """The results of this installation."""

    def find(self, reference: str) -> Result | None:
        """By the SOP Instance UID of one of its objects, or by its key."""
        ...

    def of_version(self, model: str, version: str) -> Sequence[Result]:
        """All that a version made."""
        ...


class NoResults:
    """A fresh clone: nothing was read here."""

    def find(self, reference: str) -> Result | None:
        return None

    def of_version(self, model: str, version: str) -> Sequence[Result]:
        return ()


@dataclass(frozen=True)
class Node:
    """One thing in the tree.

    Parameters
    ----------
    kind
        result, version, code, run, cohort, approval, evaluation, decision.
    name
        Its UID, number, id or digest.
    facts
        About it, in order.
    back
        What it was made of.
    forward
        What was made of it.
    """

    kind: str
    name: str
    facts: Mapping[str, str]
    back: tuple[Node, ...] = ()
    forward: tuple[Node, ...] = ()


def result_node(found: Result) -> Node:
    """A reading and its objects."""
    facts = {
        "state": found.state,
        "pipeline": found.pipeline,
        "study": found.study_instance_uid,
        "model": ", ".join(f"{one.name}/{one.version}" for one in found.models),
        "model sha256": ", ".join(one.sha256 for one in found.models if one.sha256),
        **found.objects,
    }
    return Node("result", found.key, facts)


def run_facts(document: Mapping[str, Any]) -> dict[str, str]:
    """Of a `RunRecord` as JSON."""
    merged = document.get("merged_from")
    return {
        "state": str(document.get("state", "")),
        "seed": str(document.get("seed", "")),
        "epochs": str(document.get("epochs", "")),
        "revision": str(document.get("revision") or ""),
        "ended": str(document.get("ended") or ""),
        "trained elsewhere": str(merged.get("machine", "")) if isinstance(merged, Mapping) else "",
    }


def cohort_node(document: Mapping[str, Any]) -> Node:
    """Of what travels of a cohort (`training.runs.candidate.in_lineage`), with its approval."""
    approval = document.get("approval") or {}
    sources = "; ".join(f"{s.get('origin')} ({s.get('licence')})" for s in document.get("sources", ()))
    splits = ", ".join(
        f"{name} {counts.get('cases')} of {counts.get('subjects')} subjects"
        for name, counts in document.get("splits", {}).items()
    )
    facts = {"name": str(document.get("name", "")), "sources": sources, "splits": splits}
    words = {
        "purpose": str(approval.get("purpose", "")),
        "uses": ", ".join(approval.get("uses", ())),
        "given": str(approval.get("given", "")),
        "until": str(approval.get("until", "")),
    }
    return Node(
        "cohort", str(document.get("digest", "")), facts, (Node("approval", str(approval.get("by", "")), words),)
    )


def evaluation_node(document: Mapping[str, Any]) -> Node:
    """Of what travels of an evaluation (`training.gate.promotion.summary`)."""
    figures = {
        name: f"{figure['value']:.4f} ({figure['low']:.4f} to {figure['high']:.4f})"
        for name, figure in document.get("figures", {}).items()
        if None not in (figure.get("value"), figure.get("low"), figure.get("high"))
    }
    return Node("evaluation", str(document.get("data", "")), {"created": str(document.get("created", "")), **figures})


def decision_facts(found: Decision) -> dict[str, str]:
    """Verdict, reason, who and when."""
    return {
        "verdict": found.verdict,
        "version": found.version,
        "before": found.before or "",
        "reason": found.reason,
        "by": f"{found.by}, {found.at.isoformat(timespec='seconds')}",
    }

"""A decision of the gate: inputs, figures, verdict, reason in words, who, when. Kept for ever."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from models.provenance import Digest, Version
from models.spec import Name

LOOK = "-look"
"""A look at the gate's cases is kept when it is begun, under the id of the decision to come and this."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Check(_Part):
    """One thing that the gate looked at."""

    name: str = Field(description="Such as leak, parity, card, floor, primary, subgroup, latency, memory.")
    passed: bool
    words: str = Field(description="What was found, with the figures, in one sentence.")
    figures: Mapping[str, Any] = Field({}, description="The same as numbers.")


class Decision(_Part):
    """One decision about a model."""

    decision: str = Field(description="Its id.")
    kind: Literal["look", "gate", "override", "rollback"] = Field(description="look: begun, and not yet decided.")
    model: Name
    version: Version = Field(description="The version that was judged; of a rollback, the one that reads again.")
    before: Version | None = Field(description="The champion when it was taken.")
    promoted: bool
    reason: str = Field(description="In words. Of an override and a rollback also what the person said.")
    checks: tuple[Check, ...] = ()
    look: int | None = Field(None, description="Which look at the gate's cases this was; null when none was taken.")
    alpha: float | None = Field(None, description="What the bound was computed with.")
    gate_cases: Digest | None = Field(
        None, description="Over the gate's cases: looks at the same ones count together."
    )
    inputs: Mapping[str, str] = Field(
        {}, description="Digests: models, cohort, rules, the evaluation on the test split; and the gate's name."
    )
    by: str
    at: AwareDatetime

    @property
    def verdict(self) -> str:
        """In one or two words."""
        if not self.promoted:
            return "no decision" if self.kind == "look" else "refused"
        return {"gate": "promoted", "override": "overridden", "rollback": "rolled back"}[self.kind]


class DecisionBook(Protocol):
    """Where decisions are kept. Nothing is changed or removed in it."""

    def append(self, decision: Decision) -> None: ...

    def of(self, model: str) -> tuple[Decision, ...]:
        """As `told`: all about ``model``; those that travel with shipped versions too."""
        ...

    def find(self, decision: str) -> Decision | None: ...


def told(decisions: Iterable[Decision]) -> tuple[Decision, ...]:
    """Oldest first, each once. A look that was begun is told only when it came to no decision."""
    found = {d.decision: d for d in decisions}
    ordered = sorted(found.values(), key=lambda d: d.at)
    return tuple(d for d in ordered if d.kind != "look" or d.decision.removesuffix(LOOK) not in found)

"""A decision of the gate: inputs, figures, verdict, reason in words, who, when. Kept for ever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from models.provenance import Digest, Version
from models.spec import Name


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
    kind: Literal["gate", "override", "rollback"]
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
    inputs: Mapping[str, str] = Field({}, description="Digests: models, cohort, gate file, evaluations.")
    by: str
    at: AwareDatetime


class DecisionBook(Protocol):
    """Where decisions are kept. Nothing is changed or removed in it."""

    def append(self, decision: Decision) -> None: ...

    def of(self, model: str) -> tuple[Decision, ...]:
        """All about ``model``, oldest first; those that travel with shipped versions too."""
        ...

    def find(self, decision: str) -> Decision | None: ...


class MemoryBook:
    """A book that forgets when the process ends; for tests."""

    def __init__(self, *decisions: Decision) -> None:
        self._decisions = list(decisions)

    def append(self, decision: Decision) -> None:
        self._decisions.append(decision)

    def of(self, model: str) -> tuple[Decision, ...]:
        return tuple(d for d in self._decisions if d.model == model)

    def find(self, decision: str) -> Decision | None:
        return next((d for d in self._decisions if d.decision == decision), None)

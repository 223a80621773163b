"""`provenance.json` and `aliases.yaml`: what travels with a released version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from models.spec import ModelSpec, Name

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Version = Annotated[str, BeforeValidator(_as_text), Field(pattern=r"^[1-9][0-9]{0,8}$")]
"""A whole number from 1, as text: Triton takes no other name for a version's folder."""

Alias = Literal["champion", "challenger", "shadow"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Aliases(_Record):
    """Which version stands for what."""

    champion: Version | None = Field(None, description="Reads patients.")
    challenger: Version | None = Field(None, description="What may become the champion; nothing reads with it.")
    shadow: Version | None = Field(None, description="What is watched; nothing reads with it.")


class Provenance(_Record):
    """Where one version comes from."""

    model: Name = Field(description="The folder under models/.")
    version: Version = Field(description="The folder under that.")
    sha256: Digest = Field(description="Of model.onnx.")
    precision: Literal["float32", "float16", "int8"] = Field(
        "float32", description="Of the numbers that it computes with."
    )
    origin: Literal["released", "adopted", "imported"] = Field(
        description="released: trained and promoted here; adopted: fetched by digest at set-up; "
        "imported: the hospital's own."
    )
    created: AwareDatetime = Field(description="When it was put into the store, UTC.")
    spec: ModelSpec = Field(
        description="The description as it stood then: what a later one says doesn't change this version."
    )
    lineage: Mapping[str, Any] = Field(
        {}, description="Run, cohort, approval, gate decision and whatever else leads back to its making, as JSON."
    )

    @property
    def override_reason(self) -> str:
        """Why a person let it read against the gate; empty when the gate let it through. Every result says it."""
        decision = self.lineage.get("decision")
        if not isinstance(decision, Mapping) or decision.get("kind") != "override":
            return ""
        return str(decision.get("reason") or "no reason given")

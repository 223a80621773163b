"""From a finished run to a candidate: a version that waits for the gate."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from imaging.errors import EngineError, UsageError
from models.provenance import Provenance
from models.publish import publish
from models.spec import ModelSpec
from models.store import ReleasedModel
from training.cohort import Cohort, Split
from training.places import Places
from training.runs.folder import RunFolder
from training.runs.record import RunRecord


def spec_of(places: Places, record: RunRecord) -> ModelSpec:
    """Today's description, as thresholds and words may be newer than the run; the run's own where networks differ.

    ConfigurationError when today's is wrong.
    """
    try:
        now = places.store.spec(record.model)
    except EngineError:  # the model is described nowhere else
        return record.spec
    return now if now.fits_weights_of(record.spec) else record.spec


def publish_candidate(places: Places, folder: Path) -> ReleasedModel:
    """Put an exported run's `model.onnx` among the candidates; the run's own one when it is there already.

    Raises
    ------
    UsageError
        The run isn't done or wasn't exported, or its file isn't the one that was.
    """
    run = RunFolder(folder)
    record = run.record
    if record.state != "done" or record.onnx_sha256 is None:
        raise UsageError(f"{folder} isn't done: `raysight train {record.model} --resume {record.run}` ends it")
    model, parity = run.onnx(), run.parity()
    if (there := candidate_of(places, record.model, record.run)) is not None:
        return there
    provenance = Provenance(
        model=record.model,
        version=places.next_version(record.model),
        sha256=record.onnx_sha256,
        origin="released",
        created=datetime.now(UTC),
        spec=spec_of(places, record),
        lineage={"run": record.model_dump(mode="json"), "cohort": in_lineage(run.cohort), "parity": parity},
    )
    return publish(places.candidate_store, model, provenance)


def candidate_of(places: Places, model: str, run: str) -> ReleasedModel | None:
    """The sound candidate that a run became; None when there is none."""
    store = places.candidate_store
    for version in store.versions(model):
        try:
            found = store.version(model, version)
        except EngineError:  # `raysight models verify` tells of it, and it stops no other
            continue
        if found.provenance.lineage.get("run", {}).get("run") == run:
            return found
    return None


def in_lineage(cohort: Cohort) -> dict[str, Any]:
    """What of a cohort travels with a version: all but its members."""
    approval = cohort.approval
    return {
        "name": cohort.name,
        "title": cohort.title,
        "digest": cohort.digest,
        "sources": [{"name": s.name, "origin": s.origin, "licence": s.licence} for s in cohort.sources],
        "approval": {
            "by": approval.by,
            "purpose": approval.purpose,
            "uses": [use.value for use in approval.uses],
            "given": approval.given.isoformat(),
            "until": approval.until.isoformat(),
        },
        "splits": {
            split.value: {"subjects": len({m.person for m in members}), "cases": len(members)}
            for split in Split
            for members in [cohort.only(split)]
        },
    }

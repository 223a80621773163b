"""A run's exported model, opened as serving opens a version."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from imaging.pipeline import OpenModel
from inference.engine import OnnxEngine
from models.provenance import Provenance
from models.publish import publish
from models.spec import ModelSpec
from models.store import ModelStore
from training.runs.folder import RunFolder


def open_run(run: RunFolder) -> tuple[OpenModel, ModelSpec]:
    """The model, and its description.

    Raises
    ------
    UsageError
        It wasn't exported, or its ONNX file isn't the one that its record names.
    EngineError
        It can't be loaded.
    """
    content, record = run.onnx(), run.record
    assert record.onnx_sha256 is not None  # `RunFolder.onnx` has compared it
    with tempfile.TemporaryDirectory() as scratch:
        store = ModelStore((Path(scratch),))
        version = Provenance(
            model=record.model,
            version="1",
            sha256=record.onnx_sha256,
            origin="released",
            created=datetime.now(UTC),
            spec=record.spec,
        )
        publish(store, content, version)
        return OnnxEngine(store).open(record.model, "1"), record.spec

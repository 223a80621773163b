"""`model.onnx` and `parity.json` of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imaging.errors import ExportError
from imaging.files import replace
from training.export.network import load_network
from training.export.onnx_file import to_onnx
from training.export.parity import Parity, check_parity
from training.runs.folder import ONNX, PARITY
from training.runs.record import RunRecord, read_record, write_record


def export_run(folder: Path, inputs: Sequence[NDArray[np.float32]]) -> RunRecord:
    """Export the best epoch of the run in ``folder``, and prove that the file computes the same.

    Writes `model.onnx`, `parity.json`, and the file's digest into `run.json`.

    Parameters
    ----------
    inputs
        Real ones for the comparison: `training.tasks.probes.probes`.

    Raises
    ------
    ExportError
        The weights don't fit, torch can't express the network, or the file computes something else (it is then
        kept as `model.refused.onnx`).
    """
    record, network = read_record(folder), load_network(folder)
    content = to_onnx(network, record.spec)
    draft = folder / "model.refused.onnx"
    digest = replace(draft, content)
    parity = check_parity(draft, network, inputs, record.spec)
    replace(folder / PARITY, parity.model_dump_json(indent=2).encode() + b"\n")
    if not parity.passed:
        raise ExportError(f"{draft} doesn't compute what the network does: {parity.words}")
    draft.replace(folder / ONNX)
    after = record.model_copy(update={"onnx_sha256": digest})
    write_record(folder, after)
    return after


def parity_with_run(folder: Path, path: Path, inputs: Sequence[NDArray[np.float32]]) -> Parity:
    """The ONNX file at ``path`` against the network of the run in ``folder``, on ``inputs``."""
    return check_parity(path, load_network(folder), inputs, read_record(folder).spec)

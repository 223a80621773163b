"""A network as an ONNX file: fixed shapes, and nothing in it of the machine that wrote it."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import onnx
import torch
from torch import nn

from imaging.errors import ExportError
from inference.backend import IMAGE, ROW, SCORES
from models.spec import ModelSpec, TabularInput

OPSET = 20
MOST_BYTES = 25_000_000
"""A released file is this large at most."""


def to_onnx(network: nn.Module, spec: ModelSpec) -> bytes:
    """``network`` as `inference.session.Session` takes it: ``image`` or ``row`` (`taken`) to ``scores``, float32.

    The same network gives the same bytes. torch's graph exporter is used: on the hippocampus network its file is as
    large (5.7 MB) and as fast as the tracing one's, which torch gives up.

    Raises
    ------
    ExportError
        torch can't express it, the checker objects, or the file is larger than what may be released.
    """
    name, shape = taken(spec)
    with _quiet():
        try:
            program = torch.onnx.export(
                network.eval(),
                (torch.zeros(shape),),
                input_names=[name],
                output_names=[SCORES],
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
                external_data=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise ExportError(f"{spec.name}: torch can't export it: {str(error).splitlines()[0]}") from error
        file = io.BytesIO()
        program.save(file)
    model = onnx.load_from_string(file.getvalue())
    _strip(model)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"{spec.name}: ONNX's checker refuses the file: {str(error).splitlines()[0]}") from error
    content = bytes(model.SerializeToString(deterministic=True))
    if len(content) > MOST_BYTES:
        raise ExportError(
            f"{spec.name}: {len(content) / 1e6:.0f} MB; a released file has {MOST_BYTES / 1e6:.0f} at most"
        )
    return content


def taken(spec: ModelSpec) -> tuple[str, tuple[int, ...]]:
    """Name and shape of what a model takes: ``image`` [1, channel, *patch], or of a table ``row`` [1, column]."""
    if isinstance(spec.input, TabularInput):
        return ROW, (1, len(spec.input.columns))
    return IMAGE, (1, len(spec.input.intensity), *spec.input.patch)


def _strip(model: onnx.ModelProto) -> None:
    """Take out names of source files, stack traces, versions and inferred shapes: none of it computes anything."""
    model.producer_name, model.producer_version, model.doc_string = "raysight", "", ""
    graph = model.graph
    graph.name, graph.doc_string = "network", ""
    del model.metadata_props[:], graph.metadata_props[:], graph.value_info[:]
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        part.doc_string = ""
        del part.metadata_props[:]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's words to its own developers."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)

"""Export of a run, and parity that a wrong file doesn't pass."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from imaging.errors import ConfigurationError, ExportError, UsageError
from imaging.files import replace
from inference.backend import Port
from inference.session import EngineOptions
from models.spec import ModelSpec, load_spec
from models.store import SHIPPED
from training.runs.folder import RunFolder
from training.runs.record import CohortName, RunRecord, read_record, write_record

torch = pytest.importorskip("torch", reason="torch is not installed (the extra train)")
pytest.importorskip("onnxscript", reason="torch is not installed (the extra train)")

from models.hippocampus_segmenter.network import build  # noqa: E402
from training.export.export import export_run, parity_with_run  # noqa: E402
from training.export.onnx_file import to_onnx  # noqa: E402
from training.export.parity import TOLERANCES, Parity, check_parity  # noqa: E402

PATCH = (16, 16, 8)
Inputs = list[NDArray[np.float32]]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    shipped = load_spec(SHIPPED / "hippocampus_segmenter")
    return shipped.model_copy(update={"input": shipped.input.model_copy(update={"patch": PATCH})})


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return [np.random.default_rng(number).normal(0, 1, (1, 1, *PATCH)).astype(np.float32) for number in range(2)]


def run_folder(folder: Path, spec: ModelSpec, seed: int = 0) -> Path:
    folder.mkdir()
    torch.save(build(spec, seed).state_dict(), folder / "weights.pt")
    digest = hashlib.sha256((folder / "weights.pt").read_bytes()).hexdigest()
    record = RunRecord(
        run="r1",
        model=spec.name,
        spec=spec,
        configuration={},
        seed=seed,
        fold=None,
        cohort=CohortName(name="toy", digest="0" * 64),
        revision="",
        environment={},
        started=datetime(2026, 11, 24, tzinfo=UTC),
        weights_sha256=digest,
    )
    write_record(folder, record)
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, spec: ModelSpec, inputs: Inputs) -> tuple[Path, RunRecord]:
    folder = run_folder(tmp_path_factory.mktemp("runs") / "r1", spec)
    return folder, export_run(folder, inputs)


def test_a_run_gets_a_file_a_proof_and_its_digest(exported: tuple[Path, RunRecord], spec: ModelSpec) -> None:
    folder, record = exported
    content = (folder / "model.onnx").read_bytes()
    assert record == read_record(folder) and record.onnx_sha256 == hashlib.sha256(content).hexdigest()
    backend = EngineOptions(threads=1).make(content)
    assert backend.inputs == {"image": Port("image", (1, 1, *PATCH), np.dtype(np.float32))}
    assert backend.outputs == {"scores": Port("scores", (1, 3, *PATCH), np.dtype(np.float32))}
    parity = Parity.model_validate(RunFolder(folder).parity())
    assert parity.passed and parity.onnx_sha256 == record.onnx_sha256
    assert (parity.inputs, parity.tolerance) == (2, TOLERANCES["softmax"])
    assert parity.provider == backend.provider == "CPUExecutionProvider, slices as the batch"
    assert 0 <= parity.max_difference < 1e-4 < parity.max_score
    assert not (folder / "model.refused.onnx").exists()


def test_the_same_weights_give_the_same_bytes_and_nothing_of_this_machine(
    exported: tuple[Path, RunRecord], spec: ModelSpec, repo_root: Path
) -> None:
    content = (exported[0] / "model.onnx").read_bytes()
    assert to_onnx(build(spec, seed=0), spec) == content
    assert to_onnx(build(spec, seed=1), spec) != content
    for word in (str(repo_root), ".py", "site-packages", torch.__version__):
        assert word.encode() not in content


def altered(path: Path, change: Callable[[Any], Any]) -> bytes:
    """The file with its last convolution's weights changed."""
    model = onnx.load(path)
    name = next(n for n in reversed(model.graph.node) if n.op_type == "Conv").input[1]
    (weight,) = (w for w in model.graph.initializer if w.name == name)
    weight.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(weight).copy()), name))
    return bytes(model.SerializeToString())


CHANGES: dict[str, Callable[[Any], Any]] = {
    "scores beyond the tolerance": lambda w: w * np.float32(1.1),
    "labels swapped": lambda w: w[::-1].copy(),
    "not a number": lambda w: w * np.float32(np.nan),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_computes_something_else_does_not_pass(
    exported: tuple[Path, RunRecord], inputs: Inputs, tmp_path: Path, change: str
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(altered(exported[0] / "model.onnx", CHANGES[change]))
    parity = parity_with_run(exported[0], path, inputs)
    assert not parity.passed and np.isfinite(parity.max_difference)
    assert (parity.labels_differing > 0.1) == (change == "labels swapped" or change == "not a number")
    assert type(parity).model_validate_json(parity.model_dump_json()) == parity


def test_a_failing_export_says_so_and_leaves_no_model(
    tmp_path: Path, spec: ModelSpec, inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run_folder(tmp_path / "r1", spec)
    strict = TOLERANCES["softmax"].model_copy(update={"absolute": 1e-12, "relative": 0.0})
    monkeypatch.setattr("training.export.parity.TOLERANCES", {"softmax": strict})
    with pytest.raises(ExportError, match=r"doesn't compute what the network does: scores differ by"):
        export_run(folder, inputs)
    assert not (folder / "model.onnx").exists() and read_record(folder).onnx_sha256 is None
    assert RunFolder(folder).parity()["passed"] is False


def test_a_file_that_is_no_model(
    exported: tuple[Path, RunRecord], spec: ModelSpec, tmp_path: Path, inputs: Inputs
) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(ExportError, match="ONNX Runtime can't load it"):
        parity_with_run(exported[0], tmp_path / "model.onnx", inputs)
    with pytest.raises(ExportError, match="at least one real input"):
        check_parity(exported[0] / "model.onnx", build(spec), [], spec)


def test_weights_that_were_altered_or_do_not_fit(tmp_path: Path, spec: ModelSpec) -> None:
    folder = run_folder(tmp_path / "r1", spec)
    torch.save({"head.weight": torch.zeros(1)}, folder / "weights.pt")
    with pytest.raises(UsageError, match=r"weights\.pt was altered"):
        export_run(folder, ())
    for content in ((folder / "weights.pt").read_bytes(), b"no weights"):
        digest = replace(folder / "weights.pt", content)
        write_record(folder, read_record(folder).model_copy(update={"weights_sha256": digest}))
        with pytest.raises(ExportError, match=r"doesn't fit models/hippocampus_segmenter/network\.py"):
            export_run(folder, ())
    (folder / "weights.pt").unlink()
    with pytest.raises(UsageError, match="No such file"):
        export_run(folder, ())


def test_a_model_without_source(tmp_path: Path, spec: ModelSpec) -> None:
    folder = run_folder(tmp_path / "r1", spec)
    values = json.loads((folder / "run.json").read_text())
    values["model"] = values["spec"]["name"] = "nobodys_model"
    (folder / "run.json").write_text(json.dumps(values))
    with pytest.raises(ConfigurationError, match=r"no models/nobodys_model/network\.py"):
        export_run(folder, ())

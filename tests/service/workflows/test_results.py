"""What a reading left behind comes back as it was, and the first one stands."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from dicom_node.assembly import Evidence, EvidenceKind
from dicom_node.blobs import MemoryBlobStore
from dicom_node.objects.order import ResultObject, Role
from imaging import codes
from imaging.geometry import Geometry
from imaging.images import Mask
from imaging.pipeline import Refusal, Selection
from imaging.reading import Finding, ModelIdentity, PipelineResult, Reading, ReadingStatus
from imaging.reasons import Reason, ReasonKind
from imaging.study import FrameInfo, InstanceInfo, SeriesInfo
from service.workflows.requests import ReadingRequest
from service.workflows.results import ResultStore

MODEL = ModelIdentity("toy", "1", "0" * 64)


def _request(answer: Selection | Refusal) -> ReadingRequest:
    return ReadingRequest(
        key="a" * 64,
        study_instance_uid="1.2.3",
        pipeline="toy",
        pipeline_version="1",
        model=MODEL,
        images="b" * 64,
        study_images="c" * 64,
        answer=answer,
        header_blobs=("x", "y"),
        evidence=Evidence(EvidenceKind.QUIET, datetime(2026, 1, 2, tzinfo=UTC), "nothing came"),
        requested_at=datetime(2026, 1, 2, tzinfo=UTC),
    )


def _series() -> SeriesInfo:
    frame = FrameInfo((0.0, 1.0, 2.0), (1, 0, 0, 0, 1, 0), (0.7, 0.7), None)
    instance = InstanceInfo(
        "1.2.3",
        "1.2.4",
        "1.2.5",
        "1.2.840.10008.5.1.4.1.1.2",
        "1.2.840.10008.1.2.1",
        "d" * 64,
        "blob",
        True,
        False,
        "CT",
        image_type=("ORIGINAL", "PRIMARY"),
        frames=(frame,),
    )
    return SeriesInfo("1.2.4", "CT", (instance,), defect=Reason(ReasonKind.TOO_FEW_SLICES, "one slice", "1.2.4"))


@pytest.mark.parametrize(
    "answer",
    [
        Selection((_series(),), (Reason(ReasonKind.LOCALIZER, "a scout", "1.2.9"),)),
        Refusal(Reason(ReasonKind.WRONG_MODALITY, "an MR"), ()),
    ],
)
def test_a_request_comes_back_equal(answer: Selection | Refusal) -> None:
    store = ResultStore(MemoryBlobStore())
    request = _request(answer)
    assert store.put_request(request) == request
    assert store.request(request.key) == request
    assert store.put_request(replace(request, predecessor="z" * 64)) == request
    assert list(store.requests()) == [request]


def test_a_reading_comes_back_with_its_masks() -> None:
    store = ResultStore(MemoryBlobStore())
    geometry = Geometry((4, 5, 6), (2.0, 0.7, 0.7), (1.0, 2.0, 3.0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)))
    box = np.random.default_rng(1).random((2, 3, 5)) > 0.5
    finding = Finding(
        1, codes.ABNORMAL_STRUCTURE, codes.NODULE, codes.LUNG, codes.LEFT, "left lung", (1.0, 2.0, 3.0), 2
    )
    reading = Reading(
        "1.2.3", "toy", "1", MODEL, ReadingStatus.READ, codes.CT_STUDY, "one mark", findings=(finding,), notes=("n",)
    )
    store.put_result("k", PipelineResult(reading, {1: Mask(box, (1, 2, 1), geometry)}))
    store.put_result("k", PipelineResult(replace(reading, conclusion="another"), {}))
    back = store.result("k")
    assert back.reading == reading
    assert back.masks[1].offset == (1, 2, 1)
    assert back.masks[1].geometry == geometry
    np.testing.assert_array_equal(back.masks[1].array, box)


def test_masks_without_a_reading_are_a_dead_workers() -> None:
    store = ResultStore(MemoryBlobStore())
    store.blobs.put("k/masks.npz", b"of a worker that was killed before its reading stood")
    reading = Reading("1.2.3", "toy", "1", MODEL, ReadingStatus.READ, codes.CT_STUDY, "no mark")
    store.put_result("k", PipelineResult(reading, {}))
    assert store.result("k").masks == {}


def test_a_manifest_tells_what_stands_not_what_was_made_again() -> None:
    store = ResultStore(MemoryBlobStore())
    meta = b"\x02\x00\x10\x00UI\x14\x00" + b"1.2.840.10008.1.2.1\0"
    first = b"\0" * 128 + b"DICM" + meta + b"first data set"
    store.blobs.put("k/p/sr.dcm", first)  # then the worker was killed
    store.put_objects("k", "p", (ResultObject(Role.SR, "1.1", "1.2", "1.3", b"second", "e" * 64),))
    manifest = store.manifest("k", "p")
    assert manifest is not None
    assert store.blobs.get(manifest.objects[0].blob) == first
    assert manifest.objects[0].digest == hashlib.sha256(b"first data set").hexdigest()


def test_objects_are_named_by_a_manifest_that_comes_last() -> None:
    store = ResultStore(MemoryBlobStore())
    assert store.manifest("k", "p") is None
    item = ResultObject(Role.SR, "1.1", "1.2", "1.3", b"data", "e" * 64)
    store.put_objects("k", "p", (item,))
    store.put_problem("k", "q", "can't be encoded")
    manifest = store.manifest("k", "p")
    assert manifest is not None
    assert store.blobs.get(manifest.objects[0].blob) == b"data"
    assert store.profiles("k") == ["p", "q"]
    problem = store.manifest("k", "q")
    assert problem is not None
    assert problem.problem == "can't be encoded"


def test_no_reading_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        ResultStore(MemoryBlobStore()).reading("k")

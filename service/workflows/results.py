"""What a reading left behind, stored once under its key. The first written result wins.

<key>/request.json         what was asked (ReadingRequest)
<key>/masks.npz            masks of the findings
<key>/reading.json         the Reading; its presence means that the read step is done
<key>/<profile>/*.dcm      the result objects, whole Part 10 files
<key>/<profile>/objects.json   names them; its presence means that the write step is done for that profile
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from pydantic import TypeAdapter

from dicom_node.blobs import BlobStore
from dicom_node.objects.order import ResultObject
from dicom_node.reader.files import dataset_digest
from imaging.geometry import Geometry
from imaging.images import Mask
from imaging.reading import PipelineResult, Reading
from service.workflows.requests import ReadingRequest

_REQUEST = TypeAdapter(ReadingRequest)
_READING = TypeAdapter(Reading)
_GEOMETRY = TypeAdapter(Geometry)


@dataclass(frozen=True)
class StoredObject:
    """One result object as it was written.

    Parameters
    ----------
    blob
        Name in the results' `BlobStore`.
    digest
        sha256, hex, of its dataset bytes after the file meta.
    """

    role: str
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    blob: str
    digest: str


@dataclass(frozen=True)
class Manifest:
    """The objects of one reading in one profile; ``problem`` says why there are none."""

    objects: tuple[StoredObject, ...] = ()
    problem: str = ""


_MANIFEST = TypeAdapter(Manifest)


class ResultStore:
    """Requests, readings and objects by reading key."""

    def __init__(self, blobs: BlobStore) -> None:
        self.blobs = blobs

    def requests(self) -> Iterator[ReadingRequest]:
        """Every request."""
        for name in self.blobs.list():
            key, _, rest = name.partition("/")
            if rest == "request.json":
                yield self.request(key)

    def put_request(self, request: ReadingRequest) -> ReadingRequest:
        """Store a request; the one that stands, which is the first."""
        name = f"{request.key}/request.json"
        if self.blobs.put(name, _REQUEST.dump_json(request)):
            return request
        return self.request(request.key)

    def request(self, key: str) -> ReadingRequest:
        """The request under a key; KeyError when there is none."""
        return _REQUEST.validate_json(self.blobs.get(f"{key}/request.json"))

    def put_result(self, key: str, result: PipelineResult) -> None:
        """Store a reading with its masks (masks first: the reading's file marks the step as done)."""
        if self.has_result(key):
            return
        name = f"{key}/masks.npz"
        if self.blobs.exists(name):
            self.blobs.delete(name)  # of a worker that died before its reading stood
        if result.masks:
            self.blobs.put(name, _pack(result.masks))
        self.blobs.put(f"{key}/reading.json", _READING.dump_json(result.reading))

    def has_result(self, key: str) -> bool:
        return self.blobs.exists(f"{key}/reading.json")

    def reading(self, key: str) -> Reading:
        """The reading under a key; KeyError when it isn't done."""
        return _READING.validate_json(self.blobs.get(f"{key}/reading.json"))

    def result(self, key: str) -> PipelineResult:
        """The reading with its masks."""
        name = f"{key}/masks.npz"
        masks = _unpack(self.blobs.get(name)) if self.blobs.exists(name) else {}
        return PipelineResult(self.reading(key), masks)

    def put_objects(self, key: str, profile: str, objects: tuple[ResultObject, ...]) -> None:
        """Store the files, then the manifest that names what stands there (first written wins, object by object)."""
        stored = tuple(self._put_object(key, profile, item) for item in objects)
        self._put_manifest(key, profile, Manifest(stored))

    def put_problem(self, key: str, profile: str, problem: str) -> None:
        """Store why this profile's objects can't be written."""
        self._put_manifest(key, profile, Manifest(problem=problem))

    def _put_manifest(self, key: str, profile: str, manifest: Manifest) -> None:
        self.blobs.put(f"{key}/{profile}/objects.json", _MANIFEST.dump_json(manifest))

    def manifest(self, key: str, profile: str) -> Manifest | None:
        """What was written in a profile; None when nothing was yet."""
        name = f"{key}/{profile}/objects.json"
        return _MANIFEST.validate_json(self.blobs.get(name)) if self.blobs.exists(name) else None

    def profiles(self, key: str) -> list[str]:
        """The profiles in which a key's objects are written."""
        found = (name.split("/") for name in self.blobs.list(f"{key}/"))
        return sorted(parts[1] for parts in found if len(parts) == 3 and parts[2] == "objects.json")

    def _put_object(self, key: str, profile: str, item: ResultObject) -> StoredObject:
        name = f"{key}/{profile}/{item.role}.dcm"
        made = self.blobs.put(name, item.data)
        if item.preview is not None:
            self.blobs.put(name.removesuffix("dcm") + "png", item.preview)
        return StoredObject(
            role=item.role,
            sop_class_uid=item.sop_class_uid,
            sop_instance_uid=item.sop_instance_uid,
            series_instance_uid=item.series_instance_uid,
            blob=name,
            digest=item.digest if made else dataset_digest(self.blobs.path(name)),
        )


def _pack(masks: Mapping[int, Mask]) -> bytes:
    arrays: dict[str, np.ndarray] = {}
    for number, mask in masks.items():
        arrays[f"{number}.bits"] = np.packbits(mask.array)
        arrays[f"{number}.box"] = np.array([mask.offset, mask.array.shape])
        arrays[f"{number}.geometry"] = np.frombuffer(_GEOMETRY.dump_json(mask.geometry), dtype=np.uint8)
    target = io.BytesIO()
    np.savez_compressed(target, allow_pickle=False, **arrays)
    return target.getvalue()


def _unpack(data: bytes) -> dict[int, Mask]:
    masks = {}
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        for number in sorted({int(name.split(".")[0]) for name in arrays.files}):
            (z, y, x), shape = (tuple(int(v) for v in row) for row in arrays[f"{number}.box"])
            bits = np.unpackbits(arrays[f"{number}.bits"], count=int(np.prod(shape))).reshape(shape).astype(bool)
            geometry = _GEOMETRY.validate_json(arrays[f"{number}.geometry"].tobytes())
            masks[number] = Mask(bits, (z, y, x), geometry)
    return masks

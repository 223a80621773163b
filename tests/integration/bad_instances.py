"""Instances that must not be taken, and wrong studies that go the whole way through the node."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    MRImageStorage,
)

from dicom_node.network.peers import RemoteAE
from dicom_node.network.store import send_files
from tests.integration.bad_inputs import Case, House, ended, outcome
from tests.integration.bad_studies import STUDIES as BAD_STUDIES
from tests.integration.bad_studies import own_copies
from tests.integration.raw_peer import EXPLICIT
from tests.integration.raysight import Raysight
from tests.integration.spoiling import encoded, rename

Bytes = Callable[[Dataset], bytes | None]
"""From a good image to the dataset bytes that are sent."""

NAMES = {"Study": b"\x20\x00\x0d\x00UI", "Series": b"\x20\x00\x0e\x00UI", "SOP": b"\x08\x00\x18\x00UI"}
PATIENT = b"\x10\x00\x10\x00PN"


def image(house: House) -> Dataset:
    """One good image in a study of its own."""
    return own_copies(house.slices[:1], "an instance")[0]


def storing(make: Bytes, syntax: str = EXPLICIT, **how: Any) -> Callable[[House], str]:
    """C-STORE what is made of a good image, on a context of one syntax."""

    @ended
    def observe(house: House) -> str:
        ds = image(house)
        with house.peer() as peer:
            peer.associate(syntaxes=(syntax,))
            return peer.store(make(ds), **({"sop_instance": str(ds.SOPInstanceUID).encode()} | how))

    return observe


def bomb() -> bytes:
    """Well below a megabyte that inflates to a quarter of a gigabyte."""
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    head = struct.pack("<HH2sHI", 0x0008, 0x0001, b"OB", 0, 1 << 30)
    return packer.compress(head) + b"".join(packer.compress(bytes(1 << 20)) for _ in range(256)) + packer.flush()


def before_the_patient(more: bytes) -> Bytes:
    """Insert bytes before the patient's name."""

    def make(ds: Dataset) -> bytes:
        data = encoded(ds)
        at = data.index(PATIENT)
        return data[:at] + more + data[at:]

    return make


def with_uid(which: str, value: bytes) -> Bytes:
    """Write bytes as one of the UIDs."""

    def make(ds: Dataset) -> bytes:
        data = encoded(ds)
        at = data.index(NAMES[which])
        length = struct.unpack_from("<H", data, at + 6)[0]
        padded = value + b"\0" * (len(value) % 2)
        return data[: at + 6] + struct.pack("<H", len(padded)) + padded + data[at + 8 + length :]

    return make


def encapsulated(ds: Dataset) -> bytes:
    """The image with its pixel data in fragments."""
    ds.PixelData = encapsulate([b"\xff\xd8 nothing \xff\xd9"])
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    return encoded(ds)


def of_class(ds: Dataset) -> bytes:
    """The image under another SOP class."""
    ds.SOPClassUID = MRImageStorage
    return encoded(ds)


def nested(depth: int) -> bytes:
    """Sequences in sequences, none of which ends."""
    level = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    return (level + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)) * depth


def below_the_watermark(house: House) -> str:
    """On a Raysight that keeps more disk free than there is."""
    other = Raysight(house.folder / "full", settings={"node": {"limits": {"free_mb": 10**9}}})
    with other:
        ds = image(house)
        path = house.folder / "full.dcm"
        ds.save_as(path, enforce_file_format=True)
        (sent,) = send_files(RemoteAE(other.ae_title, "127.0.0.1", other.port), "MODALITY", [path])
        ready = httpx.get(f"http://127.0.0.1:{other.api_port}/readyz", trust_env=False)
        wrong = [check["name"] for check in ready.json()["checks"] if not check["ok"]]
        assert "Traceback" not in other.log()
    return f"{sent.status:04X}: {sent.comment}; /readyz: {ready.status_code}, not ok: {', '.join(wrong)}"


def cases() -> tuple[Case, ...]:
    """The instances."""
    ends = "C000: the dataset ends inside an element"
    command = "C000: Affected SOP Instance UID (0000,1000) is not a UID"
    explicit, implicit, big = ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian
    bad_uids = (
        ("a path", b"../../etc/passwd"),
        ("an absolute path", b"/etc/passwd"),
        ("a NUL within", b"1.2\0.3"),
        ("65 characters", b"1" * 65),
    )
    return (
        Case("a request without a dataset", "C000: the request has no dataset", storing(lambda ds: None)),
        Case("a dataset of zero bytes", "C000: the dataset has no bytes", storing(lambda ds: b"")),
        Case("a dataset that ends in its header", ends, storing(lambda ds: encoded(ds)[:200])),
        Case("pixel data cut short", ends, storing(lambda ds: encoded(ds)[:-1000])),
        *(
            Case(
                f"{real.name} on a context of {claimed.name}",
                "C000: ",
                storing(partial(encoded, syntax=real), claimed),
            )
            for claimed, real in ((explicit, implicit), (implicit, explicit), (explicit, big), (big, explicit))
        ),
        Case(
            "plain bytes on a context of Deflated Explicit VR",
            "C000: the bytes aren't deflated as the transfer syntax says",
            storing(encoded, DeflatedExplicitVRLittleEndian),
        ),
        Case(
            "native pixel data on a context of JPEG-LS",
            "C000: pixel data isn't encapsulated as the transfer syntax says",
            storing(encoded, JPEGLSLossless),
        ),
        Case(
            "encapsulated pixel data on a context of Explicit VR Little Endian",
            "C000: pixel data is encapsulated, unlike the transfer syntax says",
            storing(encapsulated),
        ),
        Case(
            "an element that declares 2 GB",
            ends,
            storing(before_the_patient(struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, 0x7FFFFFFF))),
        ),
        Case("a deflate bomb", ends, storing(lambda ds: bomb(), DeflatedExplicitVRLittleEndian)),
        Case("10,000 sequences in one another", "C000: ", storing(before_the_patient(nested(10_000)))),
        Case(
            "an instance larger than allowed",
            "C000: instance is larger than",
            storing(lambda ds: encoded(ds) + bytes(5 << 20)),
        ),
        *(
            Case(f"{name} as {which} Instance UID", "C000: ", storing(with_uid(which, value)))
            for which in NAMES
            for name, value in (*bad_uids, ("nothing", b""))
        ),
        *(
            Case(
                f"{name} as the request's SOP Instance UID",
                "A-ABORT" if len(value) > 64 else command,
                storing(encoded, sop_instance=value),
            )
            for name, value in bad_uids
        ),
        Case("nothing as the request's SOP Instance UID", "A-ABORT", storing(encoded, sop_instance=b"")),
        Case(
            "the request names another instance than the dataset",
            "C000: SOP Instance UID (0008,0018) is not the request's",
            storing(encoded, sop_instance=b"1.2.3.4"),
        ),
        Case(
            "the dataset is of another SOP class than the request",
            "A900: SOP Class UID (0008,0016) is not the request's",
            storing(of_class),
        ),
        Case(
            "less free disk than the watermark",
            "A700: free disk space is below the watermark; /readyz: 503, not ok: disk",
            below_the_watermark,
        ),
    )


def send(house: House, paths: list[Path]) -> None:
    """Send files; all are taken."""
    outcomes = send_files(RemoteAE("RAYSIGHT", "127.0.0.1", house.raysight.port), "MODALITY", paths)
    assert [o.status for o in outcomes] == [0x0000] * len(paths)


def state(house: House, study: str, wanted: str) -> str:
    """A study's state, once it is the wanted one, with the reading's reason."""
    status = house.raysight.wait_for(study, [wanted])
    newest = next(reading for reading in status["readings"] if not reading["superseded"])
    if newest["reason"] is None:
        return str(status["state"])
    return outcome(status["state"], {"kind": newest["reason_kind"], "message": newest["reason"]})


def sent(given: str) -> Callable[[House], str]:
    """One of the bad studies, to the node."""

    def observe(house: House) -> str:
        study = next(bad for bad in BAD_STUDIES if bad.given == given)
        send(house, study.write(house.slices, house.folder / f"sent {study.uid}"))
        return f"0000 each; {state(house, study.uid, 'not read')}"

    return observe


def good_study(house: House, name: str) -> tuple[str, list[Path], list[Dataset]]:
    """A good study: its UID, files and datasets."""
    slices = own_copies(house.slices, name)
    folder = house.folder / name
    folder.mkdir()
    paths = [folder / f"{number:03d}.dcm" for number in range(len(slices))]
    for ds, path in zip(slices, paths, strict=True):
        ds.save_as(path, enforce_file_format=True)
    return str(slices[0].StudyInstanceUID), paths, slices


def other_bytes(house: House) -> str:
    """One slice comes again with other pixels while the study is being read."""
    study, paths, slices = good_study(house, "conflict while reading")
    send(house, paths)
    house.raysight.wait_for(study, ["reading", "read"])
    other = deepcopy(slices[20])
    other.PixelData = bytes(len(other.PixelData))
    other.save_as(house.folder / "other.dcm", enforce_file_format=True)
    send(house, [house.folder / "other.dcm"])
    return f"0000 each, both are kept; then {state(house, study, 'not read')}"


def bad_slice_after_good(house: House) -> str:
    """A refused instance in the middle of a good study leaves the rest alone."""
    study, paths, slices = good_study(house, "one refused")
    damaged = house.folder / "damaged.dcm"
    buffer = BytesIO()
    rename(deepcopy(slices[0]), f"{slices[0].SOPInstanceUID[:50]}.9").save_as(buffer, enforce_file_format=True)
    damaged.write_bytes(buffer.getvalue()[:-1000])
    outcomes = send_files(
        RemoteAE("RAYSIGHT", "127.0.0.1", house.raysight.port), "MODALITY", [*paths[:20], damaged, *paths[20:]]
    )
    refused = [o for o in outcomes if o.status != 0x0000]
    return f"{refused[0].status:04X}: {refused[0].comment}; the others 0000; {state(house, study, 'read')}"


def next_good_study(house: House) -> str:
    """What everything else must not harm."""
    study, paths, _ = good_study(house, "the next good study")
    send(house, paths)
    return f"0000 each; {state(house, study, 'read')}"


AFTERWARDS = (Case("a good study", "0000 each; read", next_good_study),)
STUDIES = (
    Case("one slice missing", "0000 each; not read (missing-slice)", sent("one slice missing")),
    Case(
        "two patients under one Study UID",
        "0000 each; not read (mixed-patients)",
        sent("two patients under one Study UID"),
    ),
    Case("a JPEG-LS stream of noise", "0000 each; not read (undecodable-pixels)", sent("a JPEG-LS stream of noise")),
    Case("an MR study", "0000 each; not read (wrong-modality)", sent("an MR study")),
    Case(
        "the same SOP Instance UID with other bytes while its study is read",
        "0000 each, both are kept; then not read (conflicting-instances)",
        other_bytes,
    ),
    Case(
        "one truncated instance more, amid a good study",
        "C000: the dataset ends inside an element; the others 0000; read",
        bad_slice_after_good,
    ),
)

"""Files and folders that hold no study, or something that calls itself one."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from tests.integration.bad_associations import NOISE
from tests.integration.bad_inputs import Case, House
from tests.integration.bad_instances import before_the_patient, bomb, nested, with_uid
from tests.integration.bad_studies import STUDIES, own_copies
from tests.integration.raw_peer import IMPLICIT
from tests.integration.spoiling import encoded, part10

Make = Callable[[Dataset], bytes]
"""From a good image to the bytes of a file."""


FILES: dict[str, tuple[str, Make]] = {
    "a text file": ("", lambda ds: b"Patient list, Monday\n" * 50),
    "a file of no bytes": ("", lambda ds: b""),
    "noise": ("", lambda ds: NOISE),
    "a preamble and nothing else": ("", lambda ds: bytes(128) + b"DICM"),
    "a file meta and nothing else": ("", lambda ds: part10(b"")),
    "a header that ends early": ("", lambda ds: part10(encoded(ds)[:300])),
    "an explicit VR dataset under a file meta of Implicit VR": ("", lambda ds: part10(encoded(ds), IMPLICIT)),
    "an element that declares 2 GB": (
        "",
        lambda ds: part10(before_the_patient(struct.pack("<HH2sHI", 9, 0x1001, b"OB", 0, 0x7FFFFFFF))(ds)),
    ),
    "a deflate bomb": ("", lambda ds: part10(bomb(), DeflatedExplicitVRLittleEndian)),
    "10,000 sequences in one another": ("", lambda ds: part10(before_the_patient(nested(10_000))(ds))),
    "a path as Study Instance UID": ("", lambda ds: part10(with_uid("Study", b"../../etc/passwd")(ds))),
    "a path as SOP Instance UID": ("", lambda ds: part10(with_uid("SOP", b"/etc/passwd")(ds))),
    "nothing as Study Instance UID": ("", lambda ds: part10(with_uid("Study", b"")(ds))),
}


def passed_over(name: str) -> Callable[[House], str]:
    """What `raysight read` says about one of the files beside a good study."""

    def observe(house: House) -> str:
        return f"passed over: {house.once(read_strangers)[name]}"

    return observe


def amid(house: House) -> str:
    """The good study among those files."""
    return house.once(read_strangers)["the study"]


def folder_of(write: Callable[[Path], object]) -> Callable[[House], str]:
    """`raysight read` on a folder."""

    def observe(house: House) -> str:
        folder = house.folder / f"folder {len(house.answers)}"
        write(folder)
        done = house.raysight.run("read", str(folder), "--out", str(house.folder / "none"), check=False)
        said = " ".join((done.stdout + done.stderr).replace(str(folder), "DIR").split())
        return f"exit code {done.returncode}: {said}"

    return observe


def out_is_a_file(house: House) -> str:
    """`raysight read` of a study whose results can't be put where they are wanted."""
    folder, out = house.folder / "one bad study", house.folder / "a file"
    STUDIES[0].write(house.slices, folder)
    out.write_bytes(b"x")
    done = house.raysight.run("read", str(folder), "--out", str(out), check=False)
    return f"exit code {done.returncode}: {' '.join((done.stdout + done.stderr).replace(str(out), 'OUT').split())}"


def _with(name: str, data: bytes) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        folder.mkdir()
        (folder / name).write_bytes(data)

    return write


def cases() -> tuple[Case, ...]:
    """The files, then the folders."""
    no_folder, nothing = "exit code 2: raysight: DIR is no folder", "exit code 1: No study was found below DIR."
    return (
        *(Case(name, f"passed over: {begins}", passed_over(name)) for name, (begins, _) in FILES.items()),
        Case("all of these and a DICOMDIR beside a good study", "read", amid),
        Case("a folder that is not there", no_folder, folder_of(lambda folder: None)),
        Case("a file instead of a folder", no_folder, folder_of(lambda folder: folder.write_bytes(b"x"))),
        Case("an empty folder", nothing, folder_of(Path.mkdir)),
        Case("a folder of text", nothing, folder_of(_with("a.txt", b"text"))),
        Case("a folder with a DICOMDIR only", nothing, folder_of(_with("DICOMDIR", bytes(200)))),
        Case("an output folder that is a file", "exit code 1: raysight: OUT/", out_is_a_file),
    )


def read_strangers(house: House) -> dict[str, str]:
    """Why each of the files is passed over, and what becomes of the good study beside them."""
    folder = house.folder / "strangers"
    folder.mkdir()
    good = own_copies(house.slices, "among strangers")
    for number, ds in enumerate(good):
        ds.save_as(folder / f"{number:03d}.dcm", enforce_file_format=True)
    (folder / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    (folder / "notes").mkdir()
    for name, (_, make) in FILES.items():
        (folder / "notes" / name).write_bytes(make(own_copies(house.slices[:1], name)[0]))
    answer = house.read(folder)
    said = {Path(path).name: why for path, why in answer["unreadable"]}
    results = [f"{r['status']}, {len(r['reading']['findings'])} marks" for r in answer["results"]]
    return said | {"the study": "; ".join(results)}

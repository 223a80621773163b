"""Cases with their labels as arrays: members of a cohort, or a folder of the layout `images-labels`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray

from imaging.errors import CohortError
from imaging.files import sha256_of
from imaging.geometry import Geometry
from training.cohort.members import FileRole, Member, natural
from training.cohort.nifti import apart, case_of, read_volume


@dataclass(frozen=True, eq=False)
class LabelledVolume:
    """A case.

    Parameters
    ----------
    subject
        Who it is of; the case's own name where nobody knows.
    array
        [slice, row, column] on ``geometry``, in the image's own unit.
    labels
        [slice, row, column] uint8 on ``geometry``.
    """

    case: str
    subject: str
    array: NDArray[Any]
    labels: NDArray[np.uint8]
    geometry: Geometry


@dataclass(frozen=True)
class CaseFiles:
    """Where a case lies, and the sha256 of its image and its label file."""

    case: str
    subject: str
    image: Path
    label: Path
    digests: tuple[str, str]

    def load(self) -> LabelledVolume:
        """Read both; CohortError when they were altered, can't be read, or don't lie in the same place."""
        if (_sha256(self.image), _sha256(self.label)) != self.digests:
            raise CohortError(
                f"{self.case}: a file was changed since it was listed; `raysight cohort verify` tells which"
            )
        image, label = read_volume(self.image), read_volume(self.label)
        if objection := apart(image, label):
            raise CohortError(f"{self.case}: image and label don't lie in the same place: {objection}")
        labels = np.asarray(sitk.GetArrayFromImage(label))
        if labels.min() < 0 or labels.max() > 255 or np.any(labels != np.rint(labels)):
            raise CohortError(f"{self.case}: a label is a whole number from 0 to 255")
        array = np.asarray(sitk.GetArrayFromImage(image))
        return LabelledVolume(self.case, self.subject, array, labels.astype(np.uint8), geometry_of(image))


def of_members(members: Collection[Member], data: Path) -> tuple[CaseFiles, ...]:
    """Members whose images are single files, by the natural order of their names; ``data`` is the data folder."""
    cases = []
    for member in sorted(members, key=lambda m: natural(m.case)):
        files = {record.role: record for record in member.files}
        if len(member.files) != 2 or files.keys() != {FileRole.IMAGE, FileRole.LABEL}:
            raise CohortError(f"{member.case}: one image file and one label file are needed")
        image, label = files[FileRole.IMAGE], files[FileRole.LABEL]
        subject = "/".join(member.person)
        cases.append(
            CaseFiles(member.case, subject, data / image.path, data / label.path, (image.sha256, label.sha256))
        )
    return tuple(cases)


def of_folder(folder: Path) -> tuple[CaseFiles, ...]:
    """The cases in ``folder/images`` and ``folder/labels``, each a subject of its own as nothing else is known.

    Raises
    ------
    CohortError
        A file has no partner, two are of the same case, or there is none at all.
    """
    images, labels = (_by_case(folder / part) for part in ("images", "labels"))
    lonely = sorted(images.keys() ^ labels.keys(), key=natural)
    if lonely or not images:
        what = f"{lonely[0]} is in one of the two only" if lonely else "there is none"
        raise CohortError(
            f"{folder}: every case needs a NIfTI file in images/ and one of the same name in labels/; {what}"
        )
    return tuple(
        CaseFiles(case, case, images[case], labels[case], (_sha256(images[case]), _sha256(labels[case])))
        for case in sorted(images, key=natural)
    )


def geometry_of(image: sitk.Image) -> Geometry:
    """The grid of a SimpleITK image (LPS, as DICOM's) for its array [slice, row, column]."""
    columns = np.reshape(image.GetDirection(), (3, 3)).T  # unit vectors of x, y, z
    x, y, z = image.GetSize()
    sx, sy, sz = image.GetSpacing()
    rows = [(float(v[0]), float(v[1]), float(v[2])) for v in columns[::-1]]
    ox, oy, oz = image.GetOrigin()
    return Geometry((z, y, x), (sz, sy, sx), (ox, oy, oz), (rows[0], rows[1], rows[2]))


def _by_case(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        case = None if path.name.startswith(".") else case_of(path)
        if case in found:
            raise CohortError(f"{path} and {found[case].name} are two files for the case {case}: leave one")
        if case is not None:
            found[case] = path
    return found


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise CohortError(f"{path}: {error.strerror}") from None

"""The layout `images-labels`: NIfTI files in `images/`, and label images of the same names in `labels/`."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray

from imaging.errors import CohortError
from training.cohort.cases import Case, Found, files_below, in_order, patient_axes, refuse
from training.cohort.description import ImagesLabels
from training.cohort.members import FileRole
from training.cohort.refusals import Refusal, RefusalKind

_ENDINGS = (".nii.gz", ".nii")
_SAME_PLACE_MM = 1e-3


def find_nifti(source: ImagesLabels, folder: Path, classes: Collection[int]) -> Found:
    """The cases below ``folder``, each with its label image.

    Parameters
    ----------
    classes
        The values that a label image may hold.
    """
    refusals: list[Refusal] = []
    images, labels = (_by_name(folder / part, refusals) for part in ("images", "labels"))
    cases = []
    for name in images.keys() | labels.keys():
        if name in images and name in labels:
            files = ((FileRole.IMAGE, images[name]), (FileRole.LABEL, labels[name]))
            pixels = partial(_pixels, name, images[name], labels[name], frozenset(classes))
            cases.append(Case(name, source.subject.subject_of(name), files, pixels))
        else:
            there, lacking = ("images", "labels") if name in images else ("labels", "images")
            message = f"{name} is in {source.folder}/{there}, not in {lacking}: add it there, or take it out"
            refusals.append(Refusal(RefusalKind.NO_PARTNER, message, (name,)))
    return Found(in_order(cases), tuple(sorted(refusals, key=lambda r: r.cases)))


def case_of(path: Path) -> str | None:
    """The name of the case that a NIfTI file is of; None for any other file."""
    ending = next((e for e in _ENDINGS if path.name.endswith(e)), None)
    return path.name.removesuffix(ending) if ending else None


def read_volume(path: Path) -> sitk.Image:
    """A NIfTI file; CohortError when it can't be read, isn't whole, or is no volume of single values."""
    try:
        _check_whole(path)
        image = sitk.ReadImage(str(path))
    except OSError as error:
        raise CohortError(f"{path} can't be read: {error.strerror or error}") from None
    except (RuntimeError, EOFError, zlib.error, struct.error) as error:
        raise CohortError(f"{path} can't be read: {str(error).strip().splitlines()[-1]}") from None
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        kind = f"{image.GetDimension()} axes and {image.GetNumberOfComponentsPerPixel()} values a voxel"
        raise CohortError(f"{path} has {kind}; a volume of single values is needed")
    return image


def apart(image: sitk.Image, label: sitk.Image) -> str:
    """Why an image and its label don't lie in the same place; empty when they do."""
    if image.GetSize() != label.GetSize():
        return f"the image has {image.GetSize()} voxels along x, y, z, its label {label.GetSize()}"
    for what in ("Spacing", "Origin", "Direction"):
        mine, its = (np.array(getattr(one, f"Get{what}")()) for one in (image, label))
        if not np.allclose(mine, its, rtol=0, atol=_SAME_PLACE_MM):
            return f"{what.lower()} is {_shown(mine)} in the image, {_shown(its)} in its label"
    return ""


def _by_name(folder: Path, refusals: list[Refusal]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in files_below(folder):
        name = case_of(path)
        if name is None or path.parent != folder:
            message = f"{path} is no NIfTI file ({' or '.join(_ENDINGS)}) right in {folder.name}/: take it out"
            refusals.append(Refusal(RefusalKind.FOREIGN_FILE, message, (path.name,)))
        elif name in found:
            message = f"{path} and {found[name].name} are two files for the case {name}: leave one"
            refusals.append(Refusal(RefusalKind.FOREIGN_FILE, message, (name,)))
        else:
            found[name] = path
    return found


def _pixels(case: str, image_path: Path, label_path: Path, classes: frozenset[int]) -> NDArray[Any]:
    try:
        image, label = read_volume(image_path), read_volume(label_path)
    except CohortError as error:
        raise refuse(RefusalKind.UNREADABLE, str(error), case) from None
    if objection := apart(image, label):
        raise refuse(RefusalKind.GEOMETRY, f"{case}: {objection}", case)
    values = np.unique(sitk.GetArrayViewFromImage(label))
    strange = [f"{v:g}" for v in values.tolist() if v not in classes]
    if strange:
        message = (
            f"{case}: the label holds {', '.join(strange[:5])}, but the description declares {sorted(classes)} only"
        )
        raise refuse(RefusalKind.CLASSES, message, case)
    return patient_axes(image)


def _check_whole(path: Path) -> None:
    """Compare the length with the NIfTI-1 header: ITK fills up what is missing, without a word."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    order = next((o for o in "<>" if content[:4] == struct.pack(f"{o}i", 348)), None)
    if order is None:
        raise EOFError("its header is not NIfTI-1's")
    axes = struct.unpack_from(f"{order}8h", content, 40)
    bits, start = struct.unpack_from(f"{order}h34xf", content, 72)
    needed = int(start) + math.prod(axes[1 : axes[0] + 1]) * bits // 8
    if len(content) < needed:
        raise EOFError(f"it has {len(content):,} bytes of {needed:,}; get it again")


def _shown(values: NDArray[np.float64]) -> str:
    return f"({', '.join(f'{v:g}' for v in values)})"

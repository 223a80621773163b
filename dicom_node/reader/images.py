"""The images of selected series, as their modality asks."""

from __future__ import annotations

from collections.abc import Sequence

from dicom_node.reader.radiograph import build_radiograph
from dicom_node.reader.stack import VOLUME_MODALITIES
from dicom_node.reader.volume import PathOf, Progress, Stage, build_volume, unmeasured
from imaging.errors import ImageError
from imaging.images import Radiograph, Volume
from imaging.reasons import Reason, ReasonKind
from imaging.study import SeriesInfo

RADIOGRAPH_MODALITIES = frozenset({"CR", "DX"})


def load_images(
    series: Sequence[SeriesInfo],
    path_of: PathOf,
    *,
    on_progress: Progress | None = None,
    stage: Stage = unmeasured,
) -> list[Volume | Radiograph]:
    """A volume for each cross-sectional series, and each image of a radiographic one, in the order given.

    Parameters
    ----------
    stage
        Entered as ``decode`` while files are read and decoded (see `build_volume`).

    Raises
    ------
    ImageError
        A series' defect, pixels that can't be had, or WRONG_MODALITY for what is neither.
    """
    images: list[Volume | Radiograph] = []
    for one in series:
        if one.modality in VOLUME_MODALITIES:
            images.append(build_volume(one, path_of, on_progress=on_progress, stage=stage))
        elif one.modality in RADIOGRAPH_MODALITIES:
            if one.defect is not None:
                raise ImageError(one.defect)
            with stage("decode"):
                images += [build_radiograph(i, one, path_of(i.blob)) for i in one.instances if i.is_image]
        else:
            message = f"{one.name}: images of modality {one.modality or '(absent)'} are not read."
            raise ImageError(Reason(ReasonKind.WRONG_MODALITY, message, one.series_instance_uid))
    return images

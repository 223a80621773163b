"""Objects -> bytes: the same bytes every time, in the destination's character set, nothing lost."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from io import BytesIO

from pydicom import Dataset, dcmwrite
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.objects.order import ResultOrder
from dicom_node.objects.profile import CharacterSet
from dicom_node.objects.text import ACCEPTED, GB18030, UTF8, unencodable
from dicom_node.objects.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, derive_uid
from imaging.errors import ResultError

TIME_ATTRIBUTES = frozenset(
    {
        "ContentDate",
        "ContentTime",
        "ContributionDateTime",
        "DateOfSecondaryCapture",
        "InstanceCreationDate",
        "InstanceCreationTime",
        "SeriesDate",
        "SeriesTime",
        "TimeOfSecondaryCapture",
    }
)
"""All that differs between two writings of one reading (at any depth): when each was written."""

_META_START = 132  # preamble and 'DICM'
_GROUP_LENGTH_ELEMENT = 12


def choose_character_set(order: ResultOrder, datasets: Sequence[Dataset]) -> str:
    """The Specific Character Set under which all of an order's objects are written.

    Raises
    ------
    ResultError
        Text that the configured set can't hold; it is never replaced by ``?``.
    """
    wanted = order.profile.character_set
    if wanted is CharacterSet.SOURCE:
        source = order.sources.character_set
        if len(source) == 1 and source[0] in ACCEPTED and not any(unencodable(d, source[0]) for d in datasets):
            return source[0]
    term = GB18030 if wanted is CharacterSet.GB18030 else UTF8
    lost = [text for dataset in datasets for text in unencodable(dataset, term)]
    if lost:
        raise ResultError(f"{term} can't hold {', '.join(lost)}; configure another character set or mend the source")
    return term


def settle(dataset: Dataset, order: ResultOrder) -> None:
    """Replace every time and UID that highdicom makes up by one that follows from the order."""
    now = order.local_time
    dataset.InstanceCreationDate = f"{now:%Y%m%d}"
    dataset.InstanceCreationTime = f"{now:%H%M%S.%f}"
    dataset.TimezoneOffsetFromUTC = f"{now:%z}"[:5]
    for item in dataset.get("ContributingEquipmentSequence", ()):
        if item.get("ManufacturerModelName") == "highdicom":
            item.ContributionDateTime = f"{now:%Y%m%d%H%M%S.%f%z}"
    if "DimensionOrganizationSequence" in dataset:
        uid = derive_uid(order.key, f"{order.profile.name}/dimensions")
        for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
            item.DimensionOrganizationUID = uid


def encode(dataset: Dataset, character_set: str) -> tuple[bytes, str]:
    """The Part 10 file of a dataset, explicit little endian, and the sha256 (hex) of what follows its file meta."""
    if character_set:
        dataset.SpecificCharacterSet = character_set
    elif "SpecificCharacterSet" in dataset:
        del dataset.SpecificCharacterSet
    meta = dataset.file_meta
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    data = buffer.getvalue()
    length = int.from_bytes(data[_META_START + 8 : _META_START + 12], "little")
    return data, hashlib.sha256(data[_META_START + _GROUP_LENGTH_ELEMENT + length :]).hexdigest()

"""The picture as a secondary capture that every workstation shows."""

from __future__ import annotations

from io import BytesIO

import highdicom as hd
import numpy as np
from PIL import Image
from pydicom import Dataset

from dicom_node.objects.order import ResultOrder, Role
from dicom_node.objects.panels import shown_earlier, shown_frames
from dicom_node.objects.text import UTF8
from imaging.codes import Code

_SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")

# Body parts (PS3.16 annex L) that have no side
_UNPAIRED = frozenset(
    {
        "ABDOMEN", "ABDOMENPELVIS", "BRAIN", "CHEST", "CHESTABDOMEN", "CHESTABDPELVIS", "COCCYX", "CSPINE", "HEAD",
        "HEART", "LIVER", "LSPINE", "NECK", "NECKCHEST", "PELVIS", "SKULL", "SSPINE", "STERNUM", "TSPINE",
        "WHOLEBODY",
    }
)  # fmt: skip


def build_capture(order: ResultOrder, picture: Image.Image) -> Dataset:
    """Secondary Capture Image (SOP class ..7), RGB, of the rendered picture.

    Notes
    -----
    The single-frame class, because it is the one that all archives take. Its pixels carry words, so Burned In
    Annotation is YES; they carry no patient identity.
    """
    carrier, now = order.sources.carrier, order.local_time
    capture = hd.sc.SCImage.from_ref_dataset(
        ref_dataset=carrier,
        pixel_array=np.asarray(picture),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),
        series_instance_uid=order.series_uid(Role.PICTURE),
        series_number=Role.PICTURE.series_number,
        sop_instance_uid=order.sop_uid(Role.PICTURE),
        instance_number=1,
        manufacturer=order.device.manufacturer,
        manufacturer_model_name=order.device.model_name,
        software_versions=order.device.software_version,
        device_serial_number=order.device.serial_number,
        institution_name=order.institution,
        series_description="AI picture (research use)",
        specific_character_set=UTF8,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        content_date=now.date(),
        content_time=now.time(),
        series_date=now.date(),
        series_time=now.time(),
    )
    capture.copy_patient_and_study_information(carrier)
    capture.PatientOrientation = None  # several slices and words: it has none of its own
    body_part = str(carrier.get("BodyPartExamined") or "")
    if body_part in _UNPAIRED:
        capture.BodyPartExamined = body_part  # and no Laterality (0020,0060), which only paired parts have
    else:
        capture.Laterality = carrier.get("Laterality") or ""
    capture.ConversionType = "WSD"
    capture.BurnedInAnnotation = "YES"
    capture.DateOfSecondaryCapture = f"{now:%Y%m%d}"
    capture.TimeOfSecondaryCapture = f"{now:%H%M%S.%f}"
    capture.SecondaryCaptureDeviceManufacturer = order.device.manufacturer
    capture.SecondaryCaptureDeviceManufacturerModelName = order.device.model_name
    capture.SecondaryCaptureDeviceSoftwareVersions = order.device.software_version
    reading = order.reading
    capture.DerivationDescription = (
        f"Findings of {reading.model.name} {reading.model.version}; research use, not for primary diagnosis"
    )
    sources = [
        _source(frame.header.SOPClassUID, frame.header.SOPInstanceUID, frame.frame_numbers)
        for frame in shown_frames(order)
    ]
    sources += [
        _source(s.sop_class_uid, s.sop_instance_uid, None if s.frame is None else [s.frame])
        for s in shown_earlier(order)
    ]
    if sources:
        capture.SourceImageSequence = sources
    return capture


def to_png(picture: Image.Image) -> bytes:
    """PNG of a picture."""
    buffer = BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _source(sop_class_uid: str, sop_instance_uid: str, frame_numbers: list[int] | None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    if frame_numbers is not None:
        item.ReferencedFrameNumber = frame_numbers
    purpose = Dataset()
    purpose.CodeValue = _SOURCE_IMAGE.value
    purpose.CodingSchemeDesignator = _SOURCE_IMAGE.scheme
    purpose.CodeMeaning = _SOURCE_IMAGE.meaning
    item.PurposeOfReferenceCodeSequence = [purpose]
    return item

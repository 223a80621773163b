"""How this installation is named as the maker of results."""

from __future__ import annotations

from dicom_node.objects.order import Device
from dicom_node.objects.uids import derive_uid
from service.settings import Settings
from service.version import raysight_version


def device_of(settings: Settings) -> Device:
    """The device (TID 1004) of this installation; its UID follows from AE title, station and serial number."""
    own = settings.device
    return Device(
        model_name="Raysight",
        software_version=raysight_version(),
        serial_number=own.serial_number,
        uid=derive_uid("device", f"{settings.node.ae_title}/{own.station_name}/{own.serial_number}"),
        location=own.location,
    )

"""UIDs that may become file names, and the names."""

from __future__ import annotations

import re

from imaging.errors import HeaderError

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def check_uid(uid: str, what: str) -> str:
    """Return ``uid`` if its syntax is a UID's (PS3.5 section 9.1): digits in parts between single dots, at most 64.

    Leading zeros of a part, which the standard forbids, are let through: real archives hold such UIDs.

    Raises
    ------
    HeaderError
        Naming ``what`` was wrong, never the value (it may be anything that a peer sent).
    """
    if len(uid) > 64 or not _UID.fullmatch(uid):
        raise HeaderError(f"{what} is not a UID" if uid else f"{what} is absent")
    return uid


def blob_name(study_instance_uid: str, sop_instance_uid: str, digest: str) -> str:
    """Name of an instance in the spool.

    Parameters
    ----------
    digest
        sha256 of the dataset bytes after the file meta, 64 hex digits.

    Raises
    ------
    HeaderError
        When one of the UIDs isn't one.
    ValueError
        When ``digest`` isn't one.
    """
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"not a sha256 in hex: {digest!r}")
    study = check_uid(study_instance_uid, "Study Instance UID (0020,000D)")
    instance = check_uid(sop_instance_uid, "SOP Instance UID (0008,0018)")
    return f"{study}/{instance}-{digest[:16]}.dcm"

"""UIDs that follow from what they name, so that the same reading always has the same ones."""

from __future__ import annotations

from uuid import UUID, uuid5

# Raysight's own UUID namespace; changing it would rename every result ever made.
NAMESPACE = UUID("6f0c1d0e-94b4-5c1b-9f0e-52a7a3f1d2c4")


def derive_uid(key: str, role: str) -> str:
    """A UID under 2.25 (PS3.5 B.2) from a name.

    Parameters
    ----------
    key
        What it belongs to: a reading's key, a series' UID.
    role
        What it stands for there.

    Returns
    -------
    str
        ``2.25.`` and the UUIDv5 of ``key/role`` in Raysight's namespace as a decimal integer; at most 44 characters.
    """
    return f"2.25.{uuid5(NAMESPACE, f'{key}/{role}').int}"


def tracking_uid(key: str, number: int) -> str:
    """The tracking UID of finding ``number`` at its first reading key; the same under every profile."""
    return derive_uid(key, f"tracking/{number}")


IMPLEMENTATION_CLASS_UID = derive_uid("raysight", "implementation")
IMPLEMENTATION_VERSION_NAME = "RAYSIGHT"

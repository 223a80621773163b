"""What the node offers in association negotiation."""

from __future__ import annotations

from typing import Any

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import (
    ALL_TRANSFER_SYNTAXES,
    AllStoragePresentationContexts,
    build_context,
)
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification

UNCOMPRESSED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)

# The pixels of these are elsewhere: behind a JPIP address, or in a live stream.
_NO_IMAGE_INSIDE = (
    "1.2.840.10008.1.2.4.94",
    "1.2.840.10008.1.2.4.95",
    "1.2.840.10008.1.2.4.204",
    "1.2.840.10008.1.2.4.205",
    "1.2.840.10008.1.2.7.1",
    "1.2.840.10008.1.2.7.2",
    "1.2.840.10008.1.2.7.3",
)

# In one context with several syntaxes the first of these that the peer proposes is taken: no decoder needed, first.
TRANSFER_SYNTAXES: tuple[str, ...] = (
    *UNCOMPRESSED,
    *(syntax for syntax in ALL_TRANSFER_SYNTAXES if syntax not in UNCOMPRESSED + _NO_IMAGE_INSIDE),
)


def storage_contexts() -> list[PresentationContext]:
    """Every standard storage SOP class in every transfer syntax, and verification."""
    contexts = [build_context(cx.abstract_syntax, list(TRANSFER_SYNTAXES)) for cx in AllStoragePresentationContexts]
    return [*contexts, build_context(Verification, list(UNCOMPRESSED))]


def commitment_reports() -> PresentationContext:
    """The peer reports on storage commitment: it is the SCP of that class on an association that it opens."""
    context = build_context(StorageCommitmentPushModel, list(UNCOMPRESSED))
    context.scu_role, context.scp_role = False, True
    return context


class SharedContexts(list[PresentationContext]):
    """pynetdicom copies all contexts deeply for every association (as long as ten images take) and changes none."""

    def __deepcopy__(self, memo: dict[int, Any]) -> SharedContexts:
        return self

"""Fetching series from an archive: C-GET on our own association, or C-MOVE to our storage SCP (PS3.4 annex C).

With C-GET an archive need not know where we listen; with C-MOVE it needn't know C-GET. Either way an instance goes
through `dicom_node.network.keeping` and is logged as retrieved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from time import monotonic

from pydicom.dataset import Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
)
from pynetdicom import build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from dicom_node.network.association import Handlers, associate, lost, refusal
from dicom_node.network.contexts import TRANSFER_SYNTAXES, UNCOMPRESSED
from dicom_node.network.keeping import Admit, Budget, Keeper
from dicom_node.network.peers import RemoteAE
from dicom_node.network.transport import SpoolingDIMSE
from dicom_node.spool.header import Header
from dicom_node.spool.incoming import CANNOT_UNDERSTAND, Refused
from imaging.errors import PeerError, PeerRefusal

IMAGE_CLASSES = {
    "CT": (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage),
    "MR": (MRImageStorage, EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage),
    "CR": (ComputedRadiographyImageStorage,),
    "DX": (DigitalXRayImageStorageForPresentation, DigitalXRayImageStorageForProcessing),
}
"""Storage classes by modality; each is offered in every transfer syntax, and an association has 128 contexts."""

_GET, _MOVE = StudyRootQueryRetrieveInformationModelGet, StudyRootQueryRetrieveInformationModelMove
_PENDING = (0xFF00, 0xFF01)


@dataclass(frozen=True)
class Wanted:
    """Series of one study that are to be fetched.

    Parameters
    ----------
    modality
        Of these series; one of `IMAGE_CLASSES`.
    images, size
        Most instances, and most bytes, that are taken.
    seconds
        Longest time that all of it may take.
    """

    study_instance_uid: str
    series_instance_uids: tuple[str, ...]
    modality: str
    images: int
    size: int
    seconds: float


def get_series(
    remote: RemoteAE,
    keeper: Callable[[Admit], Keeper],
    wanted: Wanted,
) -> int:
    """Fetch series by C-GET; the number of instances that were stored.

    Parameters
    ----------
    keeper
        Makes the `Keeper` that they are stored by, and whose AE title calls.

    Raises
    ------
    PeerError
        The archive can't be reached, ended the association, sent more than is wanted or not all, or was too slow.
        What had come before stays stored.
    PeerRefusal
        It offers no C-GET or no images by it, or answered with a failure.
    """
    budget = Budget(wanted.images, wanted.size)

    def admit(header: Header, size: int, _originator: str) -> str:
        if header.study_instance_uid != wanted.study_instance_uid:
            raise Refused(CANNOT_UNDERSTAND, "not of the study that was asked for")
        budget.take(size)
        return "C-GET"

    keeping = keeper(admit)

    def spool(event: evt.Event) -> None:
        event.assoc.dimse = SpoolingDIMSE(event.assoc, keeping.open)

    def sweep(event: evt.Event) -> None:
        event.assoc.dimse.sweep()

    classes = IMAGE_CLASSES[wanted.modality]
    contexts = [
        build_context(_GET, list(UNCOMPRESSED)),
        # one for each syntax: in a context with several the archive chooses before it knows what it will send
        *(build_context(uid, syntax) for uid in classes for syntax in TRANSFER_SYNTAXES),
    ]
    handlers: Handlers = [
        (evt.EVT_CONN_OPEN, spool),
        (evt.EVT_C_STORE, keeping.store),
        (evt.EVT_CONN_CLOSE, sweep),
        (evt.EVT_ABORTED, sweep),
    ]
    roles = [build_role(uid, scp_role=True) for uid in classes]
    retrieval = _Retrieval(remote, wanted, budget, "C-GET", monotonic() + wanted.seconds)
    with associate(retrieval.within_time, keeping.ae_title, contexts, handlers, roles) as assoc:
        retrieval.check(assoc, _GET)
        if not any(context.as_scp for context in assoc.accepted_contexts):
            raise PeerRefusal(f"{remote} sends no {wanted.modality} images by C-GET; try C-MOVE")
        for query in retrieval.queries():
            retrieval.follow(assoc, assoc.send_c_get(query, _GET))
    return budget.taken


def move_series(
    remote: RemoteAE,
    ae_title: str,
    expecting: Callable[[str, Budget], AbstractContextManager[None]],
    wanted: Wanted,
) -> int:
    """Fetch series by C-MOVE to ourselves; the number of instances that came.

    Parameters
    ----------
    ae_title
        Ours: the archive must know where it listens.
    expecting
        `StoreSCP.expecting` of the storage SCP that they come to.

    Raises
    ------
    PeerError, PeerRefusal
        As `get_series`.
    """
    budget = Budget(wanted.images, wanted.size)
    retrieval = _Retrieval(remote, wanted, budget, "C-MOVE", monotonic() + wanted.seconds)
    contexts = [build_context(_MOVE, list(UNCOMPRESSED))]
    with (
        expecting(wanted.study_instance_uid, budget),
        associate(retrieval.within_time, ae_title, contexts) as assoc,
    ):
        retrieval.check(assoc, _MOVE)
        for query in retrieval.queries():
            retrieval.follow(assoc, assoc.send_c_move(query, ae_title, _MOVE))
    return budget.taken


@dataclass(frozen=True)
class _Retrieval:
    """What C-GET and C-MOVE share: one request for each series, and the wait for its last response."""

    remote: RemoteAE
    wanted: Wanted
    budget: Budget
    service: str
    until: float

    @property
    def within_time(self) -> RemoteAE:
        """The archive, waited for no longer than there is time."""
        seconds = self.wanted.seconds
        return replace(self.remote, connect_seconds=min(self.remote.connect_seconds, seconds))

    def check(self, assoc: Association, model: str) -> None:
        """PeerRefusal when the service isn't offered."""
        if not any(context.abstract_syntax == model for context in assoc.accepted_contexts):
            raise PeerRefusal(f"{self.remote} offers no {self.service}")

    def queries(self) -> Iterator[Dataset]:
        """The identifier of each request."""
        for series in self.wanted.series_instance_uids:
            query = Dataset()
            query.QueryRetrieveLevel = "SERIES"
            query.StudyInstanceUID, query.SeriesInstanceUID = self.wanted.study_instance_uid, series
            yield query

    def follow(self, assoc: Association, responses: Iterator[tuple[Dataset, Dataset | None]]) -> None:
        """Wait for the last response; raises unless everything was sent and taken in time."""
        while True:
            # an archive may say nothing before all is sent
            assoc.dimse_timeout = max(0.1, self.until - monotonic())
            status, _ = next(responses)
            if self.budget.overdrawn:
                raise PeerError(f"{self.remote} sent more by {self.service} than may be retrieved")
            if monotonic() >= self.until:
                raise PeerError(f"{self.remote} was too slow: {self.budget.taken} images had come by {self.service}")
            if "Status" not in status:
                raise lost(self.remote, f"sending images by {self.service}")
            if status.Status not in _PENDING:
                self._judge(status)
                return

    def _judge(self, status: Dataset) -> None:
        failed = int(status.get("NumberOfFailedSuboperations", None) or 0)
        if failed:
            came = f"{self.budget.taken} came"
            raise PeerError(f"{self.remote} could not send {failed} images by {self.service}; {came}")
        if status.Status != 0x0000:
            raise refusal(self.remote, f"a {self.service} request", status)

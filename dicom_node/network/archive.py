"""A small archive: the storage-and-query peer that stands in where no PACS is, in demos and tests.

It keeps what it is sent in a folder, answers C-FIND at STUDY, SERIES and IMAGE level, commits to what it has (the
report comes on a new association), and sends its studies. The first instance under a SOP Instance UID stays, as in
Orthanc's default. It admits anyone and forgets nothing: not for patients' data.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from pydicom import dcmread
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pynetdicom import build_context, build_role, evt
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    StudyRootQueryRetrieveInformationModelFind,
)

from dicom_node.blobs import LocalBlobStore
from dicom_node.network.association import associate
from dicom_node.network.contexts import UNCOMPRESSED, storage_contexts
from dicom_node.network.peers import Limits, RemoteAE
from dicom_node.network.scp import StoreSCP
from dicom_node.network.store import StoreOutcome, send_files
from dicom_node.spool.log import Entry, Received
from imaging.errors import PeerError

Refuse = Callable[[str, str], int | None]

_NO_SUCH_OBJECT, _CLASS_MISMATCH, _PROCESSING_FAILURE = 0x0112, 0x0119, 0x0110
_LEVEL_KEY = {"STUDY": "study_instance_uid", "SERIES": "series_instance_uid", "IMAGE": "sop_instance_uid"}
_UID_KEYS = {
    "StudyInstanceUID": "study_instance_uid",
    "SeriesInstanceUID": "series_instance_uid",
    "SOPInstanceUID": "sop_instance_uid",
}
_logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Kept:
    """An instance in the archive."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    path: Path


class FakeArchive:
    """An archive on a free port.

    Parameters
    ----------
    folder
        Where instances are kept; what lies there from before is served again.
    known_aes
        Where each AE title listens, for commitment reports and for `send`.
    commitment
        Whether storage commitment is offered.
    refuse
        Called with SOP class and SOP Instance UID of each C-STORE; a status that it returns is the answer.
    delay
        Seconds before each C-STORE answer and before a commitment report.
    """

    def __init__(
        self,
        ae_title: str,
        folder: Path,
        port: int = 0,
        *,
        known_aes: Mapping[str, tuple[str, int]] | None = None,
        commitment: bool = True,
        refuse: Refuse | None = None,
        delay: float = 0.0,
        host: str = "127.0.0.1",
    ) -> None:
        self.ae_title = ae_title
        self.known_aes = dict(known_aes or {})
        self.refuse = refuse
        self.delay = delay
        self.store_requests: list[str] = []
        self._blobs = LocalBlobStore(folder)
        self._lock = threading.Lock()
        self._kept: dict[str, Kept] = {}
        self._reports: list[threading.Thread] = []
        contexts = [
            *storage_contexts(),
            build_context(StudyRootQueryRetrieveInformationModelFind, list(UNCOMPRESSED)),
        ]
        if commitment:
            contexts.append(build_context(StorageCommitmentPushModel, list(UNCOMPRESSED)))
        self._scp = StoreSCP(
            ae_title,
            host,
            port,
            peers=None,
            limits=Limits(free_bytes=0),
            blobs=self._blobs,
            log=self,
            contexts=contexts,
            handlers=[
                (evt.EVT_C_STORE, self._store),
                (evt.EVT_C_FIND, self._find),
                (evt.EVT_N_ACTION, self._commit),
            ],
        )

    def start(self) -> None:
        """Read the folder and listen."""
        for name in self._blobs.list():
            path = self._blobs.path(name)
            header = dcmread(
                path, specific_tags=["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
            )
            self._keep(
                Kept(
                    str(header.StudyInstanceUID),
                    str(header.SeriesInstanceUID),
                    str(header.SOPInstanceUID),
                    str(header.SOPClassUID),
                    path,
                )
            )
        self._scp.start()

    def stop(self) -> None:
        """Stop listening, after the reports under way."""
        self._scp.stop()
        for report in self._reports:
            report.join()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it listens on."""
        return self._scp.address

    @property
    def remote(self) -> RemoteAE:
        """How others reach it."""
        host, port = self.address
        return RemoteAE(self.ae_title, host, port)

    def instances(self, study_instance_uid: str | None = None) -> dict[str, Path]:
        """Files by SOP Instance UID, of one study or all."""
        with self._lock:
            return {
                uid: kept.path
                for uid, kept in self._kept.items()
                if study_instance_uid in (None, kept.study_instance_uid)
            }

    def send(self, study_instance_uid: str, destination: RemoteAE) -> list[StoreOutcome]:
        """Send a study, as a PACS forwards it; PeerError as in `send_files`."""
        return send_files(destination, self.ae_title, list(self.instances(study_instance_uid).values()))

    def append(self, entry: Entry) -> None:
        """Take note of what the SCP stored; this is its log."""
        if isinstance(entry, Received):
            self._keep(
                Kept(
                    entry.study_instance_uid,
                    entry.series_instance_uid,
                    entry.sop_instance_uid,
                    entry.sop_class_uid,
                    self._blobs.path(entry.blob),
                )
            )

    def _keep(self, kept: Kept) -> None:
        with self._lock:
            self._kept.setdefault(kept.sop_instance_uid, kept)

    def _store(self, event: evt.Event) -> int | Dataset:
        time.sleep(self.delay)
        uid = str(event.request.AffectedSOPInstanceUID)
        self.store_requests.append(uid)
        status = self.refuse(str(event.request.AffectedSOPClassUID), uid) if self.refuse else None
        return self._scp.store(event) if status is None else status

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        query = event.identifier
        attribute = _LEVEL_KEY.get(str(query.get("QueryRetrieveLevel", "")))
        if attribute is None:
            yield 0xA900, None  # identifier doesn't match SOP class
            return
        with self._lock:
            matches = [kept for kept in self._kept.values() if _matches(query, kept)]
        for uid in dict.fromkeys(getattr(kept, attribute) for kept in matches):
            group = [kept for kept in matches if getattr(kept, attribute) == uid]
            yield 0xFF00, _answer(query, group)

    def _commit(self, event: evt.Event) -> tuple[int, None]:
        caller = str(event.assoc.requestor.ae_title).strip()
        if caller not in self.known_aes:
            return _PROCESSING_FAILURE, None
        report = threading.Thread(target=self._report, args=(caller, event.action_information))
        self._reports.append(report)
        report.start()
        return 0x0000, None

    def _report(self, caller: str, request: Dataset) -> None:
        time.sleep(self.delay)
        committed, failed = [], []
        for item in request.ReferencedSOPSequence:
            kept = self._kept.get(str(item.ReferencedSOPInstanceUID))
            if kept is not None and kept.sop_class_uid == item.ReferencedSOPClassUID:
                committed.append(item)
            else:
                item.FailureReason = _NO_SUCH_OBJECT if kept is None else _CLASS_MISMATCH
                failed.append(item)
        report = Dataset()
        report.TransactionUID = request.TransactionUID
        if committed:
            report.ReferencedSOPSequence = committed
        if failed:
            report.FailedSOPSequence = failed
        remote = RemoteAE(caller, *self.known_aes[caller])
        context = build_context(StorageCommitmentPushModel, list(UNCOMPRESSED))
        role = build_role(StorageCommitmentPushModel, scp_role=True)
        try:
            with associate(remote, self.ae_title, [context], roles=[role]) as assoc:
                assoc.send_n_event_report(
                    report, 2 if failed else 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
                )
        except PeerError as error:
            _logger.warning("commitment report not delivered", reason=str(error))


def _matches(query: Dataset, kept: Kept) -> bool:
    """Whether every UID key of the query is empty, equal, or a list that holds the instance's."""
    for keyword, attribute in _UID_KEYS.items():
        wanted: Any = query.get(keyword, None)
        values = [wanted] if isinstance(wanted, str) else list(wanted or ())
        if any(values) and getattr(kept, attribute) not in values:
            return False
    return True


def _answer(query: Dataset, group: list[Kept]) -> Dataset:
    """The query's keys, filled from the first instance's header and the group's size."""
    header = dcmread(group[0].path, stop_before_pixels=True)
    answer = Dataset()
    if "SpecificCharacterSet" in header:
        answer.SpecificCharacterSet = header.SpecificCharacterSet
    for element in query:
        keyword = keyword_for_tag(element.tag)
        if keyword in ("NumberOfSeriesRelatedInstances", "NumberOfStudyRelatedInstances"):
            setattr(answer, keyword, len(group))
        elif keyword == "QueryRetrieveLevel":
            answer.QueryRetrieveLevel = query.QueryRetrieveLevel
        elif element.tag in header:
            answer[element.tag] = header[element.tag]
        else:
            answer.add_new(element.tag, element.VR, None)
    answer.RetrieveAETitle = ""
    return answer

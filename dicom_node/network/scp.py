"""The storage SCP: takes C-STORE, C-ECHO and storage commitment reports from admitted peers.

What becomes of an instance stands in `dicom_node.network.keeping`.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.acse import APPLICATION_CONTEXT_NAME
from pynetdicom.presentation import PresentationContext

from dicom_node.blobs import BlobStore
from dicom_node.network.association import Handlers, entity
from dicom_node.network.commitment import parse_report
from dicom_node.network.contexts import SharedContexts, commitment_reports, storage_contexts
from dicom_node.network.keeping import Admit, Budget, EntryLog, EventSink, Keeper, peer_of
from dicom_node.network.peers import Limits, Peer, admit
from dicom_node.network.transport import Server, request_handler
from dicom_node.spool.header import Header
from dicom_node.spool.incoming import sweep
from imaging.errors import HeaderError, StorageError

_ANSWER_TO_REQUEST_SECONDS = 10.0
_PROCESSING_FAILURE, _NO_SUCH_EVENT_TYPE, _INVALID_ARGUMENT = 0x0110, 0x0113, 0x0115  # PS3.7 annex C
_logger = structlog.get_logger(__name__)


def _ignore(name: str, /, **labels: Any) -> None:
    """The event sink that counts nothing."""


class StoreSCP:
    """A storage SCP.

    Parameters
    ----------
    ae_title
        Its own AE title; an association called by another one is rejected (1,1,7).
    host, port
        Where it listens; port 0 takes a free one, see `address`.
    peers
        Who may associate; anyone else is rejected (1,1,3). None admits anyone, for an archive in tests and demos.
    on_event
        Called with the name of what happened and its labels.
    contexts, handlers
        Further presentation contexts and (event, handler) pairs of pynetdicom; a handler here replaces ours.
    """

    def __init__(  # noqa: PLR0917
        self,
        ae_title: str,
        host: str,
        port: int,
        peers: Sequence[Peer] | None,
        limits: Limits,
        blobs: BlobStore,
        log: EntryLog,
        on_event: EventSink = _ignore,
        contexts: Sequence[PresentationContext] | None = None,
        handlers: Handlers = (),
    ) -> None:
        self.ae_title = ae_title
        self.limits = limits
        self._bind = (host, port)
        self._peers = peers
        self._blobs = blobs
        self._log = log
        self._moving: list[tuple[str, Budget]] = []
        self._on_event = on_event
        self._keeper = self.keeper(self._admit)
        self._contexts = list(contexts) if contexts is not None else [*storage_contexts(), commitment_reports()]
        self._handlers = handlers
        self._server: Server | None = None

    def start(self) -> None:
        """Sweep what a dead predecessor left, and listen.

        Raises
        ------
        StorageError
            When the port can't be bound or the spool can't be read.
        """
        ae = entity(self.ae_title, self.limits.pdu)
        ae.maximum_associations = self.limits.associations
        ae.require_called_aet = True
        ae.network_timeout = ae.dimse_timeout = self.limits.idle_seconds
        ae.acse_timeout = min(self.limits.idle_seconds, _ANSWER_TO_REQUEST_SECONDS)
        handler = request_handler(self._keeper.open, self.limits.pdu, self.limits.idle_seconds)
        try:
            swept = sweep(self._blobs.scratch)
            self._server = ae.make_server(
                self._bind,
                contexts=SharedContexts(self._contexts),
                evt_handlers=[
                    (evt.EVT_CONN_CLOSE, _dont_wait),
                    (evt.EVT_REQUESTED, self._requested),
                    (evt.EVT_REJECTED, self._rejected),
                    (evt.EVT_C_STORE, self.store),
                    (evt.EVT_N_EVENT_REPORT, self._report),
                    *self._handlers,
                ],
                server_class=Server,
                request_handler=handler,
            )
        except OSError as error:
            raise StorageError(f"can't listen on {self._bind[0]}:{self._bind[1]}: {error.strerror}") from error
        ae._servers.append(self._server)  # as AE.start_server does; the server's shutdown takes it off
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        _logger.info("storage SCP listens", ae=self.ae_title, address=self.address, swept=swept)

    def stop(self) -> None:
        """Stop listening and abort what is open. Whatever was acknowledged is safe."""
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()
        for assoc in server.active_associations:
            assoc.abort()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it listens on."""
        if self._server is None:
            return self._bind
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    def associations(self) -> Counter[str]:
        """Established associations by calling AE title."""
        server = self._server
        return Counter(
            peer_of(assoc) for assoc in (server.active_associations if server else []) if assoc.is_established
        )

    def has_room(self) -> bool:
        """Whether there is more free disk than the watermark."""
        return self._keeper.has_room()

    def store(self, event: evt.Event) -> int | Dataset:
        """Answer one C-STORE request: the status, with a comment when it isn't success."""
        return self._keeper.store(event)

    def keeper(self, admit: Admit) -> Keeper:
        """What stores instances in the same places, for an association that we open."""
        return Keeper(self.ae_title, self._blobs, self._log, self.limits, self._on_event, admit)

    @contextmanager
    def expecting(self, study_instance_uid: str, budget: Budget) -> Iterator[None]:
        """While this lasts a study's instances count as moved here at our request, and no more of them are taken than
        the budget allows. Their sender need not say that they are (Move Originator (0000,1030) is optional)."""
        moving = (study_instance_uid, budget)
        self._moving.append(moving)
        try:
            yield
        finally:
            self._moving.remove(moving)

    def _admit(self, header: Header, size: int, originator: str) -> str:
        budget = next((budget for uid, budget in self._moving if uid == header.study_instance_uid), None)
        if budget is not None:
            budget.take(size)
        return "C-MOVE" if budget is not None or originator == self.ae_title else ""

    def _report(self, event: evt.Event) -> tuple[int, None]:
        """N-EVENT-REPORT of a storage commitment SCP: logged, then acknowledged."""
        calling_ae = peer_of(event.assoc)
        if event.event_type not in (1, 2):  # PS3.4 table J.3-2: all committed, some failed
            return _NO_SUCH_EVENT_TYPE, None
        try:
            entry = parse_report(event.event_information, calling_ae)
        except HeaderError as error:
            _logger.warning("commitment report refused", calling_ae=calling_ae, reason=str(error))
            return _INVALID_ARGUMENT, None
        try:
            self._log.append(entry)
        except StorageError as error:
            _logger.warning("commitment report not kept", calling_ae=calling_ae, reason=str(error))
            return _PROCESSING_FAILURE, None
        self._on_event(
            "committed", calling_ae=entry.peer_ae, committed=len(entry.committed), failed=len(entry.failed)
        )
        return 0x0000, None

    def _requested(self, event: evt.Event) -> None:
        assoc = event.assoc
        primitive, address = assoc.requestor.primitive, assoc.requestor.address
        if primitive.application_context_name != APPLICATION_CONTEXT_NAME:
            diagnostic = 0x02  # application context name not supported
        elif self._peers is not None and not admit(self._peers, primitive.calling_ae_title, address):
            diagnostic = 0x03  # calling AE title not recognised
        else:
            return
        assoc.acse.send_reject(0x01, 0x01, diagnostic)
        self._rejected(event)
        assoc.kill()

    def _rejected(self, event: evt.Event) -> None:
        answer, assoc = event.assoc.acceptor.primitive, event.assoc
        title, address = assoc.requestor.primitive.calling_ae_title, assoc.requestor.address
        _logger.warning("association rejected", calling_ae=title, address=address, reason=answer.reason_str)
        self._on_event("rejected", reason=answer.reason_str)


def _dont_wait(event: evt.Event) -> None:
    """Wake the thread that waits for an association request on a connection that was closed without one.

    Else it would hold a place among the allowed associations until the time for a request is over.
    """
    if event.assoc.requestor.primitive is None:
        event.assoc.dul.to_user_queue.put(None)

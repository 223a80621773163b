"""An association's socket: reads in as few calls as the network allows, and an image's bytes without a detour.

pynetdicom's own reads 4 KiB at a time, any length that a peer declares, and makes of every P-DATA-TF PDU a chain of
objects and copies (for an uncompressed CT slice, more work than the disk and the digest together).
"""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Protocol, cast

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket

_MAX_NEGOTIATION_BYTES = 1 << 20
_P_DATA_TF = 0x04
_CLOSED, _INVALID = "Evt17", "Evt19"  # PS3.8 table 9-10: connection closed, invalid PDU
_READY_TO_TRANSFER = "Sta6"  # PS3.8 table 9-10
_PATIENCE_SECONDS = 0.002
_NAP_SECONDS = 0.05


class BulkSocket(AssociationSocket):  # type: ignore[misc]
    """Reads a PDU in as few calls as the network allows, none longer than agreed, and is closed when it ends.

    Parameters
    ----------
    plain
        The socket that this one takes over.
    pdu
        Maximum PDU length announced, bytes.
    """

    def __init__(self, plain: AssociationSocket, pdu: int) -> None:
        self.__dict__.update(plain.__dict__)
        self._limit = max(pdu, _MAX_NEGOTIATION_BYTES)

    @property
    def ready(self) -> bool:
        """Whether there is something to read (the end of the connection is)."""
        return self._arrived(0.0)

    def _arrived(self, patience: float) -> bool:
        """Whether there is something to read, after at most ``patience`` seconds."""
        if self.socket is None or not self._is_connected:
            time.sleep(patience)
            return False
        poll = select.poll()
        try:
            poll.register(self.socket, select.POLLIN)
            return bool(poll.poll(patience * 1000))
        except (OSError, ValueError):
            self.event_queue.put(_CLOSED)
            return False

    def recv(self, nr_bytes: int) -> bytearray:
        """Read ``nr_bytes``; fewer when the peer closed the connection."""
        if nr_bytes > self._limit:
            raise OSError(f"a PDU of {nr_bytes} bytes is longer than was agreed")
        buffer = bytearray(nr_bytes)
        with memoryview(buffer) as view:
            got = self._recv_into(view)
        del buffer[got:]
        return buffer

    def _recv_into(self, view: memoryview) -> int:
        """Fill ``view``; the bytes read, fewer when the peer closed the connection."""
        got = 0
        while got < len(view):
            count = cast(socket.socket, self.socket).recv_into(view[got:])
            if not count:
                break
            got += count
        return got

    def _shutdown_socket(self) -> None:
        super()._shutdown_socket()
        if self.socket is not None:  # pynetdicom leaves one that was never connected, or was cut, to the collector
            self.socket.close()


class DatasetSink(Protocol):
    """Takes the dataset of the C-STORE request that is arriving."""

    @property
    def expects(self) -> int | None:
        """The presentation context of the dataset that is arriving; None when none is."""
        ...

    def take(self, fragment: memoryview, *, last: bool) -> None:
        """The next fragment of it; with the last one the request is answered."""
        ...


class Checkpoint(threading.Event):
    """Where pynetdicom's association thread waits while another thread asks the peer something.

    pynetdicom's own is a plain event, and whether the thread stands there is written down a moment after it has left:
    who asks in that moment has the answer taken away, and waits for it until a time-out.

    Parameters
    ----------
    assoc
        The association whose checkpoint this is.
    """

    def __init__(self, assoc: Association) -> None:
        super().__init__()
        self._assoc = assoc
        self._leaving = threading.Lock()
        self.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the checkpoint is open; having left it is written down before it can be closed again."""
        while super().wait(timeout):
            with self._leaving:
                if self.is_set():
                    self._assoc._is_paused = False
                    return True
        return False

    def clear(self) -> None:
        """Close it: from here on the association says truly whether its thread stands in front of it."""
        with self._leaving:
            super().clear()


class Pace(Checkpoint):
    """A checkpoint passed when there is something to see; pynetdicom's thread looks a thousand times a second.

    It still looks by itself now and then (its timeouts are seconds).
    """

    def __init__(self, assoc: Association) -> None:
        self._work = threading.Event()
        super().__init__(assoc)

    def wait(self, timeout: float | None = None) -> bool:
        """Nap, then wait until the checkpoint is open."""
        self._work.wait(_NAP_SECONDS)
        self._work.clear()
        return super().wait(timeout)

    def set(self) -> None:
        """Open the checkpoint, and end the nap."""
        super().set()
        self.wake()

    def wake(self) -> None:
        """End the nap."""
        self._work.set()


class StreamSocket(BulkSocket):
    """An acceptor's socket. What belongs to an image's dataset goes from it straight to the sink.

    pynetdicom's reactor asks `ready` in every round, and reads a PDU when the answer is yes. While a dataset arrives,
    its P-DATA-TF PDUs (PS3.8 section 9.3.5) are taken here, in that question; the answer is yes for all others.

    Parameters
    ----------
    sink
        Where they go.
    answered
        Called in every round: there may be something for the association's thread.
    """

    def __init__(self, plain: AssociationSocket, pdu: int, sink: DatasetSink, answered: Callable[[], None]) -> None:
        super().__init__(plain, pdu)
        self._sink = sink
        self._round = answered
        self._head, self._body = memoryview(bytearray(6)), memoryview(bytearray(pdu))

    @property
    def ready(self) -> bool:
        """Whether there is something to read that isn't an image's dataset; waits a moment for it."""
        self._round()
        while self._arrived(_PATIENCE_SECONDS):
            if self._sink.expects is None or self.assoc.dul.state_machine.current_state != _READY_TO_TRANSFER:
                return True
            size = self._next_data_length()
            if size is None:
                return True
            if not self._take(size):
                break
            self.assoc.dul._idle_timer.restart()
            if self._sink.expects is None or self.assoc.dul.to_provider_queue.qsize():
                break  # answered, or someone wants to send (an abort): the reactor's next round does it
        return False

    def _next_data_length(self) -> int | None:
        """Length of the P-DATA-TF PDU that comes next; None when something else comes, or not enough to tell."""
        head = cast(socket.socket, self.socket).recv(6, socket.MSG_PEEK)
        if len(head) < 6:
            return None
        kind, length = struct.unpack(">BxI", head)
        return length if kind == _P_DATA_TF and length <= len(self._body) else None

    def _take(self, size: int) -> bool:
        """Take a PDU of this length; False when that failed, and the reactor has an event about it."""
        body = self._body[:size]
        try:
            whole = self._recv_into(self._head) == len(self._head) and self._recv_into(body) == size
        except OSError:  # among them the time-out of a peer that stops in the middle
            whole = False
        if not whole or not self._deliver(body):
            self.event_queue.put(_INVALID if whole else _CLOSED)
            return False
        return True

    def _deliver(self, body: memoryview) -> bool:
        """Hand the presentation data values (PS3.8 section 9.3.5.1) to the sink; False when they aren't valid."""
        offset = 0
        while offset < len(body):
            if offset + 6 > len(body):
                return False
            length, context, control = struct.unpack_from(">IBB", body, offset)
            end = offset + 4 + length
            if length < 2 or end > len(body) or control & 0x01 or context != self._sink.expects:
                return False
            self._sink.take(body[offset + 6 : end], last=bool(control & 0x02))
            offset = end
        return True

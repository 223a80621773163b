"""A sender that costs next to nothing: it replays encoded C-STORE requests and waits for each response.

A modality's own work (reading and encoding files) is done before the clock starts, so what is measured is the peer.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any

from benchmarks.ingest.images import Image

CALLING_AE = "MODALITY"
_CONTEXT = 1
_STATUS = 0x0900


@dataclass(frozen=True)
class Sent:
    """One sender's account.

    Parameters
    ----------
    began, ended
        Monotonic clock at the first byte and at the last response, s.
    cpu_seconds
        Its own processor time between them.
    """

    began: float
    ended: float
    cpu_seconds: float


class Association:
    """An association for one storage class in explicit VR little endian."""

    def __init__(self, ae_title: str, port: int, sop_class_uid: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(_request(ae_title, sop_class_uid))
        kind, answer = self._pdu()
        if kind != 0x02:
            raise ConnectionError(f"{ae_title} answered the association request with PDU type {kind:02X}")
        self._fragment = min(_accepted_length(answer), 131072) - 6

    def store(self, image: Image, number: int) -> None:
        """Send one image and wait until it is acknowledged."""
        dataset = memoryview(image.header + image.pixels)
        parts: list[Any] = [_fragment(_command(image, number), 0x03)]
        for start in range(0, len(dataset), self._fragment):
            piece = dataset[start : start + self._fragment]
            parts.append(_fragment(piece, 0x02 if start + self._fragment >= len(dataset) else 0x00))
        self._socket.sendall(b"".join(parts))
        if status := self._status():
            raise ConnectionError(f"image {number} was answered 0x{status:04X}")

    def release(self) -> None:
        """End in order."""
        self._socket.sendall(struct.pack(">BxI4x", 0x05, 4))
        self._pdu()
        self._socket.close()

    def _status(self) -> int:
        command, last = b"", False
        while not last:
            kind, body = self._pdu()
            if kind != 0x04:
                raise ConnectionError(f"PDU type {kind:02X} instead of a response")
            while body:
                (length,) = struct.unpack_from(">I", body)
                command, last = command + body[6 : 4 + length], bool(body[5] & 0x02)
                body = body[4 + length :]
        return _values(command)[_STATUS]

    def _pdu(self) -> tuple[int, bytes]:
        kind, length = struct.unpack(">BxI", self._read(6))
        return kind, self._read(length)

    def _read(self, size: int) -> bytes:
        parts = []
        while size:
            part = self._socket.recv(size)
            if not part:
                raise ConnectionError("the peer closed the connection")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def send(
    images: Sequence[Image], called: tuple[str, int], core: int | None, gate: Barrier, answer: Connection
) -> None:
    """One sender's process: at each passing of the gate the association is open, and all images are stored."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        association = Association(*called, images[0].sop_class_uid)
        gate.wait(60)
        gate.wait(60)
        began, cpu = time.monotonic(), time.process_time()
        for number, image in enumerate(images, start=1):
            association.store(image, number)
        answer.send(Sent(began, time.monotonic(), time.process_time() - cpu))
        gate.wait(600)
        association.release()
    except BaseException:
        gate.abort()
        raise


def _request(ae_title: str, sop_class_uid: str) -> bytes:
    from pydicom.uid import ExplicitVRLittleEndian
    from pynetdicom import build_context
    from pynetdicom.pdu import A_ASSOCIATE_RQ
    from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification

    context = build_context(sop_class_uid, ExplicitVRLittleEndian)
    context.context_id = _CONTEXT
    longest, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    longest.maximum_length_received = 131072
    implementation.implementation_class_uid = "2.25.1"
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = CALLING_AE, ae_title
    primitive.presentation_context_definition_list = [context]
    primitive.user_information = [longest, implementation]
    request = A_ASSOCIATE_RQ()
    request.from_primitive(primitive)
    encoded: bytes = request.encode()
    return encoded


def _accepted_length(body: bytes) -> int:
    """Maximum Length Received (PS3.8 D.1) in an A-ASSOCIATE-AC; 0 there means no limit."""
    from pynetdicom.pdu import A_ASSOCIATE_AC

    answer = A_ASSOCIATE_AC()
    answer.decode(struct.pack(">BxI", 0x02, len(body)) + body)
    if answer.presentation_context[0].result != 0:
        raise ConnectionError("the peer doesn't accept the presentation context")
    return int(answer.user_information.maximum_length) or 131072


def _command(image: Image, number: int) -> bytes:
    """The command set of a C-STORE-RQ (PS3.7 table 9.3-1), implicit VR little endian."""
    elements = b"".join(
        (
            _element(0x0002, _uid(image.sop_class_uid)),
            _element(0x0100, struct.pack("<H", 0x0001)),
            _element(0x0110, struct.pack("<H", number)),
            _element(0x0700, struct.pack("<H", 0)),
            _element(0x0800, struct.pack("<H", 0x0001)),
            _element(0x1000, _uid(image.sop_instance_uid)),
        )
    )
    return _element(0x0000, struct.pack("<I", len(elements))) + elements


def _values(command: bytes) -> dict[int, int]:
    """The elements of a command set as numbers."""
    values, offset = {}, 0
    while offset < len(command):
        _, element, length = struct.unpack_from("<HHI", command, offset)
        values[element] = int.from_bytes(command[offset + 8 : offset + 8 + length], "little")
        offset += 8 + length
    return values


def _element(element: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0, element, len(value)) + value


def _uid(uid: str) -> bytes:
    value = uid.encode()
    return value + b"\0" * (len(value) % 2)


def _fragment(data: bytes | memoryview, control: int) -> bytes:
    """A P-DATA-TF with one presentation data value (PS3.8 table 9-22)."""
    return struct.pack(">BxIIBB", 0x04, len(data) + 6, len(data) + 2, _CONTEXT, control) + data

"""A DICOM peer that can say anything: it writes PDUs and messages byte by byte (PS3.8 section 9.3, PS3.7 annex E)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
COMMITMENT, COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"

_CONTEXT_RESULTS = {
    1: "user rejection",
    2: "no reason",
    3: "abstract syntax not supported",
    4: "transfer syntaxes not supported",
}
_REJECTIONS = {
    (1, 1, 2): "application context name not supported",
    (1, 1, 3): "calling AE title not recognised",
    (1, 1, 7): "called AE title not recognised",
    (1, 2, 2): "protocol version not supported",
    (2, 3, 2): "local limit exceeded",
}
_ABORTS = {0: "not specified", 1: "unrecognised PDU", 2: "unexpected PDU", 5: "unexpected parameter", 6: "bad value"}


class Ended(Exception):
    """The other side rejected, aborted or closed; the message says which."""


class RawPeer:
    """One connection. Everything it reads must come within ``patience`` seconds."""

    def __init__(self, port: int, patience: float = 20.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=patience)

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.socket.close()

    def write(self, data: bytes) -> None:
        """Send bytes as they are; the other side may have gone."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            raise Ended("connection closed") from None

    def associate(
        self,
        called: str = "RAYSIGHT",
        calling: str = "MODALITY",
        abstract: str = CT_IMAGE,
        syntaxes: Sequence[str] = (EXPLICIT,),
        *,
        version: int = 1,
        application_context: str = "1.2.840.10008.3.1.1.1",
        scp_role: bool = False,
    ) -> str:
        """Request an association with one presentation context; ``accepted`` or why the context is not."""
        user = _item(0x51, struct.pack(">I", 131072)) + _item(0x52, b"1.2.3.4")
        if scp_role:
            user += _item(0x54, struct.pack(">H", len(abstract)) + abstract.encode() + b"\x00\x01")
        syntax_items = b"".join(_item(0x40, uid.encode()) for uid in syntaxes)
        body = struct.pack(">HH", version, 0) + called.encode().ljust(16) + calling.encode().ljust(16) + bytes(32)
        body += _item(0x10, application_context.encode())
        body += _item(0x20, b"\x01\x00\x00\x00" + _item(0x30, abstract.encode()) + syntax_items)
        body += _item(0x50, user)
        self.write(pdu(0x01, body))
        answer = self.read_pdu(0x02)
        at = 68
        while at < len(answer):
            kind, length = answer[at], struct.unpack_from(">H", answer, at + 2)[0]
            if kind == 0x21:
                result = answer[at + 6]
                return "accepted" if result == 0 else f"presentation context rejected: {_CONTEXT_RESULTS[result]}"
            at += 4 + length
        raise Ended("no presentation context in the answer")

    def store(
        self,
        dataset: bytes | None,
        sop_instance: bytes = b"1.2.3.77",
        sop_class: bytes = CT_IMAGE.encode(),
    ) -> str:
        """C-STORE some bytes as a dataset; status and comment of the answer."""
        self.write(message(store_request(sop_instance, sop_class, has_dataset=dataset is not None), command=True))
        if dataset is not None:
            for start in range(0, max(len(dataset), 1), 65536):
                last = start + 65536 >= len(dataset)
                self.write(message(dataset[start : start + 65536], command=False, last=last))
        return self.read_answer()

    def read_answer(self) -> str:
        """Status and comment of the next response."""
        data, last = b"", False
        while not last:
            body = self.read_pdu(0x04)
            at = 0
            while at < len(body):
                length = struct.unpack_from(">I", body, at)[0]
                data += body[at + 6 : at + 4 + length]
                last = body[at + 5] == 0x03
                at += 4 + length
        elements = _elements(data)
        comment = elements.get(0x0902, b"").decode("ascii").strip()
        status = f"{struct.unpack('<H', elements[0x0900])[0]:04X}"
        return f"{status}: {comment}" if comment else status

    def read_pdu(self, wanted: int) -> bytes:
        """The body of the next PDU.

        Raises
        ------
        Ended
            It isn't of the wanted type, or there is none.
        """
        head = self._read(6)
        kind, length = head[0], struct.unpack(">I", head[2:])[0]
        body = self._read(length)
        if kind == 0x03:
            answer = (body[1], body[2], body[3])
            raise Ended(f"association rejected {answer}: {_REJECTIONS[answer]}")
        if kind == 0x07:
            raise Ended(
                f"A-ABORT by the {'service provider' if body[2] == 2 else 'service user'}: {_ABORTS[body[3]]}"
            )
        if kind != wanted:
            raise Ended(f"PDU of type {kind:02X}")
        return body

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                more = self.socket.recv(size - len(data))
            except ConnectionResetError:
                more = b""
            if not more:
                raise Ended("connection closed")
            data += more
        return data


def pdu(kind: int, body: bytes) -> bytes:
    """A PDU."""
    return struct.pack(">BBI", kind, 0, len(body)) + body


def message(data: bytes, *, command: bool, last: bool = True, context: int = 1) -> bytes:
    """A P-DATA-TF PDU with one fragment."""
    return pdu(0x04, struct.pack(">IBB", len(data) + 2, context, int(command) | int(last) << 1) + data)


def command_set(elements: Sequence[tuple[int, bytes]]) -> bytes:
    """A command set: group 0000 elements, implicit VR little endian."""
    body = b"".join(struct.pack("<HHI", 0, element, len(value)) + value for element, value in elements)
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def store_request(sop_instance: bytes, sop_class: bytes, *, has_dataset: bool = True) -> bytes:
    """The command set of a C-STORE-RQ."""
    return command_set(
        [
            (0x0002, even(sop_class)),
            (0x0100, b"\x01\x00"),
            (0x0110, b"\x01\x00"),
            (0x0700, b"\x00\x00"),
            (0x0800, b"\x00\x00" if has_dataset else b"\x01\x01"),
            (0x1000, even(sop_instance)),
        ]
    )


def report_request(event_type: int = 1) -> bytes:
    """The command set of an N-EVENT-REPORT-RQ of storage commitment."""
    return command_set(
        [
            (0x0002, even(COMMITMENT.encode())),
            (0x0100, b"\x00\x01"),
            (0x0110, b"\x01\x00"),
            (0x0800, b"\x00\x00"),
            (0x1000, even(COMMITMENT_INSTANCE.encode())),
            (0x1002, struct.pack("<H", event_type)),
        ]
    )


def even(value: bytes) -> bytes:
    """Padded to even length with NUL."""
    return value + b"\0" * (len(value) % 2)


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def _elements(data: bytes) -> dict[int, bytes]:
    elements, at = {}, 0
    while at < len(data):
        _, element, length = struct.unpack_from("<HHI", data, at)
        elements[element] = data[at + 8 : at + 8 + length]
        at += 8 + length
    return elements

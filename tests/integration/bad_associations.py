"""Peers that may not come, that say nothing, or that speak no DICOM; and reports that nobody waits for."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from tests.integration.bad_inputs import Case, House, ended
from tests.integration.bad_studies import own_copies
from tests.integration.raw_peer import (
    COMMITMENT,
    CT_IMAGE,
    Ended,
    command_set,
    even,
    message,
    pdu,
    report_request,
    store_request,
)
from tests.integration.spoiling import encoded

FIND = "1.2.840.10008.5.1.4.1.2.2.1"
NOISE = bytes((193 * n * n + 7 * n + 194) % 256 for n in range(4096))
TRANSACTION = (0x00081195, b"UI", b"1.2.3.4.5")


def associating(**how: Any) -> Callable[[House], str]:
    """Request an association."""

    @ended
    def observe(house: House) -> str:
        with house.peer() as peer:
            return peer.associate(**how)

    return observe


def writing(data: bytes, *, first_associate: bool = False) -> Callable[[House], str]:
    """Write bytes, and see what comes."""

    @ended
    def observe(house: House) -> str:
        with house.peer() as peer:
            if first_associate:
                peer.associate()
            peer.write(data)
            return peer.read_answer()

    return observe


def too_many(house: House) -> str:
    """Open associations until one is rejected."""
    limit = house.raysight.settings["node"]["limits"]["associations"]
    with ExitStack() as stack:
        for _ in range(limit + 1):
            try:
                stack.enter_context(house.peer()).associate()
            except Ended as end:
                return str(end)
    return f"{limit + 1} accepted"


def flood(house: House) -> str:
    """Open connections and close them without a word; the next association must get through."""
    with ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(house.peer())
    seen: list[str] = []

    def through() -> bool:
        seen.append(associating()(house))
        return seen[-1] == "accepted"

    house.raysight.wait("an association after the flood", through, 20)
    return f"the next association: {seen[-1]}"


def cut_off(house: House) -> str:
    """Close the connection in the middle of an instance, then send it whole."""
    ds = own_copies(house.slices[:1], "cut off")[0]
    data, uid = encoded(ds), str(ds.SOPInstanceUID).encode()
    with house.peer() as peer:
        peer.associate()
        peer.write(message(store_request(uid, CT_IMAGE.encode()), command=True))
        peer.write(message(data[: len(data) // 2], command=False, last=False))
        house.raysight.wait("the first half is here", lambda: bool(house.scratch))
    house.raysight.wait("the half is gone", lambda: not house.scratch)
    with house.peer() as peer:
        peer.associate()
        return f"the half is thrown away; the same instance sent again: {peer.store(data, uid)}"


def report(dataset: bytes, *, calling: str = "MODALITY", event_type: int = 1) -> Callable[[House], str]:
    """N-EVENT-REPORT on an association of its own, as archives do."""

    @ended
    def observe(house: House) -> str:
        with house.peer() as peer:
            accepted = peer.associate(calling=calling, abstract=COMMITMENT, scp_role=True)
            if accepted != "accepted":
                return accepted
            peer.write(message(report_request(event_type), command=True))
            peer.write(message(dataset, command=False))
            return peer.read_answer()

    return observe


def explicit(*elements: tuple[int, bytes, bytes]) -> bytes:
    """Elements with short VRs in explicit VR little endian."""
    return b"".join(
        struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(even(value))) + even(value)
        for tag, vr, value in elements
    )


def sequence(tag: int, item: bytes) -> bytes:
    """A sequence of one item."""
    body = struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item
    return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, b"SQ", 0, len(body)) + body


def find_request(abstract: str) -> bytes:
    """The command set of a C-FIND-RQ without an identifier."""
    return command_set(
        [
            (0x0002, even(abstract.encode())),
            (0x0100, b"\x20\x00"),
            (0x0110, b"\x01\x00"),
            (0x0700, b"\x00\x00"),
            (0x0800, b"\x01\x01"),
        ]
    )


NOT_CALLING = "association rejected (1, 1, 3): calling AE title not recognised"
ABORTED = "A-ABORT by the service provider"
REFUSED = "A-ABORT by the service user"
NO_SERVICE = "presentation context rejected: abstract syntax not supported"

CASES = (
    Case("an AE title that is not admitted", NOT_CALLING, associating(calling="STRANGER")),
    Case("an admitted AE title from another address", NOT_CALLING, associating(calling="ELSEWHERE")),
    Case(
        "another called AE title",
        "association rejected (1, 1, 7): called AE title not recognised",
        associating(called="PACS"),
    ),
    Case(
        "another application context",
        "association rejected (1, 1, 2): application context name not supported",
        associating(application_context="1.2.3"),
    ),
    Case(
        "another protocol version",
        "association rejected (1, 2, 2): protocol version not supported",
        associating(version=2),
    ),
    Case("a private SOP class", NO_SERVICE, associating(abstract="1.2.826.0.1.3680043.9.7307.1.1")),
    Case("a query (C-FIND is not offered)", NO_SERVICE, associating(abstract=FIND)),
    Case(
        "a transfer syntax that does not exist",
        "presentation context rejected: transfer syntaxes not supported",
        associating(syntaxes=("1.2.3.4",)),
    ),
    Case(
        "one association more than allowed", "association rejected (2, 3, 2): local limit exceeded", ended(too_many)
    ),
    Case("60 connections opened and closed at once", "the next association: accepted", flood),
    Case("4 KB of noise", REFUSED, writing(NOISE)),
    Case("an HTTP request on the DICOM port", REFUSED, writing(b"GET / HTTP/1.1\r\nHost: raysight\r\n\r\n")),
    Case("a connection that never sends a request", "connection closed", writing(b"")),
    Case("an association request of 2 GB", "connection closed", writing(b"\x01\x00\x7f\xff\xff\xff")),
    Case("an association opened and left idle", REFUSED, writing(b"", first_associate=True)),
    Case(
        "a PDU of 1 GB where 128 KB were agreed",
        "connection closed",
        writing(b"\x04\x00\x40\x00\x00\x00" + bytes(1000), first_associate=True),
    ),
    Case(
        "a PDU whose inner length is a lie",
        ABORTED,
        writing(pdu(0x04, struct.pack(">IBB", 5000, 1, 3) + b"abc"), first_associate=True),
    ),
    Case("a second association request", ABORTED, writing(pdu(0x01, bytes(68)), first_associate=True)),
    Case(
        "a request on a context that was not negotiated",
        ABORTED,
        writing(message(store_request(b"1.2.3", CT_IMAGE.encode()), command=True, context=99), first_associate=True),
    ),
    Case("noise as a command set", ABORTED, writing(message(NOISE[:200], command=True), first_associate=True)),
    Case("a dataset before any command", ABORTED, writing(message(b"abcd", command=False), first_associate=True)),
    Case(
        "C-FIND on a storage context",
        REFUSED,
        writing(message(find_request(CT_IMAGE), command=True), first_associate=True),
    ),
    Case(
        "the sender dies in the middle of an instance",
        "the half is thrown away; the same instance sent again: 0000",
        cut_off,
    ),
)

REPORTS = (
    Case("of an unknown transaction", "0000", report(explicit(TRANSACTION))),
    Case("from a stranger", NOT_CALLING, report(explicit(TRANSACTION), calling="STRANGER")),
    Case("without a transaction", "0115", report(explicit((0x00080018, b"UI", b"1.2")))),
    Case("with path parts in its transaction", "0115", report(explicit((0x00081195, b"UI", b"../../etc/passwd")))),
    Case(
        "with an item that names no instance",
        "0115",
        report(explicit(TRANSACTION) + sequence(0x00081199, explicit((0x00081150, b"UI", b"1.2")))),
    ),
    Case("of an event type that does not exist", "0113", report(explicit(TRANSACTION), event_type=7)),
    Case("of noise", "0115", report(NOISE[:300])),
)

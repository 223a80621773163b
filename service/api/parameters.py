"""What requests may give, validated before anything is looked up."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Annotated

from fastapi import HTTPException, Path, Query
from fastapi.exceptions import RequestValidationError

from service.status.readings import Mark

UID = Annotated[
    str,
    Path(
        pattern=r"^[0-9]+(\.[0-9]+)*$",
        max_length=64,
        description="a DICOM UID: digits and dots, at most 64 characters",
        examples=["1.3.6.1.4.1.14519.5.2.1.6279.6001.298806137288633453246975630178"],
    ),
]
Key = Annotated[
    str,
    Path(
        pattern=r"^[0-9a-f]{64}$",
        description="a reading's key: sha256 in lower-case hexadecimal",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    ),
]
Limit = Annotated[int, Query(ge=1, le=200, description="rows of one page")]
After = Annotated[
    str | None, Query(max_length=200, pattern=r"^[A-Za-z0-9_=-]+$", description="`next` of the page before")
]


def to_token(mark: Mark) -> str:
    """Where a page ended, as an opaque token."""
    return base64.urlsafe_b64encode(f"{mark[0].isoformat()} {mark[1]}".encode()).decode()


def to_mark(token: str | None) -> Mark | None:
    """Back; RequestValidationError for a token that we did not make."""
    if token is None:
        return None
    try:
        at, _, key = base64.urlsafe_b64decode(token).decode().partition(" ")
        time = datetime.fromisoformat(at)
    except (binascii.Error, ValueError):
        time, key = None, ""
    if time is None or time.tzinfo is None or not key:
        raise RequestValidationError([{"loc": ("query", "after"), "msg": "is no `next` of an earlier page"}])
    return time, key


def not_found(what: str) -> HTTPException:
    """The error for something that isn't here."""
    return HTTPException(404, f"there is no {what} here")

"""A cohort as a file: canonical JSON, named by the sha256 of its bytes."""

from __future__ import annotations

import gzip
import zlib
from functools import cache
from hashlib import sha256
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from imaging.errors import CohortError
from training.cohort.members import FORMAT, Cohort


@cache
def _adapter() -> TypeAdapter[Cohort]:
    return TypeAdapter(Cohort)


def to_gzip(cohort: Cohort) -> bytes:
    """The canonical JSON compressed, for a place where it travels along, such as a released model's folder."""
    return gzip.compress(cohort.to_bytes(), compresslevel=9, mtime=0)


def load_cohort(path: Path) -> Cohort:
    """Read a manifest, plain or compressed (`.gz`).

    Raises
    ------
    CohortError
        It can't be read, isn't a manifest of this format, or its bytes aren't those that its name promises.
    """
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise CohortError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    promised = path.name.split(".")[0]
    if len(promised) == 64 and sha256(content).hexdigest() != promised:
        raise CohortError(f"{path}: its content is not what it was when it got its name; take it from a backup")
    try:
        cohort = _adapter().validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "whole file"
        raise CohortError(f"{path}: is no cohort's manifest: {place}: {first['msg']}") from None
    if cohort.format != FORMAT:
        raise CohortError(f"{path}: a manifest of format {cohort.format}; this version reads format {FORMAT}")
    if cohort.to_bytes() != content:
        raise CohortError(f"{path}: was edited by hand: it isn't the canonical JSON that was written")
    return cohort

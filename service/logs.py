"""Logs: JSON lines for machines, a rich console for people, and never patient data."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from imaging.errors import ConfigurationError

LEVELS = ("debug", "info", "warning", "error")
PATIENT_KEYS = frozenset(
    {
        "patient",
        "patientname",
        "patientid",
        "otherpatientids",
        "patientbirthdate",
        "patientbirthtime",
        "patientsex",
        "patientage",
        "patientaddress",
        "patientmothersbirthname",
        "patienttelephonenumbers",
        "patientcomments",
        "birthdate",
        "birthtime",
        "issuerofpatientid",
        "accession",
        "accessionnumber",
        "studyid",
        "referringphysicianname",
        "requestingphysician",
        "performingphysicianname",
        "operatorsname",
        "dataset",
        "identifier",
    }
)
"""Keys, lower case without separators, whose values may identify a patient."""

PEERS = ("pynetdicom.dul", "pynetdicom.dimse", "pynetdicom.association")
"""Loggers of pynetdicom for what a peer did wrong: of an exception only kind and place are kept."""

QUOTING = ("pydicom", "highdicom", "py.warnings")
"""Loggers of libraries whose messages may quote a header's values: only their place is kept."""


def configure_logs(stream: TextIO | None = None, level: str | None = None, role: str = "") -> None:
    """Set up structlog and the standard library's logging for this process.

    Parameters
    ----------
    stream
        Where lines go; standard error when None. A terminal gets the console, anything else JSON lines.
    level
        ``debug``, ``info``, ``warning`` or ``error``; `$RAYSIGHT_LOG_LEVEL` when None, else ``info``. Other
        libraries' records are taken from ``warning`` up.
    role
        Which process this is; stands in every record unless empty.

    Raises
    ------
    ConfigurationError
        The level is none of these.
    """
    target = stream or sys.stderr
    steady = _Steady(target)
    wanted = (level or os.environ.get("RAYSIGHT_LOG_LEVEL") or "info").lower()
    if wanted not in LEVELS:
        raise ConfigurationError(f"RAYSIGHT_LOG_LEVEL: {wanted!r} is no level; known: {', '.join(LEVELS)}")
    number = logging.getLevelNamesMapping()[wanted.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        partial(_add_role, role),
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendered: list[Processor] = [structlog.processors.StackInfoRenderer(), remove_patient_data, *_renderer(target)]
    structlog.configure(
        processors=[*shared, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, steady)),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(steady)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name, keep_only_the_place],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))
    for name in ("uvicorn", "uvicorn.access", "uvicorn.error", "pynetdicom", "pydicom", "dbos", "alembic"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(logging.NOTSET)
    logging.captureWarnings(True)


class _Steady:
    """A stream that loses a line where it can't be written (a full disk, a closed pipe), and not the process."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def _add_role(role: str, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    if role:
        event.setdefault("role", role)
    return event


def _renderer(target: TextIO) -> list[Processor]:
    if target.isatty():
        # rich's tracebacks show local variables, and those hold datasets
        return [structlog.dev.ConsoleRenderer(colors=True, exception_formatter=structlog.dev.plain_traceback)]
    tracebacks = structlog.processors.ExceptionRenderer(
        structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    )
    return [tracebacks, structlog.processors.JSONRenderer(ensure_ascii=False, default=str)]


def remove_patient_data(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Take the values of `PATIENT_KEYS` out of a record, nested ones too, and say which."""
    removed: list[str] = []
    clean = {key: _clean(key, value, removed) for key, value in event.items()}
    if removed:
        clean["removed"] = sorted(removed)
    return clean


def _clean(key: str, value: Any, removed: list[str]) -> Any:
    if _normal(key) in PATIENT_KEYS:
        removed.append(key)
        return "[removed]"
    if isinstance(value, Mapping):
        return {inner: _clean(str(inner), item, removed) for inner, item in value.items()}
    return value


def _normal(key: str) -> str:
    return "".join(c for c in key.lower() if c.isalnum())


def keep_only_the_place(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """For a record of a library that may quote header values: where it was made, not what it says; for one about a
    peer's mistake: no traceback."""
    record: logging.LogRecord | None = event.get("_record")
    if record is not None and record.name in PEERS and record.exc_info and record.exc_info[1]:
        event["problem"] = type(record.exc_info[1]).__name__
        event["place"] = f"{record.module}:{record.lineno}"
        event.pop("exc_info", None)
    if record is None or not record.name.startswith(QUOTING):
        return event
    event["event"] = f"{record.name} warns (text left out, as it may quote the header)"
    event["place"] = f"{record.module}:{record.lineno}"
    if record.name == "py.warnings":
        event["event"] = "a library warns (text left out, as it may quote the header)"
        event["place"] = record.getMessage().split(": ")[0]
    event.pop("exc_info", None)
    return event

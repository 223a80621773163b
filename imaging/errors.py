"""Every error that Raysight raises on purpose.

RaysightError
├── ConfigurationError     a setting is wrong: names the file, the key and the fix
├── UsageError             a command was given something that can't be: names it and the fix
├── ImageError             images that can't be read; carries the typed reason
├── HeaderError            bytes that are no acceptable DICOM instance: says which part
├── ResultError            a result object can't be written from these nouns
├── PeerError              a DICOM peer can't be reached, aborted or fell silent (try again later)
│   └── PeerRefusal        the peer answered and said no (its status and comment)
├── StorageError           the spool or the results can't be written (disk full, permissions)
├── CohortError            a cohort can't be built, read or used (the reasons: training.cohort.CohortRefusal)
├── TrainingError          a run can't go on: says what to change
├── ExportError            a trained network can't be exported, or its ONNX file computes something else
├── ModelFailure           a model can't answer what it was asked (trying again changes nothing)
└── EngineError            the inference engine can't serve a model (try again later)
    └── InferenceCancelled the caller withdrew while the model ran

A message says what was wrong with which study, series or tag, and what the person can do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imaging.reasons import Reason


class RaysightError(Exception):
    """Root of Raysight's own errors."""


class ConfigurationError(RaysightError):
    """A setting is wrong. The message names the file, the key and the fix."""


class UsageError(RaysightError):
    """A command or request asks for something that can't be. One line, with the fix."""


class ImageError(RaysightError):
    """Images that can't become a `Volume` or `Radiograph`; ``reason`` says why, coded."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.message)
        self.reason = reason


class HeaderError(RaysightError):
    """Bytes that are no acceptable DICOM instance."""


class ResultError(RaysightError):
    """A result object can't be written from these nouns."""


class PeerError(RaysightError):
    """A DICOM peer can't be reached, aborted, or did not answer in time."""


class PeerRefusal(PeerError):
    """The peer answered and said no.

    Parameters
    ----------
    message
        What was refused, by whom.
    status
        DIMSE status (PS3.7 Annex C), or None when the association itself was rejected.
    comment
        Error Comment (0000,0902) as the peer gave it.
    """

    def __init__(self, message: str, status: int | None = None, comment: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.comment = comment


class StorageError(RaysightError):
    """The spool or the results can't be written."""


class CohortError(RaysightError):
    """A cohort can't be built, read or used."""


class TrainingError(RaysightError):
    """A run can't go on. The message says what to change in its configuration."""


class ExportError(RaysightError):
    """A trained network can't be exported, or the exported file doesn't compute what the network does."""


class ModelFailure(RaysightError):
    """A loaded model can't answer what it was asked: it doesn't fit, or the answer is no number. It would be the same
    another time."""


class EngineError(RaysightError):
    """The inference engine can't serve a model now: it isn't there, was altered, or memory is short."""


class InferenceCancelled(EngineError):
    """The caller withdrew while the model ran; there is no partial answer."""

"""A finding keeps its tracking UID when the study is read again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dicom_node.objects.uids import tracking_uid
from imaging import codes
from imaging.codes import Code
from imaging.reading import Finding, Reading

NEAR_MM = 5.0


def track(reading: Reading, key: str, earlier: Reading | None) -> Reading:
    """Give every finding its tracking UID.

    One that the pipeline took from an earlier examination stays. Any other finding inherits the UID of one that was
    found when the study was read before, of the same kind and part in the same frame of reference when their
    centres lie closer than 5 mm or half the earlier one's long axis, whichever is more; nearest pairs first, each UID
    once.
    Otherwise it is made from this reading's key and the finding's number.
    """
    inherited = _pairs(reading.findings, earlier.findings if earlier else ())
    findings = tuple(
        replace(f, tracking_uid=f.tracking_uid or inherited.get(f.number) or tracking_uid(key, f.number))
        for f in reading.findings
    )
    return replace(reading, findings=findings)


def _what(finding: Finding) -> tuple[Code, Code | None, str | None]:
    return finding.kind, finding.modifier, finding.frame_of_reference_uid


def _pairs(now: tuple[Finding, ...], before: tuple[Finding, ...]) -> dict[int, str]:
    candidates = []
    for new in (finding for finding in now if finding.tracking_uid is None):
        for old in before:
            if _what(new) != _what(old):
                continue
            distance = float(np.linalg.norm(np.subtract(new.centre, old.centre)))
            if distance <= max(NEAR_MM, (old.measured(codes.LONG_AXIS) or 0.0) / 2):
                candidates.append((distance, new.number, old.number, old.tracking_uid))
    paired: dict[int, str] = {}
    taken = {finding.tracking_uid for finding in now if finding.tracking_uid}
    for _, number, _, uid in sorted(candidates, key=lambda c: c[:3]):
        if uid and number not in paired and uid not in taken:
            paired[number] = uid
            taken.add(uid)
    return paired

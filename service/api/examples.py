"""Answers as they look, for the OpenAPI document. A test reads each as what its route answers."""

from __future__ import annotations

from typing import Any

UID = "1.3.6.1.4.1.14519.5.2.1.6279.6001.298806137288633453246975630178"
SERIES = "1.3.6.1.4.1.14519.5.2.1.6279.6001.179049373636438705059720603192"
KEY = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

DELIVERY: dict[str, Any] = {
    "id": 17,
    "key": KEY,
    "study_instance_uid": UID,
    "pipeline": "lung_nodule",
    "destination": "pacs",
    "state": "confirmed",
    "created_at": "2026-11-24T08:03:10Z",
    "attempts": 1,
    "next_attempt_at": None,
    "comment": "",
    "sent_at": "2026-11-24T08:03:11Z",
    "confirmed_at": "2026-11-24T08:03:12Z",
    "confirmed_by": "commitment",
    "seconds": 0.4,
    "confirm_seconds": 1.1,
}
PIPELINE: dict[str, Any] = {
    "key": KEY,
    "study_instance_uid": UID,
    "pipeline": "lung_nodule",
    "state": "read",
    "reason_kind": None,
    "reason": None,
    "pipeline_version": "1.0.0",
    "model_name": "lung-nodule-baseline",
    "model_version": "1.0.0",
    "series_instance_uid": SERIES,
    "findings": 1,
    "superseded": False,
    "predecessor": None,
    "requested_at": "2026-11-24T08:02:40Z",
    "started_at": "2026-11-24T08:02:41Z",
    "finished_at": "2026-11-24T08:03:10Z",
    "starts": 1,
    "timings": {"decode": 2.3, "volume": 0.3, "read": 24.1, "write": 1.2},
    "objects": [],
    "deliveries": [],
}
SUMMARY: dict[str, Any] = {
    "study_instance_uid": UID,
    "state": "confirmed",
    "source_ae": "CT1",
    "first_received_at": "2026-11-24T08:01:02Z",
    "last_received_at": "2026-11-24T08:01:30Z",
    "waiting_for": "",
}
STUDY_PAGE: dict[str, Any] = {"items": [SUMMARY], "next": None}
READING_PAGE: dict[str, Any] = {"items": [PIPELINE], "next": None}
SR: dict[str, Any] = {
    "role": "sr",
    "profile": "comprehensive-utf8-en",
    "sop_class_uid": "1.2.840.10008.5.1.4.1.1.88.33",
    "series_instance_uid": "2.25.222222222222222222222222222222222222222",
    "sop_instance_uid": "2.25.111111111111111111111111111111111111111",
}
STUDY: dict[str, Any] = {
    **SUMMARY,
    "check_at": None,
    "asked_at": None,
    "complete_at": "2026-11-24T08:02:40Z",
    "evidence": {"kind": "counted", "detail": "275 of 275 instances at CT1, twice"},
    "instances": {
        "total": 278,
        "images": 275,
        "ours": 3,
        "series": 4,
        "megabytes": 145.2,
        "conflicts": 0,
        "unreadable": 0,
        "released": 0,
    },
    "conflicting_instances": [],
    "readings": [PIPELINE | {"objects": [SR], "deliveries": [DELIVERY]}],
}
ASKED: dict[str, Any] = {"study_instance_uid": UID, "asked_at": "2026-11-24T08:02:40Z"}


def _code(value: str, scheme: str, meaning: str) -> dict[str, str]:
    return {"value": value, "scheme": scheme, "meaning": meaning}


READING: dict[str, Any] = {
    "status": PIPELINE,
    "reading": {
        "study_instance_uid": UID,
        "pipeline": "lung_nodule",
        "pipeline_version": "1.0.0",
        "model": {"name": "lung-nodule-baseline", "version": "1.0.0", "sha256": KEY, "precision": "n/a"},
        "status": "read",
        "procedure": _code("25045-6", "LN", "CT unspecified body region"),
        "conclusion": "1 mark above threshold by lung-nodule-baseline 1.0.0; does not exclude further nodules.",
        "analysed": "both lungs, 275 slices of 1.0 mm",
        "findings": [
            {
                "number": 1,
                "category": _code("49755003", "SCT", "Morphologically Abnormal Structure"),
                "kind": _code("27925004", "SCT", "Nodule"),
                "site": _code("39607008", "SCT", "Lung"),
                "laterality": _code("24028007", "SCT", "Right"),
                "place": "right lung, upper third, slice 84",
                "centre": [-61.2, 10.4, -112.0],
                "key_slice": 84,
                "frame_of_reference_uid": None,
                "measurements": [
                    {
                        "concept": _code("103339001", "SCT", "Long Axis"),
                        "value": 9.1,
                        "unit": _code("mm", "UCUM", "mm"),
                        "derivation": None,
                        "error": None,
                    }
                ],
                "assessments": [],
                "confidence": None,
                "tracking_uid": "2.25.333333333333333333333333333333333333333",
            }
        ],
        "reason": None,
        "series_instance_uid": SERIES,
        "sop_instance_uids": [],
        "excluded": [],
        "notes": [],
    },
}
READY: dict[str, Any] = {
    "ready": True,
    "checks": [{"name": "database", "ok": True, "detail": "answers; studies: 12"}],
}


def of(example: dict[str, Any], status: int = 200) -> dict[int | str, dict[str, Any]]:
    """Entry for a route's ``responses``: its good answer with an example."""
    return {status: {"content": {"application/json": {"example": example}}}}


def raw(media_type: str, description: str) -> dict[int | str, dict[str, Any]]:
    """Entry for a route's ``responses``: a good answer that isn't JSON."""
    return {200: {"content": {media_type: {}}, "description": description}}

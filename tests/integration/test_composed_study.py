"""One study of many series: the right one is read, the others are named. Late images make a reading that follows."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom import Dataset

from tests.integration.loop import Loop
from tests.integration.studies import LUNGS, Composer, Scan, load_scan, made_uid

pytestmark = pytest.mark.data

ASSOCIATIONS = 5


@pytest.fixture(scope="module")
def scan(data_dir: Path) -> Scan:
    return load_scan(data_dir / "ct" / "lidc-0001")


def report(loop: Loop, status: Any, reading: int = 0) -> Dataset:
    """The SR of a reading as it stands in the PACS."""
    (uid,) = (o["sop_instance_uid"] for o in status["readings"][reading]["objects"] if o["role"] == "sr")
    there = loop.pacs.instances(status["study_instance_uid"])
    return pydicom.dcmread(io.BytesIO(loop.pacs.download(there[uid])))


def items(content: Dataset, meaning: str) -> Iterator[Dataset]:
    """All content items of a report whose concept has this meaning, at any depth."""
    for item in content.get("ContentSequence", []):
        if "ConceptNameCodeSequence" in item and item.ConceptNameCodeSequence[0].CodeMeaning == meaning:
            yield item
        yield from items(item, meaning)


def tracking_uids(content: Dataset) -> set[str]:
    return {str(item.UID) for item in items(content, "Tracking Unique Identifier")}


def evidence(content: Dataset) -> set[str]:
    """Series that the report's evidence names."""
    return {
        str(series.SeriesInstanceUID)
        for study in content.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
    }


def test_the_right_series_is_read_and_the_others_are_named(loop: Loop, scan: Scan, tmp_path: Path) -> None:
    composer = Composer(scan, tmp_path, "composed")
    parts = {
        "thin": composer.thin(),
        "thick": composer.thick(),
        "scout": composer.scout(),
        "coronal": composer.coronal(),
        "mip": composer.mip(),
        "dose": composer.dose(),
        "repeat": composer.thin(slice(10, 80), "repeat", SeriesNumber=7, SeriesDescription="Thin lung repeat"),
    }
    files = [path for part in parts.values() for path in part]
    random.Random(20).shuffle(files)
    for start in range(ASSOCIATIONS):
        loop.send(files[start::ASSOCIATIONS], "CT")
    status = loop.raysight.wait_for(composer.uid)
    assert (status["state"], status["evidence"]["kind"]) == ("confirmed", "quiet")
    assert (status["instances"]["total"], status["instances"]["series"]) == (len(files), len(parts))
    (reading,) = status["readings"]
    assert (reading["state"], reading["series_instance_uid"]) == ("read", made_uid("composed", "thin"))

    content = report(loop, status)
    assert {uid for uid in evidence(content) if uid in {made_uid("composed", p) for p in parts}} == {
        made_uid("composed", "thin")
    }
    comments = [item.TextValue for item in items(content, "Comment")]
    unused = [text.removeprefix("Series not used: ") for text in comments if text.startswith("Series not used: ")]
    expected = {
        "scout": "series 1 (Scout): Image Type LOCALIZER is a localizer",
        "thick": "series 2 (Thick soft): could be read, but series 3 (Thin lung) was preferred",
        "coronal": "series 4 (MPR cor): Image Type MPR is a reformat",
        "mip": "series 5 (MIP): Image Type MIP is a projection",
        "repeat": "series 7 (Thin lung repeat): could be read, but series 3 (Thin lung) was preferred: it covers",
    }
    assert len(unused) == len(expected)
    for part, why in expected.items():
        assert any(text.startswith(why) and made_uid("composed", part) in text for text in unused), (part, unused)
    assert any(text.startswith(f"Analysed: series 3 (Thin lung), {len(parts['thin'])} images") for text in comments)


def test_late_images_make_a_reading_that_names_its_predecessor(loop: Loop, scan: Scan, tmp_path: Path) -> None:
    composer = Composer(scan, tmp_path, "late")
    images = composer.thin(LUNGS)
    random.Random(21).shuffle(late := list(images[:8]))
    loop.send(images[8:], "CT")
    first = loop.raysight.wait_for(composer.uid)
    assert (first["state"], len(first["readings"])) == ("confirmed", 1)
    loop.send(late, "CT")
    loop.raysight.wait_until(composer.uid, lambda s: len(s["readings"]) == 2, "it is read again")
    second = loop.raysight.wait_for(composer.uid)
    assert second["state"] == "confirmed"
    new, old = second["readings"]
    assert (old["key"], old["superseded"]) == (first["readings"][0]["key"], True)
    assert (new["predecessor"], new["superseded"], new["state"]) == (old["key"], False, "read")

    before, after = report(loop, second, 1), report(loop, second, 0)
    assert "PredecessorDocumentsSequence" not in before
    (predecessor,) = after.PredecessorDocumentsSequence
    (series,) = predecessor.ReferencedSeriesSequence
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == before.SOPInstanceUID
    assert after.SOPInstanceUID != before.SOPInstanceUID
    assert tracking_uids(before) <= tracking_uids(after)
    assert len(list(items(before, "Finding"))) >= 2

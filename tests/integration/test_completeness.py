"""A study isn't called complete while its source still receives it, or hasn't sent all that it has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep

import pytest

from tests.integration.loop import QUIET_SECONDS, Loop
from tests.integration.studies import LUNGS, Composer, load_scan

pytestmark = pytest.mark.data

PAUSE_SECONDS = 1.8  # longer than two counts take, shorter than the quiet time


@pytest.fixture(scope="module")
def composer(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Composer:
    scan = load_scan(data_dir / "ct" / "lidc-0001", LUNGS)
    return Composer(scan, tmp_path_factory.mktemp("completeness"), "completeness")


def test_an_archive_that_still_receives_while_it_forwards(loop: Loop, composer: Composer) -> None:
    """Its count equals ours in every pause of the modality; the first pauses come before anything can be read."""
    slow = Composer(composer.scan, composer.folder, "slow modality")
    images = slow.thin()
    portions = [images[:1], images[1:8], images[8:65], images[65:70], images[70:]]
    sent = 0
    for portion in portions:
        loop.slow.upload(portion)
        sent += len(portion)
        came = f"{sent} images came"
        status = loop.raysight.wait_until(slow.uid, lambda s, n=sent: s["instances"]["images"] == n, came)
        assert status["readings"] == []
        if sent < len(images):
            sleep(PAUSE_SECONDS)
    status = loop.raysight.wait_for(slow.uid)
    (reading,) = status["readings"]
    assert (status["source_ae"], status["evidence"]["kind"]) == ("SLOW", "counted")
    assert f"({len(images)})" in status["evidence"]["detail"]
    assert (reading["starts"], reading["predecessor"]) == (1, None)


def test_what_the_source_has_and_has_not_sent_is_waited_for(loop: Loop, composer: Composer) -> None:
    lagging = Composer(composer.scan, composer.folder, "lagging archive")
    images = lagging.thin()
    loop.pacs.upload(images)
    ids = sorted(loop.pacs.instances(lagging.uid).values())
    kept, sent = ids[:5], ids[5:]
    loop.pacs.send_all(sent, "raysight")
    here = f"{len(sent)} of {len(ids)} instances of the selected series are here"
    waits = loop.raysight.wait_until(lagging.uid, lambda s: s["waiting_for"].startswith(here), here)
    patience = datetime.fromisoformat(waits["last_received_at"]) + timedelta(seconds=1.5 * QUIET_SECONDS)
    while datetime.now(UTC) < patience:
        assert loop.raysight.study(lagging.uid)["state"] == "waiting"
        sleep(0.2)
    loop.pacs.send_all(kept, "raysight")
    status = loop.raysight.wait_for(lagging.uid)
    assert len(status["readings"]) == 1
    assert (status["evidence"]["kind"], status["instances"]["images"]) == ("counted", len(images))

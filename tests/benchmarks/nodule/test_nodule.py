"""The nodule benchmark's own parts: no figure is asserted."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from benchmarks.nodule.__main__ import report
from benchmarks.nodule.loop import Memory, Way, tree, way_of
from service.status.records import (
    DeliveryState,
    DeliveryStatus,
    Evidence,
    InstanceCounts,
    PipelineStatus,
    StudyState,
    StudyStatus,
)

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


@pytest.fixture
def confirmed() -> StudyStatus:
    """Received in 4 s, complete 6 s later, read in 20 s, sent in 1 s, confirmed in 2 s."""
    delivery = DeliveryStatus(
        1, "k", "1.2", "lung_nodule", "archive", DeliveryState.CONFIRMED, after(31), 1, None, "", after(32),
        after(34), "commitment", 0.5, 2.0,
    )  # fmt: skip
    timings = {"read": 3.0, "lungs": 4.0, "decode": 2.0, "find": 8.0, "write": 1.5}
    reading = PipelineStatus(
        "k", "1.2", "lung_nodule", "1", "detector", "7", "read", None, None, 2, "1.2.3", False, None, after(10),
        after(11), after(31), 1, timings, (), (delivery,),
    )  # fmt: skip
    counts = InstanceCounts(275, 275, 0, 1, 40.0, 0, 0, 0)
    return StudyStatus(
        "1.2", StudyState.CONFIRMED, "PACS", BEGAN, after(4), None, "", None, after(10), Evidence("counted", ""),
        counts, (), (reading,),
    )  # fmt: skip


def test_the_stages_follow_each_other_and_add_up(confirmed: StudyStatus) -> None:
    way = way_of(confirmed, "network", {"worker 1": 900.0})
    assert way.whole == 30.0
    assert list(way.seconds) == [
        "receive", "complete", "queue", "decode", "lungs", "find", "read, the rest", "write", "keep and record",
        "send", "confirm",
    ]  # fmt: skip
    assert way.seconds["keep and record"] == pytest.approx(1.5)
    assert sum(way.seconds.values()) - way.seconds["receive"] == pytest.approx(way.whole)
    assert (way.model, way.findings, way.evidence) == ("detector 7", 2, "counted")


def test_the_table_has_every_stage_the_ratio_and_the_memory(confirmed: StudyStatus) -> None:
    ours = way_of(confirmed, "network", {"worker 1": 900.0, "node 2": 100.0})
    theirs = Way("baseline", "baseline 0.1", 1, "counted", {"complete": 5.0, "lungs": 3.0}, 15.0, {"worker 3": 400.0})
    lines = report("lidc-0314", {"machine": "2 cores"}, [ours, theirs, ours, theirs])
    assert "| seconds | network | baseline |" in lines
    assert "| lungs | 4.0 | 3.0 |" in lines
    assert "| find | 8.0 |  |" in lines
    assert "| **last C-STORE to confirmed** | 30.0 (30.0–30.0) | 15.0 (15.0–15.0) |" in lines
    assert "| ÷ baseline, same repetition | 2.00 (2.00–2.00) | 1.00 (1.00–1.00) |" in lines
    assert "| worker | 900 | 400 |" in lines
    assert "| all, each at its own peak | 1000 | 400 |" in lines
    assert "Cited, not measured here" in lines[-1]


def test_the_memory_of_a_tree_s_processes_is_watched() -> None:
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'x = bytearray(64 << 20); input()'])"
    process = subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE)
    memory = Memory(os.getpid())
    memory.start()
    try:
        while not any(peak > 64 for name, peak in list(memory.peak_mb.items()) if str(os.getpid()) not in name):
            assert process.poll() is None
        assert process.pid in tree(os.getpid())
    finally:
        memory.stop()
        process.communicate(b"\n")

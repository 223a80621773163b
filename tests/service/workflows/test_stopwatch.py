"""Seconds by stage, each counted once."""

from __future__ import annotations

from time import sleep

import pytest

from service.workflows.steps import Stopwatch


def test_a_stage_within_another_counts_for_itself_only() -> None:
    watch = Stopwatch()
    with watch.stage("volume"):
        for _ in range(2):
            with watch.stage("decode"):
                sleep(0.02)
        with watch.stage("decode"), watch.stage("read"):
            sleep(0.02)
    assert list(watch.seconds) == ["decode", "read", "volume"]
    assert watch.seconds["decode"] >= 0.04
    assert watch.seconds["read"] >= 0.02
    assert watch.seconds["volume"] < watch.seconds["read"]


def test_a_stage_that_ends_in_an_error_is_counted() -> None:
    watch = Stopwatch()
    with pytest.raises(ValueError, match="no"), watch.stage("volume"), watch.stage("decode"):
        raise ValueError("no")
    assert set(watch.seconds) == {"decode", "volume"}

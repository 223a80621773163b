"""Stages are measured where somebody asks for it, each thread's by its own measure."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from imaging.stages import Stages, measured, stage


def into(seen: list[str]) -> Stages:
    @contextmanager
    def surround(name: str) -> Iterator[None]:
        seen.append(f"+{name}")
        try:
            yield
        finally:
            seen.append(f"-{name}")

    return surround


def test_nobody_measures():
    with stage("lungs"):
        pass


def test_stages_are_told_to_whoever_measures_and_to_nobody_afterwards():
    seen: list[str] = []
    with measured(into(seen)), stage("read"), stage("lungs"):
        pass
    with stage("later"):
        pass
    assert seen == ["+read", "+lungs", "-lungs", "-read"]


def test_a_failed_stage_ends_and_the_outer_measure_comes_back():
    inner: list[str] = []
    outer: list[str] = []
    with measured(into(outer)):
        with pytest.raises(ValueError, match="bad"), measured(into(inner)), stage("lungs"):
            raise ValueError("bad")
        with stage("detection"):
            pass
    assert inner == ["+lungs", "-lungs"]
    assert outer == ["+detection", "-detection"]


def test_another_thread_is_not_measured():
    seen: list[str] = []

    def elsewhere() -> None:
        with stage("other"):
            pass

    with measured(into(seen)):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert seen == []

"""What a reading does now: a pipeline names its stages, and whoever runs it may measure them.

The measure belongs to the running thread's context, so readings side by side don't meet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

Stages = Callable[[str], AbstractContextManager[None]]
"""From a stage's name to what surrounds it."""

_measure: ContextVar[Stages | None] = ContextVar("measure", default=None)


def stage(name: str) -> AbstractContextManager[None]:
    """Surround a stage of a reading by what `measured` was given; else nothing happens."""
    measure = _measure.get()
    return nullcontext() if measure is None else measure(name)


@contextmanager
def measured(by: Stages) -> Iterator[None]:
    """Measure the stages of what runs inside."""
    token = _measure.set(by)
    try:
        yield
    finally:
        _measure.reset(token)

"""A run on the screen: a bar with loss and time left; in a log a line for each epoch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from training.runs.tracker import Moment


class RunProgress:
    """Told where a run stands (`training.runs.tracker.Tell`).

    Parameters
    ----------
    bar
        None where nobody watches: then only lines are written.
    """

    def __init__(self, out: Console, bar: Progress | None) -> None:
        self._out, self._bar = out, bar
        self._task = bar.add_task("", total=1.0, loss="") if bar else None
        self._began: tuple[float, float] | None = None

    def __call__(self, moment: Moment) -> None:
        """Show it."""
        if self._began is None and moment.epoch:
            self._began = monotonic(), moment.done
        if moment.metrics is not None:
            self._out.print(self._line(moment), soft_wrap=True, highlight=False)
        if self._bar and self._task is not None:
            words = f"epoch {moment.epoch}/{moment.epochs}" if moment.epoch else moment.what
            loss = "" if moment.loss is None else f"loss {moment.loss:.3f}"
            self._bar.update(self._task, description=words, loss=loss, completed=moment.done)

    def exporting(self) -> None:
        """Training is done."""
        if self._bar and self._task is not None:
            self._bar.update(self._task, description="exporting", loss="")

    def _line(self, moment: Moment) -> str:
        metrics = dict(moment.metrics or {})
        took = metrics.pop("seconds", 0.0)
        figures = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items() if name != "score")
        return f"epoch {moment.epoch}/{moment.epochs}  {figures}  {took:.0f} s{self._left(moment.done)}"

    def _left(self, done: float) -> str:
        if self._began is None or done >= 1 or done <= self._began[1]:
            return ""
        began, share = self._began
        minutes = (monotonic() - began) * (1 - done) / (done - share) / 60
        return f"  at most {minutes:.0f} min left" if minutes >= 1 else "  less than a minute left"


@contextmanager
def run_progress() -> Iterator[RunProgress]:
    """On standard error, so that standard output holds the answer alone."""
    out = Console(stderr=True)
    if not sys.stderr.isatty():
        yield RunProgress(out, None)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.fields[loss]}"),
        BarColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=out, transient=True) as bar:
        yield RunProgress(out, bar)

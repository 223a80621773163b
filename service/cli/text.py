"""How numbers, times and states look to people."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from imaging.reading import Finding

PIPE_WIDTH = 160
COLOURS = {
    "confirmed": "green",
    "read": "green",
    "sent": "cyan",
    "pending": "cyan",
    "reading": "cyan",
    "queued": "cyan",
    "received": "cyan",
    "waiting": "cyan",
    "held": "yellow",
    "stopped": "yellow",
    "not read": "yellow",
    "parked": "red",
    "failed": "red",
}


def console() -> Console:
    """Standard output; wide where no terminal cuts it."""
    return Console(highlight=False, width=None if sys.stdout.isatty() or _columns() else PIPE_WIDTH)


def _columns() -> bool:
    import os

    return "COLUMNS" in os.environ


def note(line: str) -> None:
    """A remark on standard error."""
    print(f"raysight: {line}", file=sys.stderr)


def print_json(value: Any) -> None:
    """Any of our records as JSON, on standard output."""
    print(json.dumps(_plain(value), ensure_ascii=False, indent=2))


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    return value


def state(word: str) -> Text:
    """A state in its colour."""
    return Text(word, style=COLOURS.get(word, ""))


def counts(by_state: Mapping[str, int]) -> Text:
    """`3 confirmed · 1 reading`."""
    parts = [Text(f"{number} ") + state(word) for word, number in by_state.items() if number]
    return Text(" · ").join(parts) if parts else Text("none", style="dim")


def plain_table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """A table with a head and no lines."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return table


def facts(rows: Mapping[str, Text | str]) -> Table:
    """Names on the left, what they are on the right; empty ones left out."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        if str(value):
            table.add_row(name, value)
    return table


def amount(megabytes: float) -> str:
    """`512 MB`, `1.9 GB`."""
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"


def plural(number: int, one: str, many: str = "") -> str:
    """`1 study`, `2 studies`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def found(findings: Sequence[Finding]) -> str:
    """`2 marks above threshold`, `3 structures measured`; of nothing found, never that somebody is healthy."""
    from imaging import codes

    if not findings:
        return "no mark above threshold"
    if all(finding.category == codes.ANATOMICAL_STRUCTURE for finding in findings):
        return f"{plural(len(findings), 'structure')} measured"
    return f"{plural(len(findings), 'mark')} above threshold"


def seconds(timings: Mapping[str, float] | None) -> str:
    """`decode 2.3 s · read 24.1 s`."""
    return " · ".join(f"{stage} {value:.1f} s" for stage, value in (timings or {}).items())


@contextmanager
def progress() -> Iterator[Callable[[str, float], None]]:
    """A bar on standard error, where that is a terminal; told what is being done, and the share (0..1) done."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    err = Console(stderr=True)
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda what, share: bar.update(task, description=what, completed=share)

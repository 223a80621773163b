"""A guideline's table as data, and what it says where facts are missing.

A row is a conjunction of conditions on named facts. Where a fact isn't known, the table is read once for every value
that the fact may have; what comes out of all readings is what can honestly be said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

Value = float | bool | str


@dataclass(frozen=True)
class Fact:
    """Something a table asks for.

    Parameters
    ----------
    name
        In words; empty where its values speak for themselves.
    unit, digits
        Of a number.
    no
        In words, where it is false; empty where that needn't be said.
    missing
        What is missing where it isn't known; the name unless given.
    """

    name: str
    unit: str = ""
    digits: int = 0
    no: str = ""
    missing: str = ""

    def told(self, value: Value) -> str:
        """The fact with one of its values."""
        if isinstance(value, bool):
            return self.name if value else self.no
        number = f"{value:.{self.digits}f}" if isinstance(value, float | int) else str(value)
        return " ".join(part for part in (self.name, number, self.unit) if part)


Facts = Mapping[Fact, Value]


@dataclass(frozen=True)
class Is:
    """The fact has one of ``values``. A fact that the table wasn't told of has none."""

    fact: Fact
    values: tuple[Value, ...]

    def holds(self, facts: Facts) -> bool:
        return self.fact in facts and facts[self.fact] in self.values

    def words(self, value: Value | None = None) -> str:
        if value is not None:
            return self.fact.told(value)
        if isinstance(self.values[0], bool):
            return " or ".join(self.fact.told(v) for v in self.values)
        return self.fact.told(" or ".join(str(v) for v in self.values))


@dataclass(frozen=True)
class Within:
    """The number lies between: at ``least`` or ``above`` it, ``below`` or at ``most`` it."""

    fact: Fact
    least: float | None = None
    above: float | None = None
    below: float | None = None
    most: float | None = None

    def holds(self, facts: Facts) -> bool:
        if self.fact not in facts:
            return False
        value = float(facts[self.fact])
        return (
            (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
            and (self.most is None or value <= self.most)
        )

    @property
    def bounds(self) -> tuple[float, ...]:
        return tuple(b for b in (self.least, self.above, self.below, self.most) if b is not None)

    def words(self, value: Value | None = None) -> str:
        ends = [("≥", self.least), (">", self.above), ("<", self.below), ("≤", self.most)]
        limits = " and ".join(f"{sign} {bound:g}" for sign, bound in ends if bound is not None)
        if value is None:
            return " ".join(part for part in (self.fact.name, limits, self.fact.unit) if part)
        return f"{self.fact.told(float(value))} ({limits})"


Condition = Is | Within


@dataclass(frozen=True)
class Row:
    """One row of a guideline's table.

    Parameters
    ----------
    id
        At most 16 characters: it is also the row's code.
    category
        What the row gives; where the table is one of recommendations, the row's own id.
    conditions
        All must hold.
    advice
        The guideline's recommendation, abridged, for those who review the table. It is never part of an answer.
    note
        What a reader of the row should know, part of the answer's words.
    """

    id: str
    category: str
    conditions: tuple[Condition, ...]
    advice: str = ""
    note: str = ""

    def fits(self, facts: Facts) -> bool:
        """Whether every condition holds."""
        return all(condition.holds(facts) for condition in self.conditions)

    def words(self, facts: Facts | None = None) -> str:
        """The row in words; with ``facts``, each measured value beside its cut-off."""
        told = [c.words(None if facts is None else facts.get(c.fact)) for c in self.conditions]
        return "; ".join([w for w in told if w] + ([self.note] if self.note else []))


Path = tuple[Row, ...]
"""The rows that led to a result; the last one gives the category. Empty: no row fits."""


def category_of(path: Path) -> str | None:
    """What a path gives; None where no row fits."""
    return path[-1].category if path else None


@dataclass(frozen=True)
class Settled:
    """All results that a table may have.

    Parameters
    ----------
    paths
        Each once, in the order of the values tried.
    missing
        The unknown facts that make a difference.
    known
        The facts that are known.
    """

    paths: tuple[Path, ...]
    missing: tuple[Fact, ...]
    known: Facts


def settle(classify: Callable[[Facts], Path], known: Facts, unknown: Mapping[Fact, Sequence[Value]]) -> Settled:
    """Read a table for every value of every unknown fact.

    Parameters
    ----------
    classify
        The table's reading of complete facts.
    unknown
        Every value that an unknown fact may have (`cells` for a number).
    """
    names = list(unknown)
    paths = {
        values: classify({**known, **dict(zip(names, values, strict=True))}) for values in product(*unknown.values())
    }
    missing = tuple(fact for place, fact in enumerate(names) if _matters(paths, place))
    return Settled(tuple(dict.fromkeys(paths.values())), missing, known)


def _matters(paths: Mapping[tuple[Value, ...], Path], place: int) -> bool:
    """Whether the value at ``place`` alone changes the category for some values of the others."""
    seen: dict[tuple[Value, ...], str | None] = {}
    return any(
        seen.setdefault((*values[:place], *values[place + 1 :]), category_of(path)) != category_of(path)
        for values, path in paths.items()
    )


def cells(rows: Iterable[Row], fact: Fact, largest: float | None = None) -> tuple[float, ...]:
    """Numbers that stand for all: every cut-off of the rows, one value beyond each end and one between each two.

    Parameters
    ----------
    largest
        What the fact can't exceed.
    """
    within = [c for row in rows for c in row.conditions if isinstance(c, Within) and c.fact == fact]
    bounds = sorted({bound for condition in within for bound in condition.bounds})
    between = [(a + b) / 2 for a, b in pairwise(bounds)]
    lowest = bounds[0] / 2
    every = sorted([lowest, *bounds, *between, bounds[-1] * 2])
    return tuple(v for v in every if largest is None or v <= largest) or (lowest,)

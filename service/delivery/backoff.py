"""When to try again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Backoff:
    """Exponential waits: 1, 2, 4 … seconds, at most a minute in the first hour of trouble, then up to an hour.

    Parameters
    ----------
    first
        Wait after the first failure; each further one doubles it.
    jitter
        Share by which a wait is spread to either side, so that nodes that lost an archive together don't come back
        together. No wait is longer than its bound.
    """

    first: timedelta = timedelta(seconds=1)
    jitter: float = 0.1

    def wait(self, failures: int, lasting: timedelta, draw: float) -> timedelta:
        """How long to wait.

        Parameters
        ----------
        failures
            Failures in a row, at least 1.
        lasting
            Since the first of them.
        draw
            A random number, 0 <= draw < 1.
        """
        doubled: timedelta = self.first * (1 << min(failures - 1, 20))
        spread = 1 + self.jitter * (2 * draw - 1)
        return min(doubled * spread, longest(lasting))


DEFAULT = Backoff()


def longest(lasting: timedelta) -> timedelta:
    """The longest wait for trouble that has been ``lasting``: a minute within the first hour, then a tenth of it.

    A tenth keeps the waits growing with the outage; from ten hours on it is an hour.
    """
    if lasting < _HOUR:
        return timedelta(minutes=1)
    return min(lasting / 10, _HOUR)

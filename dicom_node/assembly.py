"""Is a study complete, and why do we think so? Pure rules on what was seen; no clock and no network of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise


class EvidenceKind(StrEnum):
    """Why a study counts as complete, strongest first."""

    ASKED = "asked"
    COUNTED = "counted"
    QUIET = "quiet"


@dataclass(frozen=True)
class Evidence:
    """The study is complete.

    Parameters
    ----------
    at
        When it was judged so.
    detail
        In words, for the status and the SR.
    """

    kind: EvidenceKind
    at: datetime
    detail: str


@dataclass(frozen=True)
class Waiting:
    """The study isn't complete yet: why, and when to judge again (sooner if something comes in)."""

    reason: str
    check_at: datetime


@dataclass(frozen=True)
class Count:
    """One series counted at one moment.

    Parameters
    ----------
    at_source
        Number of Series Related Instances (0020,1209) as the source answered a C-FIND; None when it gave no answer.
    here
        Distinct instances of the series here at that moment.
    """

    at: datetime
    series_instance_uid: str
    at_source: int | None
    here: int


@dataclass(frozen=True)
class Arrival:
    """What is known of a study's arrival.

    Parameters
    ----------
    open_associations
        Associations that the study's source has open to us now.
    asked_at
        When somebody asked for the study to be read now; the caller clears it once a reading came of it.
    counts
        All counts taken, in any order.
    """

    study_instance_uid: str
    last_received_at: datetime
    source_ae: str
    open_associations: int = 0
    asked_at: datetime | None = None
    counts: Sequence[Count] = ()


@dataclass(frozen=True)
class Policy:
    """How patient to be with one source.

    Parameters
    ----------
    quiet_seconds
        Nothing for so long, and no count to be had: complete.
    count_interval_seconds
        Least time between two counts that confirm each other, and between two looks at a study that isn't complete.
    counts_needed
        Equal counts in succession that make a study complete.
    give_up_seconds
        A source that claims more than it sends is waited for so long after the last instance.
    """

    quiet_seconds: float
    count_interval_seconds: float
    counts_needed: int = 2
    give_up_seconds: float = 6 * 3600.0

    def __post_init__(self) -> None:
        if min(self.quiet_seconds, self.count_interval_seconds, self.give_up_seconds) <= 0 or self.counts_needed < 1:
            raise ValueError("a policy's times must be positive, and at least one count is needed")


def judge(
    arrival: Arrival, selected_series: Sequence[str], now: datetime, policy: Policy, *, readable: bool = True
) -> Evidence | Waiting:
    """Judge whether a study is complete.

    - *Asked*: at once, even while the source still has an association open.
    - *Counted*: for every selected image series the source's count equalled ours in ``counts_needed`` successive
      counts at least the interval apart, none older than the last instance, and no association is open. A source that
      forwards while it still receives has as many as are here in every pause of the modality: where its count was
      seen to grow, or nobody can read the study as it stands, this must hold for ``quiet_seconds``.
    - A source whose last word on a selected series is more than is here is waited for, and after
      ``give_up_seconds`` the study is taken as it is, saying how much of it that is.
    - *Quiet*: otherwise, when nothing came for ``quiet_seconds`` and no association is open.

    If the clock was set back, times lie in the future; the study then waits until the clock has caught up or
    somebody asks, and is never taken for complete early.

    Parameters
    ----------
    selected_series
        Series Instance UIDs of the image series that pipelines selected; may be empty.
    readable
        Whether what is here can be read as it stands.

    Raises
    ------
    ValueError
        A time without a zone.
    """
    _refuse_naive(arrival, now)
    still_open = _still_open(arrival)
    if arrival.asked_at is not None:
        return Evidence(EvidenceKind.ASKED, now, f"asked for{f' while {still_open}' if still_open else ''}")

    look_again = now + timedelta(seconds=policy.count_interval_seconds)
    if still_open:
        return Waiting(still_open, look_again)

    histories = [_history(arrival.counts, uid) for uid in selected_series]
    since = arrival.last_received_at
    streaks = [_streak([c for c in h if since <= c.at <= now], policy) for h in histories]
    settled = readable and not any(_grew(h) for h in histories)
    long_enough = settled or now >= since + timedelta(seconds=policy.quiet_seconds)
    if streaks and long_enough and all(len(s) >= policy.counts_needed for s in streaks):
        here = " + ".join(str(s[-1].here) for s in streaks)
        detail = f"{arrival.source_ae} has as many instances of the selected series as are here ({here}), counted "
        return Evidence(EvidenceKind.COUNTED, now, f"{detail}{policy.counts_needed} times")

    short = [gap for h in histories if (gap := _short(h))]
    if short:
        share = f"{sum(h for h, _ in short)} of {sum(t for _, t in short)}"
        claim = f"{share} instances of the selected series are here, as {arrival.source_ae} counts"
        give_up = since + timedelta(seconds=policy.give_up_seconds)
        if now < give_up:
            return Waiting(claim, min(look_again, give_up))
        return Evidence(EvidenceKind.QUIET, now, f"{claim}; waited {policy.give_up_seconds:.0f} s for the rest")

    # a first equal count is worth waiting for the second
    begun = max([since, *(s[-1].at for s in streaks if s)])
    quiet_at = begun + timedelta(seconds=policy.quiet_seconds)
    if now >= quiet_at:
        detail = f"nothing came from {arrival.source_ae} for {(now - since).total_seconds():.0f} s"
        return Evidence(EvidenceKind.QUIET, now, f"{detail}, and it gave no count that settles it")
    reason = f"{arrival.source_ae} has been quiet for {max((now - since).total_seconds(), 0):.0f} s"
    return Waiting(f"{reason} of {policy.quiet_seconds:.0f} s", min(look_again, quiet_at))


def _history(counts: Sequence[Count], series_instance_uid: str) -> list[Count]:
    return sorted((c for c in counts if c.series_instance_uid == series_instance_uid), key=lambda c: c.at)


def _streak(counts: Sequence[Count], policy: Policy) -> list[Count]:
    """The newest run of equal counts, thinned to the interval; no answer neither breaks nor lengthens it."""
    streak: list[Count] = []
    for count in counts:
        if count.at_source is None:
            continue
        if count.at_source != count.here:
            streak = []
        elif not streak or (count.at - streak[-1].at).total_seconds() >= policy.count_interval_seconds:
            streak.append(count)
    return streak


def _grew(counts: Sequence[Count]) -> bool:
    """Whether the source got more instances while we counted."""
    answered = [c.at_source for c in counts if c.at_source is not None]
    return any(later > earlier for earlier, later in pairwise(answered))


def _short(counts: Sequence[Count]) -> tuple[int, int] | None:
    """How many are here and at the source, by the last word on each, when the source has more."""
    answered = [c.at_source for c in counts if c.at_source is not None]
    if not answered or counts[-1].here >= answered[-1]:
        return None
    return counts[-1].here, answered[-1]


def _still_open(arrival: Arrival) -> str:
    if arrival.open_associations < 1:
        return ""
    plural = "s" if arrival.open_associations > 1 else ""
    return f"{arrival.source_ae} has {arrival.open_associations} association{plural} open"


def _refuse_naive(arrival: Arrival, now: datetime) -> None:
    times = [now, arrival.last_received_at, *(c.at for c in arrival.counts)]
    if arrival.asked_at is not None:
        times.append(arrival.asked_at)
    if any(t.tzinfo is None or t.utcoffset() is None for t in times):
        raise ValueError("every time in an arrival carries its zone")

"""The pages of `raysight status`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from imaging.reading import Finding
from service.cli.text import amount, counts, facts, found, plain_table, plural, seconds, state
from service.status.records import (
    DeliveryStatus,
    DestinationStatus,
    InstanceCounts,
    Overview,
    PipelineStatus,
    StudyStatus,
    StudySummary,
)

ENDING = 24  # characters of a shortened UID
CONFLICTS_SHOWN = 5


def overview_page(
    service: Overview, studies: Sequence[StudySummary], zone: tzinfo, *, whole: bool = True
) -> RenderableType:
    """The whole service, and the newest studies.

    Parameters
    ----------
    whole
        Whether there is room for whole UIDs; otherwise their ends stand, by which `raysight status` finds them.
    """
    roles = [Text.assemble(f"{r.name} ", ("runs", "green") if r.alive else ("is down", "red")) for r in service.roles]
    low = service.free_megabytes < service.refuse_below_megabytes
    room = f"{amount(service.free_megabytes)} free; below {amount(service.refuse_below_megabytes)} C-STORE is refused"
    parts: list[RenderableType] = [
        facts(
            {
                "Processes": Text(" · ").join(roles),
                "Disk": Text(room, style="red" if low else ""),
                "Spool": spool(service.instances),
                "Studies": counts(service.studies),
                **{f"  {name}": counts(by_state) for name, by_state in service.readings.items()},
                "Stopped": "\n".join(
                    f"{s.pipeline} by {s.stopped_by}, {when(s.stopped_at, zone)}{f': {s.note}' if s.note else ''}"
                    for s in service.stops
                ),
                "On hold": "\n".join(f"{h.pipeline} to {h.destination}" for h in service.holds),
            }
        )
    ]
    if service.destinations:
        parts += ["", destination_table(service.destinations, zone)]
    else:
        parts += ["", Text("No destination is configured: results stay here.", style="dim")]
    parts += ["", study_table(studies, zone, whole=whole) if studies else Text("No studies.", style="dim")]
    return Group(*parts)


def study_table(studies: Sequence[StudySummary], zone: tzinfo, *, whole: bool) -> Table:
    """One line a study."""
    table = plain_table("Study", "State", "From", f"Last image ({zone})")
    for study in studies:
        table.add_row(
            study.study_instance_uid if whole else ending(study.study_instance_uid),
            state(study.state.value),
            study.source_ae,
            when(study.last_received_at, zone),
        )
        if study.waiting_for:
            table.add_row(Text(f"  waits: {study.waiting_for}", style="dim"))
    return table


def destination_table(destinations: Sequence[DestinationStatus], zone: tzinfo) -> Table:
    """One line a destination."""
    table = plain_table("Destination", "Where", "Deliveries", "Oldest under way", "Last answer")
    for destination in destinations:
        where = (
            f"{destination.ae_title}@{destination.address}" if destination.configured else "not configured any more"
        )
        oldest = when(destination.oldest_waiting_since, zone) if destination.oldest_waiting_since else "–"
        table.add_row(destination.name, where, counts(destination.by_state), oldest, destination.last_answer)
    return table


def delivery_table(deliveries: Sequence[DeliveryStatus]) -> Table:
    """One line a delivery."""
    table = plain_table("No.", "State", "Destination", "Pipeline", "Study", "Tries", "Answer", right=("No.", "Tries"))
    for d in deliveries:
        study = ending(d.study_instance_uid)
        table.add_row(str(d.id), state(d.state), d.destination, d.pipeline, study, str(d.attempts), d.comment)
    return table


def study_page(study: StudyStatus, findings: Mapping[str, Sequence[Finding]], zone: tzinfo) -> RenderableType:
    """One study, and why it stands where it stands.

    Parameters
    ----------
    findings
        By a reading's key, as far as what was read is here.
    """
    evidence = f"{study.evidence.kind}: {study.evidence.detail}" if study.evidence else ""
    if study.complete_at and evidence:
        evidence = f"{when(study.complete_at, zone)}, {evidence}"
    arrived = f"{when(study.first_received_at, zone)} to {when(study.last_received_at, zone)} from {study.source_ae}"
    parts: list[RenderableType] = [
        facts(
            {
                "Study": study.study_instance_uid,
                "State": state(study.state.value),
                "Received": f"{arrived} ({zone})",
                "Spool": spool(study.instances),
                "Complete": evidence,
                "Waits for": study.waiting_for,
                "Asked": when(study.asked_at, zone) if study.asked_at else "",
                "Conflicts": _first(study.conflicting_instances),
            }
        )
    ]
    for reading in study.readings:
        parts += ["", reading_page(reading, findings.get(reading.key, ()), zone)]
    if not study.readings:
        parts += ["", Text("No pipeline has answered yet.", style="dim")]
    return Group(*parts)


def reading_page(reading: PipelineStatus, findings: Sequence[Finding], zone: tzinfo) -> RenderableType:
    """One pipeline's answer, its objects and where they went."""
    title = f"[bold]{reading.pipeline}[/] {reading.pipeline_version}"
    if reading.superseded:
        title += " [dim](replaced by a newer reading)[/]"
    answer = state(reading.state)
    if reading.state == "read":
        number = reading.findings or 0
        answer += Text(f", {found(findings) if findings or not number else plural(number, 'finding')}")
    began = "" if reading.starts < 2 else f"begun {reading.starts} times"
    parts: list[RenderableType] = [
        Rule(title, align="left", style="dim"),
        facts(
            {
                "Answer": answer,
                "Why": ": ".join(part for part in (reading.reason_kind, reading.reason) if part),
                "Model": f"{reading.model_name} {reading.model_version}",
                "Series": reading.series_instance_uid or "",
                "Ended": when(reading.finished_at, zone) if reading.finished_at else began,
                "Times": seconds(reading.timings),
                "Replaces": reading.predecessor or "",
                "Key": reading.key,
            }
        ),
    ]
    if reading.objects:
        objects = plain_table("Object", "SOP Instance UID", "Written as")
        for item in reading.objects:
            objects.add_row(item.role, item.sop_instance_uid, item.profile)
        parts.append(objects)
    if reading.deliveries:
        table = plain_table("To", "State", "Tries", "When", "Answer", right=("Tries",))
        for delivery in reading.deliveries:
            table.add_row(
                delivery.destination,
                _delivered(delivery),
                str(delivery.attempts),
                _next(delivery, zone),
                delivery.comment,
            )
        parts.append(table)
    return Group(*parts)


def _delivered(delivery: DeliveryStatus) -> Text:
    word = state(delivery.state.value)
    return Text.assemble(word, f" by {delivery.confirmed_by}") if delivery.confirmed_by else word


def _next(delivery: DeliveryStatus, zone: tzinfo) -> str:
    if delivery.confirmed_at:
        return when(delivery.confirmed_at, zone)
    # in the past: its turn has come, or its destination backs off as a whole (the comment says until when)
    if delivery.next_attempt_at and delivery.next_attempt_at > datetime.now(UTC):
        return f"next {when(delivery.next_attempt_at, zone)}"
    return when(delivery.created_at, zone)


def ending(uid: str) -> str:
    """The end of a long UID, which is where UIDs differ."""
    return uid if len(uid) <= ENDING else f"…{uid[1 - ENDING :]}"


def spool(stored: InstanceCounts) -> str:
    """Instances and what is odd about them."""
    series = plural(stored.series, "series", "series")
    text = f"{plural(stored.total, 'instance')} ({stored.images:,} images) in {series}, {amount(stored.megabytes)}"
    odd = {
        "with the UID of another and other bytes": stored.conflicts,
        "with an unreadable header": stored.unreadable,
        "released": stored.released,
    }
    return "; ".join([text, *(f"{number:,} {what}" for what, number in odd.items() if number)])


def _first(uids: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = len(uids) - CONFLICTS_SHOWN
    return "\n".join([*uids[:CONFLICTS_SHOWN], *([f"and {more} more (--json lists all)"] if more > 0 else [])])


def when(time: datetime | None, zone: tzinfo) -> str:
    """A time in the hospital's zone."""
    return "" if time is None else time.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")

"""The tables.

Derived ones (`log_position`, `studies`, `instances`, `readings`, `reading_models`, `objects`) are rebuilt from the
spool, the receive log and the results by `raysight index rebuild`. Primary ones (`deliveries`, `attempts`, `stops`,
`audit`, `decisions`) hold what no file tells; they are backed up.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    Time,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import DateTime, TypeDecorator


class UTCDateTime(TypeDecorator[datetime]):
    """Aware datetimes in and out, stored as naive UTC (SQLite keeps no zone)."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To naive UTC; a naive value is a defect of the caller."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone can't be stored")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Back to aware UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


metadata = MetaData()
UID = String(64)
KEY = String(64)

# -- derived --

log_position = Table(
    "log_position",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("file", Integer, nullable=False),
    Column("offset", Integer, nullable=False),
)

studies = Table(
    "studies",
    metadata,
    Column("study_instance_uid", UID, primary_key=True),
    Column("first_received_at", UTCDateTime, nullable=False),
    Column("last_received_at", UTCDateTime, nullable=False),
    Column("source_ae", String(16), nullable=False),  # the last that sent a new image
    Column("check_at", UTCDateTime),  # when completeness is judged next; none: nothing new since it was complete
    Column("waiting_for", Text, nullable=False, default=""),
    Column("asked_at", UTCDateTime),  # somebody asked for a reading now
    Column("complete_at", UTCDateTime),
    Column("evidence", JSON),  # kind, at, detail
    Column("patient_digest", KEY),  # of Patient ID and issuer, as its images say
    Column("study_date", Date),
    Column("study_time", Time),
    Index("studies_check_at", "check_at"),
    Index("studies_patient", "patient_digest"),
)

instances = Table(
    "instances",
    metadata,
    Column("digest", KEY, primary_key=True),
    Column("study_instance_uid", UID, primary_key=True),
    Column("sop_instance_uid", UID, primary_key=True),
    Column("series_instance_uid", UID, nullable=False),
    Column("sop_class_uid", UID, nullable=False),
    Column("blob", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("received_at", UTCDateTime, nullable=False),
    Column("calling_ae", String(16), nullable=False),
    Column("peer", String(64), nullable=False),
    Column("times_received", Integer, nullable=False, default=1),
    Column("is_image", Boolean, nullable=False),
    Column("ours", Boolean, nullable=False),
    Column("conflict", Boolean, nullable=False, default=False),  # same SOP Instance UID, other bytes, came later
    Column("unreadable", Text, nullable=False, default=""),  # why its header could not be read
    Column("header", JSON),
    Column("released_at", UTCDateTime),
    Column("retrieved_by", String(10), nullable=False, default=""),  # C-GET, C-MOVE: we asked for it
    Index("instances_study", "study_instance_uid"),
    Index("instances_sop", "sop_instance_uid"),
)

readings = Table(
    "readings",
    metadata,
    Column("key", KEY, primary_key=True),
    Column("study_instance_uid", UID, nullable=False),
    Column("series_instance_uid", UID),
    Column("pipeline", String(40), nullable=False),
    Column("pipeline_version", String(40), nullable=False),
    Column("model_name", String(80), nullable=False),
    Column("model_version", String(40), nullable=False),
    Column("images", KEY, nullable=False),  # images_digest of what the key covers
    Column("state", String(10), nullable=False),  # queued, reading, read, not read, failed, superseded
    Column("reason_kind", String(40)),
    Column("reason", Text),
    Column("predecessor", KEY),
    Column("prior_study_instance_uid", UID),  # the earlier examination that is read with it
    Column("requested_at", UTCDateTime, nullable=False),
    Column("started_at", UTCDateTime),
    Column("finished_at", UTCDateTime),
    Column("starts", Integer, nullable=False, default=0),  # how often a worker began to read it
    Column("attempt", Integer, nullable=False, default=0),  # part of the workflow id
    Column("findings", Integer),
    Column("timings", JSON),  # seconds by stage
    Index("readings_study", "study_instance_uid"),
    Index("readings_state", "state"),
)

reading_models = Table(
    "reading_models",
    metadata,
    Column("key", KEY, primary_key=True),
    Column("model_name", String(80), primary_key=True),
    Column("model_version", String(40), nullable=False),
    Index("reading_models_version", "model_name", "model_version"),
)
"""Every model of a reading; `readings` names the first."""

objects = Table(
    "objects",
    metadata,
    Column("sop_instance_uid", UID, primary_key=True),
    Column("key", KEY, nullable=False),
    Column("profile", String(60), nullable=False),
    Column("role", String(20), nullable=False),
    Column("sop_class_uid", UID, nullable=False),
    Column("series_instance_uid", UID, nullable=False),
    Column("blob", Text, nullable=False),  # name in the results' BlobStore
    Column("digest", KEY, nullable=False),
    Index("objects_key", "key"),
)

# -- primary --

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),  # the order of arrival
    Column("key", KEY, nullable=False),
    Column("study_instance_uid", UID, nullable=False),
    Column("pipeline", String(40), nullable=False),
    Column("destination", String(40), nullable=False),
    Column("profile", String(60), nullable=False),
    Column("state", String(10), nullable=False, default="pending"),  # pending, sent, confirmed, parked
    Column("created_at", UTCDateTime, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_attempt_at", UTCDateTime, nullable=False),
    Column("comment", Text, nullable=False, default=""),  # the last answer, in words
    Column("identity_checked_at", UTCDateTime),
    Column("sent_at", UTCDateTime),
    Column("transaction_uid", UID),
    Column("transaction_at", UTCDateTime),
    Column("confirmed_at", UTCDateTime),
    Column("confirmed_by", String(20)),  # commitment, query
    Column("seconds", Float),  # what sending took
    UniqueConstraint("key", "destination", name="one_delivery_per_destination"),
    Index("deliveries_due", "destination", "state", "next_attempt_at"),
    Index("deliveries_transaction", "transaction_uid"),
    Index("deliveries_study", "study_instance_uid"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("delivery", Integer, nullable=False, index=True),
    Column("at", UTCDateTime, nullable=False),
    Column("sop_instance_uid", UID, nullable=False),
    Column("digest", KEY, nullable=False),  # of the dataset bytes that were sent
    Column("status", Integer),
    Column("comment", Text, nullable=False, default=""),
)

stops = Table(
    "stops",
    metadata,
    Column("pipeline", String(40), primary_key=True),
    Column("stopped_at", UTCDateTime, nullable=False),
    Column("stopped_by", String(80), nullable=False),
    Column("note", Text, nullable=False, default=""),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", UTCDateTime, nullable=False),
    Column("who", String(80), nullable=False),
    Column("action", String(40), nullable=False),
    Column("subject", String(80), nullable=False),
    Column("detail", Text, nullable=False, default=""),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),  # the order in which they were taken
    Column("decision", String(120), nullable=False, unique=True),
    Column("model", String(80), nullable=False, index=True),
    Column("at", UTCDateTime, nullable=False),
    Column("document", JSON, nullable=False),  # training.gate.decision.Decision
)

DERIVED = (log_position, studies, instances, readings, reading_models, objects)
PRIMARY = (deliveries, attempts, stops, audit, decisions)

"""`raysight index rebuild`: the derived tables, made again from the receive log, the spool and the results."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter
from sqlalchemy import Connection, Engine, Table, delete, func, select, update

from dicom_node.assembly import Evidence
from dicom_node.blobs import LocalBlobStore
from dicom_node.reader.study import assemble_study
from service.configuration import Configuration
from service.database import tables
from service.database.engine import connect, upgrade
from service.delivery.confirming import apply_commitment
from service.node.indexer import Indexer
from service.node.studies import study_headers
from service.roles import hold_role
from service.settings import Settings
from service.version import application_version
from service.workflows import record
from service.workflows.keys import image_instances, images_digest
from service.workflows.requests import ReadingRequest
from service.workflows.results import ResultStore

_EVIDENCE = TypeAdapter(Evidence)


@dataclass(frozen=True)
class Rebuilt:
    """What a rebuild found."""

    lines: int
    studies: int
    instances: int
    readings: int


def rebuild(configuration: Configuration) -> Rebuilt:
    """Empty the derived tables and fill them again. The node must not run; deliveries that exist are kept."""
    home = configuration.home
    with hold_role(home.root, "node", application_version(configuration.pipelines)):
        database = connect(home.database_url)
        upgrade(database)
        with database.begin() as connection:
            for table in tables.DERIVED:
                connection.execute(delete(table))
        results = ResultStore(LocalBlobStore(home.results))
        requests = sorted(results.requests(), key=lambda r: (r.requested_at, r.key))
        with database.begin() as connection:
            for request in requests:
                _restore(connection, configuration.settings, results, request)
        indexer = Indexer(database, home.log, LocalBlobStore(home.spool), apply_commitment)
        lines = indexer.catch_up()
        _settle(database, requests)
        found = Rebuilt(lines, *(_count(database, t) for t in (tables.studies, tables.instances, tables.readings)))
        database.dispose()
    return found


def _count(database: Engine, table: Table) -> int:
    with database.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def _restore(connection: Connection, settings: Settings, results: ResultStore, request: ReadingRequest) -> None:
    """The rows of one reading, as far as its steps had come."""
    record.add_request(connection, request)
    manifests = {p: m for p in results.profiles(request.key) if (m := results.manifest(request.key, p))}
    record.add_objects(connection, request.key, manifests)
    if not results.has_result(request.key):
        return
    reading = results.reading(request.key)
    wanted = {p.name for p in record.profiles_for(settings, request.pipeline)}
    if wanted <= manifests.keys() or not request.reports(reading.reason):
        record.finish(connection, settings, request=request, reading=reading, manifests=manifests, timings={})


def _settle(database: Engine, requests: list[ReadingRequest]) -> None:
    """Studies that have nothing newer than their last request are complete, with that request's evidence.

    Parameters
    ----------
    requests
        In order of time.
    """
    s = tables.studies
    latest = {request.study_instance_uid: request for request in requests}
    for uid, request in latest.items():
        with database.connect() as connection:
            headers = study_headers(connection, uid)
        # images that were released have no header any more: they are final
        if headers and images_digest(image_instances(assemble_study(headers))) != request.study_images:
            continue
        with database.begin() as connection:
            connection.execute(
                update(s)
                .where(s.c.study_instance_uid == uid)
                .values(
                    check_at=None,
                    complete_at=request.evidence.at,
                    evidence=_EVIDENCE.dump_python(request.evidence, mode="json"),
                )
            )

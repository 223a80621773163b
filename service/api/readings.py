"""`/v1/readings`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy import Engine

from dicom_node.blobs import BlobStore
from imaging.reading import Reading
from service.api import examples
from service.api.parameters import After, Key, Limit, not_found, to_mark, to_token
from service.api.problems import described
from service.configuration import Configuration
from service.status.readings import list_readings, reading_status
from service.status.records import PipelineStatus
from service.workflows.results import ResultStore


class ReadingState(StrEnum):
    """Where a reading stands."""

    QUEUED = "queued"
    READING = "reading"
    READ = "read"
    NOT_READ = "not read"
    FAILED = "failed"
    SUPERSEDED = "superseded"


class ReadingPage(BaseModel):
    """Readings, the newest request first."""

    items: tuple[PipelineStatus, ...]
    next: str | None = Field(description="give it as `after` for the next page; none: this is the last")


class ReadingAnswer(BaseModel):
    """A reading: where it stands, and what was read."""

    status: PipelineStatus
    reading: Reading | None = Field(description="none until it has ended")


def readings_router(configuration: Configuration, engine: Engine, results: BlobStore) -> APIRouter:
    """The routes over one database and one store of results."""
    router = APIRouter(prefix="/v1/readings", tags=["readings"])
    settings = configuration.settings
    store = ResultStore(results)

    @router.get("", summary="List readings", responses=examples.of(examples.READING_PAGE) | described(422, 503))
    def _list(
        limit: Limit = 50,
        state: Annotated[ReadingState | None, Query(description="only readings in this state")] = None,
        pipeline: Annotated[str | None, Query(pattern=r"^[a-z][a-z0-9_-]{0,39}$")] = None,
        after: After = None,
    ) -> ReadingPage:
        found = list_readings(
            engine,
            limit + 1,
            state=state.value if state else None,
            pipeline=pipeline,
            after=to_mark(after),
        )
        page = found[:limit]
        last = page[-1] if len(found) > limit else None
        mark = (last.requested_at, last.key) if last else None
        return ReadingPage(items=page, next=to_token(mark) if mark else None)

    @router.get(
        "/{key}",
        summary="One reading with its findings",
        description="Findings with their measurements. No patient identity stands here.",
        responses=examples.of(examples.READING) | described(404, 422, 503),
    )
    def _one(key: Key) -> ReadingAnswer:
        status = reading_status(engine, settings, key)
        if status is None:
            raise not_found(f"reading {key}")
        return ReadingAnswer(status=status, reading=store.reading(key) if store.has_result(key) else None)

    @router.get(
        "/{key}/picture",
        summary="The findings as a picture",
        response_class=Response,
        responses=examples.raw("image/png", "PNG") | described(404, 422, 503),
    )
    def _picture(key: Key) -> Response:
        name = next((n for n in results.list(f"{key}/") if n.endswith(".png")), None)
        if name is None:
            raise not_found(f"picture of reading {key}")
        return Response(results.get(name), media_type="image/png")

    return router

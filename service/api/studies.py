"""`/v1/studies`."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, HTTPException, Query, Request
from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import Engine

from imaging.errors import UsageError
from service import actions
from service.api import examples
from service.api.parameters import UID, After, Limit, not_found, to_mark, to_token
from service.api.problems import described
from service.configuration import Configuration
from service.status.records import StudyState, StudyStatus, StudySummary
from service.status.studies import list_studies, study_status


class StudyPage(BaseModel):
    """Studies, the last to receive an instance first."""

    items: tuple[StudySummary, ...]
    next: str | None = Field(description="give it as `after` for the next page; none: this is the last")


class Asked(BaseModel):
    """A study is judged complete, and read, now."""

    study_instance_uid: str
    asked_at: datetime


def studies_router(configuration: Configuration, engine: Engine) -> APIRouter:
    """The routes over one database."""
    router = APIRouter(prefix="/v1/studies", tags=["studies"])
    settings = configuration.settings

    @router.get("", summary="List studies", responses=examples.of(examples.STUDY_PAGE) | described(422, 503))
    def _list(
        limit: Limit = 50,
        state: Annotated[StudyState | None, Query(description="only studies in this state")] = None,
        since: Annotated[AwareDatetime | None, Query(description="only what received something since")] = None,
        after: After = None,
    ) -> StudyPage:
        found = list_studies(engine, settings, limit + 1, state=state, since=since, after=to_mark(after))
        page = found[:limit]
        more = len(found) > limit
        last = (page[-1].last_received_at, page[-1].study_instance_uid) if more else None
        return StudyPage(items=page, next=to_token(last) if last else None)

    @router.get(
        "/{study_instance_uid}",
        summary="One study: where it stands, and why",
        responses=examples.of(examples.STUDY) | described(404, 422, 503),
    )
    def _one(study_instance_uid: UID) -> StudyStatus:
        found = study_status(engine, settings, study_instance_uid)
        if found is None:
            raise not_found(f"study {study_instance_uid}")
        return found

    @router.post(
        "/{study_instance_uid}/ask",
        status_code=202,
        summary="Have a study read now",
        description="Counts the study as complete at once (evidence: asked). From this machine only.",
        responses=examples.of(examples.ASKED, 202) | described(403, 404, 409, 422, 503),
    )
    def _ask(study_instance_uid: UID, request: Request) -> Asked:
        _local_only(request)
        try:
            actions.ask(engine, study_instance_uid, f"api {request.client.host if request.client else ''}")
        except actions.NothingLeftError as error:
            raise HTTPException(409, str(error)) from None
        except UsageError:
            raise not_found(f"study {study_instance_uid}") from None
        return Asked(study_instance_uid=study_instance_uid, asked_at=datetime.now(UTC))

    return router


def _local_only(request: Request) -> None:
    """Refuse a client that is not on this machine, and a web page of another origin in a browser on it."""
    origin = request.headers.get("origin")
    foreign = origin is not None and urlsplit(origin).netloc != request.url.netloc
    if foreign or not _is_loopback(request.client.host if request.client else ""):
        raise HTTPException(403, "only a client on the machine itself may ask; or use `raysight ask STUDY` there")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False

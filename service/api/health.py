"""`/healthz`, `/readyz`, `/metrics`."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from service.api import examples
from service.api.problems import described, problem
from service.configuration import Configuration
from service.database.engine import reading
from service.database.tables import studies
from service.metrics import exposition
from service.status.overview import free_megabytes, roles


class Health(BaseModel):
    """The process answers."""

    alive: bool = True


class Check(BaseModel):
    """One thing that must hold before studies are taken and read."""

    name: str
    ok: bool
    detail: str


class Readiness(BaseModel):
    """Everything that must hold, holds."""

    ready: bool
    checks: list[Check]


def health_router(configuration: Configuration, engine: Engine) -> APIRouter:
    """The routes that machines watch."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz", summary="Whether this process lives")
    def _health() -> Health:
        return Health()

    @router.get(
        "/readyz",
        summary="Whether studies are taken and read",
        response_model=Readiness,
        responses=examples.of(examples.READY) | described(503),
    )
    def _ready(request: Request) -> Readiness | Response:
        checks = check_all(configuration, engine)
        wrong = [c for c in checks if not c.ok]
        if not wrong:
            return Readiness(ready=True, checks=checks)
        detail = "; ".join(f"{c.name}: {c.detail}" for c in wrong)
        return problem(request, 503, detail, ready=False, checks=[c.model_dump() for c in checks])

    @router.get(
        "/metrics",
        summary="Counters and gauges for Prometheus",
        response_class=Response,
        responses=examples.raw("text/plain", "Prometheus text format") | described(503),
    )
    def _metrics() -> Response:
        page = exposition(engine, configuration.settings, configuration.home)
        return Response(page, media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


def check_all(configuration: Configuration, engine: Engine) -> list[Check]:
    """Database, node, worker, receiver and disk, each with its reason."""
    found = [_database(engine)]
    for role in roles(configuration.settings, configuration.home):
        if role.name != "api":
            detail = "runs" if role.alive else "does not run; `raysight serve` runs all of them"
            found.append(Check(name=role.name, ok=role.alive, detail=detail))
    free = free_megabytes(configuration.home.root)
    needed = configuration.settings.node.limits.free_mb
    enough = f"{free} MB free; below {needed} MB (node.limits.free_mb) studies are refused"
    found.append(Check(name="disk", ok=free >= needed, detail=enough))
    return found


def _database(engine: Engine) -> Check:
    try:
        with reading(engine).connect() as connection:
            known = connection.execute(select(func.count()).select_from(studies)).scalar_one()
    except SQLAlchemyError as error:
        return Check(name="database", ok=False, detail=f"does not answer ({type(error).__name__})")
    return Check(name="database", ok=True, detail=f"answers; studies: {known}")

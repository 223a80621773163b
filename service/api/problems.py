"""Every error is an RFC 9457 problem (`application/problem+json`)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from imaging.errors import RaysightError, StorageError

MEDIA_TYPE = "application/problem+json"

log = structlog.get_logger(__name__)


class Mistake(BaseModel):
    """One thing that is wrong with a request."""

    where: str = Field(description="part of the request", examples=["query.limit"])
    problem: str = Field(examples=["Input should be less than or equal to 200"])


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field("about:blank", description="about:blank: the status says what kind it is")
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["there is no study 1.2.3 here"])
    instance: str = Field(description="path of the request", examples=["/v1/studies/1.2.3"])
    errors: list[Mistake] = Field(default_factory=list, description="each mistake of an unusable request")


def problem(
    request: Request, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    """The answer to a request that failed; ``more`` are extension members."""
    title = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(
        body | {"instance": request.url.path, "errors": []} | more,
        status_code=status,
        media_type=MEDIA_TYPE,
        headers=headers,
    )


def install(app: FastAPI) -> None:
    """Let every error that leaves the app be a problem."""

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> JSONResponse:
        detail = str(error.detail)
        if error.status_code == HTTPStatus.NOT_FOUND and detail == HTTPStatus.NOT_FOUND.phrase:
            detail = f"there is nothing at {request.url.path}; /docs lists what there is"
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            detail = f"{request.method} is not possible at {request.url.path}"
        return problem(request, error.status_code, detail, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        mistakes = [
            {"where": ".".join(str(part) for part in item["loc"]), "problem": item["msg"]} for item in error.errors()
        ]
        detail = "; ".join(f"{m['where']}: {m['problem']}" for m in mistakes)
        return problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=mistakes)

    @app.exception_handler(SQLAlchemyError)
    def _database(request: Request, error: SQLAlchemyError) -> JSONResponse:
        log.error("the database did not answer", path=request.url.path, problem=type(error).__name__)
        return problem(request, HTTPStatus.SERVICE_UNAVAILABLE, "the database can't be reached; /readyz says more")

    @app.exception_handler(StorageError)
    def _storage(request: Request, error: StorageError) -> JSONResponse:
        return problem(request, HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    @app.exception_handler(RaysightError)
    def _ours(request: Request, error: RaysightError) -> JSONResponse:
        return problem(request, HTTPStatus.BAD_REQUEST, str(error))

    @app.exception_handler(Exception)
    def _defect(request: Request, error: Exception) -> JSONResponse:
        # the last boundary: the client gets a problem, the log (by uvicorn, which is given the error) the rest
        log.error("a request failed", path=request.url.path, problem=type(error).__name__)
        return problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, "a defect of Raysight; its log has the details")


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Entries for a route's ``responses``: these statuses, each with a `Problem`."""
    return {status: {"model": Problem, "description": HTTPStatus(status).phrase} for status in statuses}


def mend_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """In an OpenAPI document, give the problems their media type (FastAPI notes the route's own)."""
    for path in schema["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                content = response.get("content", {})
                if int(status) >= HTTPStatus.BAD_REQUEST and len(content) == 1:
                    response["content"] = {MEDIA_TYPE: next(iter(content.values()))}
    return schema

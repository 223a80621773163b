"""The application: what is answered where."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi_offline import FastAPIOffline
from sqlalchemy import Engine

from dicom_node.blobs import BlobStore, LocalBlobStore
from service.api import problems
from service.api.health import health_router
from service.api.readings import readings_router
from service.api.studies import studies_router
from service.configuration import Configuration
from service.version import raysight_version

DESCRIPTION = """The imaging-AI node of a hospital: where each study stands, what was read, and where the results are.

Decision support for research and evaluation. A reading with state `read` and no findings says that there was no mark
above threshold; it does not exclude disease. A study that was *not read* says so, with its reason.

Times are UTC. Errors are problems after RFC 9457. No patient data is given out.
"""


def create_app(configuration: Configuration, engine: Engine, results: BlobStore | None = None) -> FastAPI:
    """The REST application.

    Parameters
    ----------
    engine
        The database.
    results
        Where results lie; the home's `results` folder when None.
    """
    # its documentation page comes from this process: a hospital's network reaches no public server
    app = FastAPIOffline(
        title="Raysight",
        version=raysight_version(),
        description=DESCRIPTION,
        redoc_url=None,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    problems.install(app)
    app.include_router(studies_router(configuration, engine))
    app.include_router(readings_router(configuration, engine, results or LocalBlobStore(configuration.home.results)))
    app.include_router(health_router(configuration, engine))

    def schema() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                license_info=app.license_info,
                routes=app.routes,
            )
            app.openapi_schema = problems.mend_schema(made)
        return app.openapi_schema

    app.openapi = schema  # type: ignore[method-assign]
    return app

"""The API process."""

from __future__ import annotations

import structlog
import uvicorn

from service.api.app import create_app
from service.configuration import Configuration
from service.database.engine import connect, upgrade
from service.roles import hold_role
from service.version import application_version

log = structlog.get_logger(__name__)


def run_api(configuration: Configuration) -> None:
    """Serve REST, health and metrics until SIGTERM or SIGINT.

    Raises
    ------
    UsageError
        Another process serves this home.
    ConfigurationError
        The database can't be opened.
    """
    settings = configuration.settings.api
    with hold_role(configuration.home.root, "api", application_version(dict(configuration.pipelines))):
        engine = connect(configuration.home.database_url)
        upgrade(engine)
        log.info("api listens", host=settings.host, port=settings.port)
        app = create_app(configuration, engine)
        try:
            uvicorn.run(app, host=settings.host, port=settings.port, log_config=None, access_log=False)
        finally:
            engine.dispose()

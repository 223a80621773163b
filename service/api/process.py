"""The API process."""

from __future__ import annotations

import socket

import structlog
import uvicorn

from imaging.errors import ConfigurationError
from service.api.app import create_app
from service.configuration import Configuration
from service.database.engine import connect, upgrade
from service.roles import hold_role
from service.version import application_version

log = structlog.get_logger(__name__)

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def run_api(configuration: Configuration) -> None:
    """Serve REST, health and metrics until SIGTERM or SIGINT.

    Raises
    ------
    UsageError
        Another process serves this home.
    ConfigurationError
        The database can't be opened, or the port is taken.
    """
    settings = configuration.settings.api
    with hold_role(configuration.home.root, "api", application_version(configuration.pipelines)):
        engine = connect(configuration.home.database_url)
        upgrade(engine)
        server = uvicorn.Server(uvicorn.Config(create_app(configuration, engine), log_config=None, access_log=False))
        try:
            with listen(settings.host, settings.port) as listening:
                if settings.host not in LOOPBACK:
                    log.warning("the API has no authentication and listens beyond this machine", host=settings.host)
                log.info("api listens", host=settings.host, port=listening.getsockname()[1])
                server.run(sockets=[listening])
        finally:
            engine.dispose()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one.

    Raises
    ------
    ConfigurationError
        The address isn't ours, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigurationError(f"api: can't listen on {host}:{port}: {error.strerror or error}") from None

"""What commands share: the configuration, the database, who types."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imaging.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from dicom_node.network.peers import RemoteAE
    from service.configuration import Configuration, Home
    from training.places import Places

Json = Annotated[bool, typer.Option("--json", help="For machines: JSON on standard output.")]
Who = Annotated[str | None, typer.Option("--who", help="Who decides; stands in the audit.", show_default="$USER")]
Note = Annotated[str, typer.Option(help="Why; stands in the audit.")]


def configuration() -> Configuration:
    """The validated configuration of `--config` and `--home`."""
    from service.configuration import load

    return load()


@contextmanager
def database(of: Configuration) -> Iterator[Engine]:
    """The home's database, as it is.

    Raises
    ------
    UsageError
        Nothing was ever stored in this home.
    ConfigurationError
        The database does not answer, or its tables aren't this version's.
    """
    if not has_database(of.home):
        raise UsageError(f"nothing was stored in {of.home.root} yet; start `raysight serve`, or give another --home")
    with open_database(of.home) as engine:
        yield engine


def has_database(home: Home) -> bool:
    """Whether anything was ever stored; of a server that is taken for granted."""
    from sqlalchemy.engine import make_url

    url = make_url(home.database_url)
    return url.get_backend_name() != "sqlite" or os.path.isfile(url.database or "")  # noqa: PTH113


@contextmanager
def open_database(home: Home) -> Iterator[Engine]:
    """The home's database, made if there is none; ConfigurationError as `database`."""
    from sqlalchemy.exc import SQLAlchemyError

    from service.database.engine import connect

    engine = connect(home.database_url)
    try:
        yield engine
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", None) or type(error).__name__).splitlines()[0]
        raise ConfigurationError(
            f"the database: {cause}; `raysight db upgrade` makes its tables this version's"
        ) from error
    finally:
        engine.dispose()


def short_logs() -> None:
    """Logs of a command that ends by itself: errors only, and none that its own message repeats."""
    import logging

    from service.logs import configure_logs

    given = os.environ.get("RAYSIGHT_LOG_LEVEL")
    configure_logs(level=given or "error")
    if not given:
        for handler in logging.getLogger().handlers:
            handler.addFilter(lambda record: not record.name.startswith("pynetdicom"))


def places() -> Places:
    """The folders of the training line. MLflow's is the checkout's `mlruns`, unless a home of its own was given."""
    from models.store import SHIPPED
    from service.configuration import home_folder
    from training.places import Places

    checkout = SHIPPED.parent / "mlruns"
    return Places(home_folder(), None if os.environ.get("RAYSIGHT_HOME") or not checkout.is_dir() else checkout)


def data_folder(given: Path | None) -> Path:
    """Where the training data lie: ``given``, else `$RAYSIGHT_TRAINING_DATA`; UsageError when neither says."""
    chosen = given or os.environ.get("RAYSIGHT_TRAINING_DATA")
    if not chosen:
        raise UsageError("where are the data? Give --data DIR, or set RAYSIGHT_TRAINING_DATA")
    return Path(chosen).expanduser().resolve()


def configuration_file(kind: str, name: str) -> Path:
    """`KIND/NAME.yaml` of the configuration folder, else the shipped one; UsageError when there is neither."""
    from service.configuration import SHIPPED

    folders = [Path(given)] if (given := os.environ.get("RAYSIGHT_CONFIG")) else []
    for folder in (*folders, SHIPPED):
        if (path := folder / kind / f"{name}.yaml").is_file():
            return path
    known = ", ".join(sorted({p.stem for f in (*folders, SHIPPED) for p in (f / kind).glob("*.yaml")})) or "none"
    raise UsageError(f"there is no {kind}/{name}.yaml in the configuration folder; known: {known}")


def who(given: str | None) -> str:
    """Who typed the command."""
    return given or os.environ.get("USER") or os.environ.get("LOGNAME") or f"uid {os.getuid()}"


def remote_ae(text: str) -> RemoteAE:
    """`AE@HOST:PORT` (IPv6 in brackets) as a peer; UsageError when it is none."""
    from dicom_node.network.peers import RemoteAE

    title, at, address = text.rpartition("@")
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (at and colon and title and host and port.isdigit()):
        raise UsageError(f"{text!r} is no peer; write AE@HOST:PORT, such as PACS@10.1.2.3:104")
    try:
        return RemoteAE(title, host, int(port))
    except ValueError as error:
        raise UsageError(f"{text!r} is no peer: {error}") from None

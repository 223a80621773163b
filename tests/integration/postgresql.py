"""A real PostgreSQL for tests: a cluster of its own in a folder of its own, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.orthanc import free_port


def binaries() -> Path | None:
    """The folder of the newest server that is installed."""
    if found := shutil.which("postgres"):
        return Path(found).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    return max((path.parent for path in versions), key=lambda folder: int(folder.parent.name), default=None)


ABSENT = "no PostgreSQL server is installed (Debian package postgresql)"


@contextmanager
def running_cluster() -> Iterator[str]:
    """The URL of a running server's database, as SQLAlchemy writes it (psycopg)."""
    folder = binaries()
    if folder is None:
        raise RuntimeError(ABSENT)
    # not below pytest's folder: that is for its own user only, and the server refuses to run as root
    root = Path(tempfile.mkdtemp(prefix="raysight-postgresql-"))
    try:
        user = _server_user()
        if user is not None:
            os.chown(root, user.pw_uid, user.pw_gid)
        data, port = root / "data", free_port()
        _run(user, folder / "initdb", "--pgdata", data, "--auth", "trust", "--username", "raysight", "--no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        control = (folder / "pg_ctl", "--pgdata", data, "--log", root / "log", "--wait")
        _run(user, *control, "--options", options, "start")
        try:
            yield f"postgresql+psycopg://raysight@127.0.0.1:{port}/postgres"
        finally:
            _run(user, *control, "--mode", "immediate", "stop")
    finally:
        shutil.rmtree(root)


def _server_user() -> pwd.struct_passwd | None:
    """Whom the server runs as when we are root; None: as we are."""
    return pwd.getpwnam("postgres") if os.geteuid() == 0 else None


def _run(user: pwd.struct_passwd | None, *command: object) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        user=user.pw_uid if user else None,
        group=user.pw_gid if user else None,
        extra_groups=[] if user else None,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]}: {done.stdout}")

"""The receiver: the storage SCP in a process of its own, so that indexing and delivery never hold up a sender.

It writes files and the receive log, nothing else. The node starts it, tells it all that it needs, and starts it again
when it ends; it ends with the node. On its standard output it says where it listens and then, whenever that changes,
which AE titles have associations open; once the pipe is closed, nobody has. On its standard input it is told what to
fetch from an archive, and says what came of it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any, cast

import structlog

from dicom_node.blobs import LocalBlobStore
from dicom_node.network.peers import Limits, Peer, RemoteAE
from dicom_node.network.retrieve import Wanted
from dicom_node.network.scp import StoreSCP
from dicom_node.spool.log import ReceiveLog
from imaging.errors import StorageError, UsageError
from service.node.retrieval import Orders, RetrieveAnswer, RetrieveOrder, Service, carry_out
from service.roles import RECEIVER, Restarts, die_with_parent, hold_role

log = structlog.get_logger(__name__)

START_SECONDS = 60.0
STOP_SECONDS = 10.0
LOOK_SECONDS = 0.05
FIRST_RESTART_SECONDS = 0.1


@dataclass(frozen=True)
class Task:
    """All that a receiver is told.

    Parameters
    ----------
    home
        Where its role is held.
    version
        As of the node that started it.
    peers
        AE title and addresses of each.
    """

    home: str
    spool: str
    log: str
    version: str
    ae_title: str
    host: str
    port: int
    peers: tuple[tuple[str, tuple[str, ...]], ...]
    limits: Limits


class Receiver:
    """The node's side: keeps the process running, and knows what it said last."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._process: subprocess.Popen[bytes] | None = None
        self._port: int | None = None
        self._problem = ""
        self._associations: Mapping[str, int] = {}
        self._listening_since: datetime | None = None
        self._left_at: dict[str, datetime] = {}
        self._orders = Orders(self._tell)
        self._settled = threading.Event()
        self._stopping = threading.Event()
        # the kernel ends a receiver with the thread that started it: this one lives as long as the node
        self._keeper = threading.Thread(target=self._keep, name=RECEIVER, daemon=True)

    def start(self) -> int:
        """Start it and wait until it listens; its port.

        Raises
        ------
        StorageError
            It can't listen, and why; or it doesn't say.
        """
        self._keeper.start()
        self._settled.wait(START_SECONDS)
        if self._port is None:
            self.stop()
            raise StorageError(self._problem or "the receiver doesn't start; its log says why")
        return self._port

    def stop(self) -> None:
        """End it, with the associations that are open. Whatever it acknowledged is safe."""
        self._stopping.set()
        if (process := self._process) is not None:
            _end_input(process)
        self._keeper.join(STOP_SECONDS)
        if self._keeper.is_alive() and (process := self._process) is not None:
            process.kill()
            self._keeper.join()

    def silent_since(self, calling_ae: str) -> datetime | None:
        """Since when an AE title could have sent and was not connected; None while the receiver doesn't listen."""
        since = self._listening_since
        return None if since is None else max(since, self._left_at.get(calling_ae, since))

    def open_associations(self, calling_ae: str) -> int:
        """How many associations an AE title has open; none when the receiver doesn't run."""
        return self._associations.get(calling_ae, 0)

    def retrieve(self, archive: RemoteAE, service: Service, wanted: Wanted) -> int:
        """Have series fetched into the spool, as `Orders.retrieve`."""
        return self._orders.retrieve(archive, service, wanted)

    def _tell(self, line: bytes) -> None:
        process = self._process
        if process is None or process.stdin is None:
            raise BrokenPipeError
        process.stdin.write(line)
        process.stdin.flush()

    def _keep(self) -> None:
        """Start it again whenever it ends: at once, and ever later when that happens again and again."""
        command = [sys.executable, "-m", "service.node.receiver", json.dumps(asdict(self._task))]
        restarts = Restarts(FIRST_RESTART_SECONDS)
        while not self._stopping.is_set():
            restarts.started()
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603
                self._process = process
                if self._stopping.is_set():
                    _end_input(process)
                self._listen(cast(IO[bytes], process.stdout))
            self._orders.give_up("the receiver ended")
            self._associations = {}
            self._listening_since = None
            self._settled.set()
            if not self._stopping.is_set():
                delay = restarts.delay()
                log.error("receiver ended", exit_code=process.returncode, again_in_seconds=delay)
                self._stopping.wait(delay)

    def _listen(self, lines: IO[bytes]) -> None:
        for line in lines:
            try:
                said: dict[str, Any] = json.loads(line)
            except ValueError:
                continue  # it was killed in the middle of a line
            if "retrieved" in said:
                self._orders.answered(RetrieveAnswer(**said["retrieved"]))
                continue
            now = said.get("associations", {})
            for left in self._associations.keys() - now.keys():
                self._left_at[left] = datetime.now(UTC)
            self._associations = now
            self._problem = said.get("problem", "")
            if "port" in said:
                self._port = said["port"]
                self._listening_since = datetime.now(UTC)
                self._settled.set()


def _end_input(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()


def run(task: Task) -> int:
    """The receiver's side: receive until standard input ends; the exit code."""
    from service.logs import configure_logs  # noqa: PLC0415
    from service.metrics import on_event  # noqa: PLC0415

    configure_logs(role=RECEIVER)
    die_with_parent()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # sent to the whole group they are the node's to answer
    try:
        with hold_role(Path(task.home), RECEIVER, task.version):
            receive_log = ReceiveLog(Path(task.log))
            scp = StoreSCP(
                task.ae_title,
                task.host,
                task.port,
                tuple(Peer(title, tuple(addresses)) for title, addresses in task.peers),
                task.limits,
                LocalBlobStore(Path(task.spool)),
                receive_log,
                on_event,
            )
            scp.start()
            _say(port=scp.address[1])
            _report(scp)
            scp.stop()
            receive_log.close()
    except (StorageError, UsageError) as error:
        _say(problem=str(error))
        return 1
    return 0


def _report(scp: StoreSCP) -> None:
    """Say which associations are open, and fetch what is asked for, until standard input ends."""
    known: Mapping[str, int] = {}
    asked = b""
    answers = SimpleQueue[RetrieveAnswer]()
    while True:
        if select.select([sys.stdin], [], [], LOOK_SECONDS)[0]:
            came = os.read(sys.stdin.fileno(), 1 << 16)
            if not came:
                return
            *lines, asked = (asked + came).split(b"\n")
            for line in lines:
                order = RetrieveOrder.from_json(json.loads(line))
                fetch = threading.Thread(target=lambda o=order: answers.put(carry_out(o, scp)), daemon=True)
                fetch.start()
        while not answers.empty():
            _say(retrieved=asdict(answers.get()))
        now = scp.associations()
        if now != known:
            _say(associations=now)
            known = now


def _say(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    sys.exit(run(Task(**told | {"limits": Limits(**told["limits"])})))

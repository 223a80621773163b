"""One measurement: a fresh server, N senders, the wall clock and the processor time of the server's process tree."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ingest.images import Image
from benchmarks.ingest.sender import Sent, send
from benchmarks.ingest.servers import Server, running

SETTLE_SECONDS = 120
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Measurement:
    """What one server did with one load.

    Parameters
    ----------
    pinned
        Server on one core, senders on another; else both anywhere.
    seconds
        From the first byte of the first sender to the last response of the last.
    answer_cpu_seconds
        Processor time of the server's processes in that time.
    server_cpu_seconds
        The same, until the work that follows the answers (our index) is done.
    sender_cpu_seconds
        Processor time of the senders, which is in none of the above.
    """

    server: str
    senders: int
    pinned: bool
    images: int
    seconds: float
    answer_cpu_seconds: float
    server_cpu_seconds: float
    sender_cpu_seconds: float

    @property
    def rate(self) -> float:
        """Images per second of wall time."""
        return self.images / self.seconds

    @property
    def cpu_rate(self) -> float:
        """Images per second of the server's processor time, of which the kernel's tick is the smallest part."""
        return self.images / max(self.server_cpu_seconds, 1 / _TICK)


def measure(server: Server, studies: Sequence[Sequence[Image]], folder: Path, *, pinned: bool) -> Measurement:
    """Start ``server`` on an empty ``folder`` and send it the studies at once, one association each."""
    os.sync()  # what the one before left unwritten is not this one's to wait for
    first, last = (min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))) if pinned else (None, None)
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(len(studies) + 1)
    with running(server, folder, first) as peer:
        pipes, processes = [], []
        for study in studies:
            receiver, answer = context.Pipe(duplex=False)
            process = context.Process(target=send, args=(study, (server.ae_title, peer.port), last, gate, answer))
            process.start()
            answer.close()  # the sender's end is its own: if it dies, `recv` says so
            pipes.append(receiver)
            processes.append(process)
        gate.wait(60)
        before = tree_cpu_seconds(peer.pid)
        gate.wait(60)
        sent: list[Sent] = [pipe.recv() for pipe in pipes]
        # associations are still open, so a process that was forked for one still counts
        answered = tree_cpu_seconds(peer.pid) - before
        images = sum(len(study) for study in studies)
        deadline = time.monotonic() + SETTLE_SECONDS
        while not server.settled(peer.folder, images):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{server.name} didn't finish what it does in the background")
            time.sleep(0.05)
        settled = tree_cpu_seconds(peer.pid) - before
        gate.wait(60)
        for process in processes:
            process.join()
    return Measurement(
        server=server.name,
        senders=len(studies),
        pinned=pinned,
        images=images,
        seconds=max(s.ended for s in sent) - min(s.began for s in sent),
        answer_cpu_seconds=answered,
        server_cpu_seconds=settled,
        sender_cpu_seconds=sum(s.cpu_seconds for s in sent),
    )


def tree_cpu_seconds(pid: int) -> float:
    """User and system time of a process and all its descendants, the ended ones that were waited for included."""
    ticks, parents = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile
            number = int(folder.name)
            parents[number], ticks[number] = int(fields[1]), sum(map(int, fields[11:15]))
    tree = {pid}
    while more := {child for child, parent in parents.items() if parent in tree} - tree:
        tree |= more
    return sum(ticks[number] for number in tree if number in ticks) / _TICK

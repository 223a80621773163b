"""What strace sees: nothing is acknowledged before it is on disk, in this order and for every image.

write < fsync(file) < rename < fsync(folder) < write and fsync of the log line < C-STORE-RSP
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dicom_node.network.peers import RemoteAE
from dicom_node.network.store import send_files

CALLS = "write,pwrite64,writev,fsync,fdatasync,rename,renameat,renameat2,sendto,sendmsg"
SERVER = """
import sys
from pathlib import Path
from dicom_node.blobs import LocalBlobStore
from dicom_node.network.peers import Limits, Peer
from dicom_node.network.scp import StoreSCP
from dicom_node.spool.log import ReceiveLog
home = Path(sys.argv[1])
peers = [Peer("MODALITY", ("127.0.0.1",))]
blobs, log = LocalBlobStore(home / "spool"), ReceiveLog(home / "log")
scp = StoreSCP("RAYSIGHT", "127.0.0.1", 0, peers, Limits(free_bytes=0), blobs, log)
scp.start()
print("port", scp.address[1], flush=True)
sys.stdin.read()
scp.stop()
"""


@dataclass(frozen=True)
class Call:
    """A system call: when it began and ended (line numbers), its name and arguments."""

    began: int
    ended: int
    name: str
    text: str


@pytest.fixture
def traced(tmp_path: Path, repo_root: Path) -> Iterator[tuple[int, Callable[[], list[Call]]]]:
    """A node under strace: its port, and a function that stops it and returns what it called."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    probe = subprocess.run(["strace", "-f", "-e", "trace=fsync", "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("ptrace is not permitted here")
    trace = tmp_path / "trace"
    strace = ["strace", "-f", "-y", "-s", "16", "-e", f"trace={CALLS}", "-o", trace]
    server = subprocess.Popen(
        [*strace, sys.executable, "-c", SERVER, tmp_path / "home"],
        cwd=repo_root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None

    def stop() -> list[Call]:
        server.communicate(timeout=60)
        return parse(trace.read_text())

    try:
        ports = (int(line.split()[1]) for line in server.stdout if line.startswith("port "))
        yield next(ports), stop
    finally:
        if server.poll() is None:
            server.send_signal(signal.SIGKILL)
            server.wait()
        server.stdin.close()
        server.stdout.close()


def parse(trace: str) -> list[Call]:
    """The calls of a trace of all threads, unfinished ones joined with their ends."""
    calls, unfinished = [], {}
    for number, line in enumerate(trace.splitlines()):
        thread, _, text = line.partition(" ")
        text = text.strip()
        if "<unfinished" in text:
            unfinished[thread] = (number, text.partition("<unfinished")[0])
        elif match := re.match(r"<\.\.\. \w+ resumed>", text):
            began, start = unfinished.pop(thread)
            calls.append(Call(began, number, start.partition("(")[0], start + text[match.end() :]))
        elif "(" in text:
            calls.append(Call(number, number, text.partition("(")[0], text))
    return sorted(calls, key=lambda call: call.began)


def test_nothing_is_acknowledged_before_it_is_on_disk(
    traced: tuple[int, Callable[[], list[Call]]], make_file: Callable[..., Path]
) -> None:
    port, stop = traced
    paths = [make_file(PixelData=bytes(300_000)) for _ in range(5)]
    outcomes = send_files(RemoteAE("RAYSIGHT", "127.0.0.1", port), "MODALITY", paths)
    assert [outcome.status for outcome in outcomes] == [0x0000] * 5
    calls = stop()

    def find(what: str, pattern: str, after: int = -1) -> Call:
        for call in calls:
            if call.began > after and re.search(pattern, call.text):
                return call
        raise AssertionError(f"no {what} after line {after}")

    previous = -1
    for outcome in outcomes:
        rename = find("rename", rf"^rename\w*\(.*{re.escape(outcome.sop_instance_uid)}-")
        part, final = re.findall(r'"([^"]+)"', rename.text.replace('"...', '"')) or ("", "")
        writes = [call for call in calls if call.name in ("write", "pwrite64", "writev") and f"<{part}>" in call.text]
        assert writes, "the image's bytes were written to the file that was renamed"
        file_synced = find("fsync of the file", rf"^f(data)?sync\(\d+<{re.escape(part)}>\)", writes[-1].ended)
        assert previous < writes[0].began
        assert max(call.ended for call in writes) < file_synced.began
        assert file_synced.ended < rename.began
        folder = str(Path(final).parent)
        folder_synced = find("fsync of the folder", rf"^f(data)?sync\(\d+<{re.escape(folder)}>\)", rename.ended)
        logged = find("log line", r"^write\(\d+<[^>]*receive-\d+\.jsonl>", folder_synced.ended)
        log_synced = find("fsync of the log", r"^f(data)?sync\(\d+<[^>]*receive-\d+\.jsonl>\)", logged.ended)
        answer = find("C-STORE-RSP", r"^send(to|msg)\(\d+<[^>]*>, .*\\4\\0", writes[-1].ended)
        assert log_synced.ended < answer.began
        previous = answer.ended

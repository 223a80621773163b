"""What the disk alone takes for one image's three fsyncs: no sender that waits for answers is served faster."""

from __future__ import annotations

import os
import time
from pathlib import Path
from statistics import median

IMAGE = bytes(525_000)
LINE = bytes(600)


def sync_seconds(folder: Path, images: int = 50) -> float:
    """Median seconds that the fsyncs of file, folder and log line take in ``folder``, written as the node writes."""
    spool = folder / "disk"
    spool.mkdir()
    place = os.open(spool, os.O_RDONLY | os.O_DIRECTORY)
    log = os.open(spool / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    taken = []
    for number in range(images):
        file = os.open(spool / f"{number}.part", os.O_WRONLY | os.O_CREAT)
        os.write(file, IMAGE)
        began = time.perf_counter()
        os.fsync(file)
        (spool / f"{number}.part").rename(spool / f"{number}.dcm")
        os.fsync(place)
        os.write(log, LINE)
        os.fsync(log)
        taken.append(time.perf_counter() - began)
        os.close(file)
    for handle in (place, log):
        os.close(handle)
    for path in spool.iterdir():
        path.unlink()
    spool.rmdir()
    return median(taken)

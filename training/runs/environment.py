"""What a run was computed with: source revision, versions, device. In words, for the record."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from models.store import SHIPPED

DISTRIBUTIONS = ("raysight", "torch", "monai", "numpy", "SimpleITK", "scipy")


def revision() -> str:
    """Commit of the source, with +changes where files differ from it; empty where git doesn't know."""
    git = shutil.which("git")
    if git is None:
        return ""

    def ask(*arguments: str) -> str | None:
        answer = subprocess.run(  # noqa: S603  (git itself, fixed arguments)
            [git, *arguments], cwd=SHIPPED.parent, capture_output=True, text=True, check=False
        )
        return answer.stdout.strip() if answer.returncode == 0 else None

    commit = ask("rev-parse", "HEAD")
    if not commit:
        return ""
    return f"{commit}+changes" if ask("status", "--porcelain") else commit


def versions() -> dict[str, str]:
    """Python, the libraries that compute, and the machine."""
    found = {"python": platform.python_version(), "machine": machine()}
    for name in DISTRIBUTIONS:
        try:
            found[name.lower()] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> str:
    """System, processor and cores, such as ``Linux x86_64, AMD EPYC 9B14, 2 cores``; no host's name."""
    cpu = platform.processor() or "unknown processor"
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), cpu)
    return f"{platform.system()} {platform.machine()}, {cpu}, {cores()} cores"


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

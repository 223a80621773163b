"""One Raysight between archives, for all tests that need no other settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dicom_node.network.store import send_files
from tests.integration.orthanc import Orthanc, free_port
from tests.integration.raysight import Raysight, deliver_to, switch

QUIET_SECONDS = 3.0
FORWARD_WHAT_COMES = "function OnStoredInstance(id) SendToModality(id, 'raysight') end"


@dataclass(frozen=True)
class Loop:
    """Raysight and its neighbours.

    Parameters
    ----------
    pacs
        Sends, and gets results: confirmed by storage commitment.
    mirror
        Gets results: not asked for commitment, so confirmed by query.
    slow
        Forwards to Raysight each instance that it gets (see ``FORWARD_WHAT_COMES``); gets nothing.
    """

    raysight: Raysight
    pacs: Orthanc
    mirror: Orthanc
    slow: Orthanc

    def send(self, files: Sequence[Path], ae_title: str = "MODALITY") -> None:
        """C-STORE files over one association, from a peer that can't be asked."""
        outcomes = send_files(self.raysight.remote, ae_title, list(files))
        assert all(outcome.status == 0 for outcome in outcomes), outcomes


def make_loop(folder: Path) -> Loop:
    """The loop, nothing of it started."""
    script = folder / "forward.lua"
    script.write_text(FORWARD_WHAT_COMES)
    pacs, mirror = Orthanc(folder / "pacs"), Orthanc(folder / "mirror", ae_title="MIRROR")
    # Orthanc would keep its association open for five seconds after each instance, which tells us that more may come
    forwarding = {"LuaScripts": [str(script)], "DicomAssociationCloseDelay": 0}
    slow = Orthanc(folder / "slow", forwarding, ae_title="SLOW")
    askable = [{"ae_title": o.ae_title, "host": o.host, "port": o.dicom_port} for o in (pacs, slow)]
    held = {"name": "held", "ae_title": "HELD", "host": "127.0.0.1", "port": free_port()}
    raysight = Raysight(
        folder / "raysight",
        settings={
            "sources": [*askable, {"ae_title": "PATIENT", "quiet_seconds": 3600}],
            "completeness": {"quiet_seconds": QUIET_SECONDS, "count_interval_seconds": 0.5},
            "destinations": [
                deliver_to("pacs", pacs.ae_title, pacs.dicom_port),
                deliver_to("mirror", mirror.ae_title, mirror.dicom_port, commitment=False),
                held | {"pipelines": {"lung_nodule": switch("hold")}},
            ],
        },
    )
    for archive in (pacs, slow):
        archive.know("raysight", raysight.ae_title, raysight.port)
    return Loop(raysight, pacs, mirror, slow)

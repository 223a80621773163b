"""What the node tells its receiver to fetch, and what that answers: the receiver alone writes spool and log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import structlog

from dicom_node.network.peers import RemoteAE
from dicom_node.network.retrieve import Wanted, get_series, move_series
from dicom_node.network.scp import StoreSCP
from imaging.errors import PeerError, StorageError

log = structlog.get_logger(__name__)

Service = Literal["get", "move"]


@dataclass(frozen=True)
class RetrieveOrder:
    """Series to be fetched.

    Parameters
    ----------
    number
        Names the order in its answer.
    """

    number: int
    archive: RemoteAE
    service: Service
    wanted: Wanted

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RetrieveOrder:
        """What `to_json` made."""
        wanted = Wanted(
            **values["wanted"] | {"series_instance_uids": tuple(values["wanted"]["series_instance_uids"])}
        )
        return cls(values["number"], RemoteAE(**values["archive"]), values["service"], wanted)


@dataclass(frozen=True)
class RetrieveAnswer:
    """What came of an order: the number of instances, and why they are not all; empty when they are."""

    number: int
    instances: int
    problem: str = ""


def carry_out(order: RetrieveOrder, scp: StoreSCP) -> RetrieveAnswer:
    """Fetch; this is the receiver's side."""
    archive, wanted = order.archive, order.wanted
    try:
        if order.service == "get":
            came = get_series(archive, scp.keeper, wanted)
        else:
            came = move_series(archive, scp.ae_title, scp.expecting, wanted)
    except (PeerError, StorageError) as error:
        log.warning("series not fetched", study=wanted.study_instance_uid, archive=str(archive), problem=str(error))
        return RetrieveAnswer(order.number, 0, str(error))
    except Exception as error:  # a thread of its own: whoever waits is told, and the receiver goes on
        log.exception("series not fetched", study=wanted.study_instance_uid, archive=str(archive))
        return RetrieveAnswer(order.number, 0, f"a defect of the software ({type(error).__name__}); see the log")
    return RetrieveAnswer(order.number, came)

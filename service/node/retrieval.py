"""What the node tells its receiver to fetch, and what that answers: the receiver alone writes spool and log."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import Any, Literal

import structlog

from dicom_node.network.peers import RemoteAE
from dicom_node.network.retrieve import Wanted, get_series, move_series
from dicom_node.network.scp import StoreSCP
from imaging.errors import PeerError, StorageError

log = structlog.get_logger(__name__)

Service = Literal["get", "move"]
ANSWER_SECONDS = 15.0  # the receiver keeps to the time that it is given, but for connecting and leaving


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


class Orders:
    """The node's side: orders that are out, each with somebody who waits for its answer.

    Parameters
    ----------
    tell
        Gives the receiver a line; OSError or ValueError when it can't be told.
    """

    def __init__(self, tell: Callable[[bytes], None]) -> None:
        self._tell = tell
        self._telling = threading.Lock()
        self._numbers = itertools.count()
        self._waiting: dict[int, Future[RetrieveAnswer]] = {}

    def retrieve(self, archive: RemoteAE, service: Service, wanted: Wanted) -> int:
        """Have series fetched, and wait for it; the number of instances that came.

        Raises
        ------
        PeerError
            Why they did not all come.
        """
        order = RetrieveOrder(next(self._numbers), archive, service, wanted)
        answer = self._waiting[order.number] = Future[RetrieveAnswer]()
        try:
            with self._telling:
                self._tell(json.dumps(order.to_json()).encode() + b"\n")
            got = answer.result(wanted.seconds + ANSWER_SECONDS)
        except TimeoutError:
            raise PeerError(f"{archive} was too slow") from None
        except (OSError, ValueError):  # ValueError: the pipe is closed
            raise PeerError("the receiver does not run") from None
        finally:
            del self._waiting[order.number]
        if got.problem:
            raise PeerError(got.problem)
        return got.instances

    def answered(self, answer: RetrieveAnswer) -> None:
        """The receiver said so."""
        waits = self._waiting.get(answer.number)
        if waits is not None and not waits.done():
            waits.set_result(answer)

    def give_up(self, why: str) -> None:
        """No answer will come to what is out now."""
        for number in list(self._waiting):
            self.answered(RetrieveAnswer(number, 0, why))


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

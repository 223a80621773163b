"""Orders to the receiver: answered, given up, or said to be impossible; never waited for longer than agreed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import pytest

from dicom_node.network.peers import RemoteAE
from dicom_node.network.retrieve import Wanted
from imaging.errors import PeerError
from service.node import retrieval
from service.node.retrieval import Orders, RetrieveAnswer, RetrieveOrder

PACS = RemoteAE("PACS", "127.0.0.1", 104)
WANTED = Wanted("1.2", ("1.2.3", "1.2.4"), "CT", 100, 1 << 20, 5.0)


def orders_answered_by(answer: Callable[[Orders, RetrieveOrder], None]) -> Orders:
    """A receiver that answers from a thread of its own."""

    def tell(line: bytes) -> None:
        order = RetrieveOrder.from_json(json.loads(line))
        threading.Thread(target=answer, args=(orders, order)).start()

    orders = Orders(tell)
    return orders


def test_an_order_arrives_as_it_was_given() -> None:
    seen: list[RetrieveOrder] = []

    def answer(orders: Orders, order: RetrieveOrder) -> None:
        seen.append(order)
        orders.answered(RetrieveAnswer(order.number + 1, 7))  # of nobody here
        orders.answered(RetrieveAnswer(order.number, 42))

    orders = orders_answered_by(answer)
    assert [orders.retrieve(PACS, "move", WANTED) for _ in range(2)] == [42, 42]
    assert seen == [RetrieveOrder(number, PACS, "move", WANTED) for number in (0, 1)]


def test_what_was_in_the_way_is_told() -> None:
    refusing = orders_answered_by(lambda o, order: o.answered(RetrieveAnswer(order.number, 3, "PACS said no")))
    with pytest.raises(PeerError, match="PACS said no"):
        refusing.retrieve(PACS, "get", WANTED)


def test_a_receiver_that_ends_is_not_waited_for() -> None:
    dying = orders_answered_by(lambda o, _order: o.give_up("the receiver ended"))
    with pytest.raises(PeerError, match="the receiver ended"):
        dying.retrieve(PACS, "get", WANTED)


def test_a_receiver_that_is_not_there() -> None:
    def tell(line: bytes) -> None:
        raise BrokenPipeError

    with pytest.raises(PeerError, match="does not run"):
        Orders(tell).retrieve(PACS, "get", WANTED)


def test_no_answer_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "ANSWER_SECONDS", -4.9)
    with pytest.raises(PeerError, match="was too slow"):
        Orders(lambda line: None).retrieve(PACS, "get", WANTED)

"""Chance that follows from seed and place. No torch."""

from __future__ import annotations

from collections import Counter

from training.runs.order import Order, Samples


class Drawn:
    """A task whose sample is what was drawn."""

    def sample(self, item: str, chance: object) -> object:
        return item, chance.integers(0, 2**62, 4).tolist()  # type: ignore[attr-defined]


def test_an_epoch_has_every_item_once_and_another_order_each_time() -> None:
    order = Order(seed=1, items=7, samples=7, batch=3)
    first, second = order.epoch(0), order.epoch(1)
    assert [len(step) for step in first] == [3, 3, 1] and order.steps == 3
    items = [[item for step in epoch for _, _, item in step] for epoch in (first, second)]
    assert sorted(items[0]) == sorted(items[1]) == list(range(7)) and items[0] != items[1]
    assert order.epoch(0) == first
    assert Order(seed=2, items=7, samples=7, batch=3).epoch(0) != first


def test_items_come_equally_often_where_an_epoch_has_more_samples() -> None:
    keys = [key for step in Order(seed=1, items=4, samples=10, batch=2).epoch(0) for key in step]
    assert set(Counter(item for _, _, item in keys).values()) == {2, 3}
    assert [place for _, place, _ in keys] == list(range(10))


def test_what_is_left_of_a_run_is_the_end_of_the_whole() -> None:
    order = Order(seed=3, items=5, samples=5, batch=2)
    whole = list(order.after(0, 0, 4))
    assert len(whole) == 12
    assert list(order.after(2, 1, 4)) == whole[7:]
    assert list(order.after(4, 0, 4)) == []


def test_a_sample_depends_on_seed_epoch_and_place_alone() -> None:
    samples = Samples(Drawn(), ["a", "b"], seed=1)  # type: ignore[arg-type]
    again = Samples(Drawn(), ["a", "b"], seed=1)  # type: ignore[arg-type]
    keys = [(0, 0, 0), (0, 1, 0), (1, 0, 0), (0, 0, 1)]
    drawn = [samples[key] for key in keys]
    assert [again[key] for key in reversed(keys)] == drawn[::-1]
    assert len({str(d) for d in drawn}) == 4
    assert Samples(Drawn(), ["a"], seed=2)[0, 0, 0] != drawn[0]  # type: ignore[arg-type]

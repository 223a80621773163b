"""The loop: the same weights for the same seed, also after SIGKILL; what stops it is told in a line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import SimpleITK as sitk  # noqa: N813

torch = pytest.importorskip("torch", reason="torch is not installed (the extra train)")
pytest.importorskip("monai", reason="torch is not installed (the extra train)")

from imaging.errors import CohortError, TrainingError, UsageError  # noqa: E402
from training.cohort import Cohort  # noqa: E402
from training.runs.device import choose_device  # noqa: E402
from training.runs.folder import RunFolder  # noqa: E402
from training.runs.record import RunRecord  # noqa: E402
from training.runs.tracker import Moment, Tell  # noqa: E402
from training.runs.train import train  # noqa: E402
from training.tasks.build import task_of  # noqa: E402

Start = Callable[..., RunFolder]
CPU = torch.device("cpu")


def finish(run: RunFolder, data: Path, **options: Any) -> RunRecord:
    return train(run, options.pop("task", None) or task_of(run), data, device=CPU, **options)


def curve(run: RunFolder) -> list[dict[str, float]]:
    """The epochs without their durations."""
    return [{name: value for name, value in epoch.items() if name != "seconds"} for epoch in run.epochs()]


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(start: Start, data: Path) -> None:
    runs = [start(), start(), start(seed=6)]
    torch.rand(3)  # what was drawn before doesn't matter
    first, second, third = (finish(run, data) for run in runs)
    assert first.weights_sha256 == second.weights_sha256 != third.weights_sha256
    assert curve(runs[0]) == curve(runs[1])
    assert (first.state, first.epochs) == ("done", 3)
    assert first.best_score == max(epoch["score"] for epoch in curve(runs[0]))
    assert {p.name for p in runs[0].pictures.iterdir()} == {"best.png", "median.png", "worst.png"}
    assert not runs[0].checkpoint.exists()


def test_samples_prepared_in_other_processes_are_the_same(start: Start, data: Path) -> None:
    assert finish(start(), data).weights_sha256 == finish(start(workers=2), data).weights_sha256


CHILD = """
import os, signal, sys
from pathlib import Path
import torch
from training.runs.folder import RunFolder
from training.runs.train import train
from training.tasks.build import task_of

run, data, epoch, steps = RunFolder(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
seen = 0

def tell(moment):
    global seen
    seen += moment.what == "training" and moment.epoch == epoch
    if seen == steps:
        os.kill(os.getpid(), signal.SIGKILL)

train(run, task_of(run), data, device=torch.device("cpu"), tell=tell)
"""


@pytest.mark.parametrize("every", [0.0, 3600.0], ids=["saved within epochs", "saved at epochs' ends"])
def test_killed_in_mid_epoch_and_resumed_gives_the_same_weights(
    start: Start, data: Path, repo_root: Path, every: float
) -> None:
    whole, cut = start(checkpoint_seconds=every), start(checkpoint_seconds=every)
    expected = finish(whole, data)
    for epoch, steps in ((1, 2), (2, 2)):
        child = subprocess.run(
            [sys.executable, "-c", CHILD, str(cut.path), str(data), str(epoch), str(steps)],
            cwd=repo_root,
            check=False,
            capture_output=True,
            text=True,
        )
        assert child.returncode == -signal.SIGKILL, child.stderr
    assert cut.record.state == "running" and len(curve(cut)) == 1
    assert cut.checkpoint.is_file()
    assert finish(cut, data).weights_sha256 == expected.weights_sha256
    assert curve(cut) == curve(whole)


def test_a_finished_run_isnt_trained_again(start: Start, data: Path) -> None:
    run = start(epochs=1)
    record = finish(run, data)
    moments: list[Moment] = []
    assert finish(run, data, tell=moments.append) == record and not moments


class Needy:
    """A task whose network runs out of memory on more than ``most`` samples, as torch tells it."""

    def __init__(self, task: Any, most: int, error: BaseException) -> None:
        self._task, self._most, self._error = task, most, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def network(self, seed: int) -> Any:
        def refuse(_module: object, inputs: tuple[Any, ...]) -> None:
            if len(inputs[0]) > self._most:
                raise self._error

        network = self._task.network(seed)
        network.register_forward_pre_hook(refuse)
        return network


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
    ],
    ids=["CUDA", "CPU", "Python"],
)
def test_out_of_memory_is_answered_with_the_batch_that_fits(start: Start, data: Path, error: BaseException) -> None:
    run = start(batch_size=6)
    with pytest.raises(TrainingError, match=r"a batch of 6 doesn't fit .* 1 does: set batch_size: 1"):
        finish(run, data, task=Needy(task_of(run), 2, error))
    assert run.record.state == "failed"


def test_the_batch_that_was_named_fits(start: Start, data: Path) -> None:
    error = torch.OutOfMemoryError("CUDA out of memory")
    run = start(batch_size=4)
    with pytest.raises(TrainingError, match="2 do: set batch_size: 2"):
        finish(run, data, task=Needy(task_of(run), 2, error))
    smaller = start(batch_size=2, epochs=1)
    assert finish(smaller, data, task=Needy(task_of(smaller), 2, error)).state == "done"


def test_where_not_even_one_fits_the_patch_is_named(start: Start, data: Path) -> None:
    run = start()
    with pytest.raises(TrainingError, match="not even one sample fits"):
        finish(run, data, task=Needy(task_of(run), 0, torch.OutOfMemoryError("CUDA out of memory")))


def test_another_error_of_torch_isnt_taken_for_memory(start: Start, data: Path) -> None:
    run = start()
    with pytest.raises(RuntimeError, match="shapes"):
        finish(run, data, task=Needy(task_of(run), 0, RuntimeError("the shapes don't match")))


def test_a_loss_that_is_no_number_ends_the_run(start: Start, data: Path) -> None:
    run = start(optimiser={"learning_rate": 1e20})
    with pytest.raises(TrainingError, match=r"lower optimiser\.learning_rate"):
        finish(run, data)
    assert run.record.state == "failed"


def test_patience_ends_a_run_early(start: Start, data: Path) -> None:
    run = start(epochs=50, patience=2, average=0.0, optimiser={"learning_rate": 1e-12})
    record = finish(run, data)
    assert record.best_epoch is not None and record.epochs == record.best_epoch + 2 < 50


def test_an_altered_file_is_refused(start: Start, data: Path) -> None:
    run = start()
    first = next(m for m in run.cohort.members if m.split == "train")
    path = data / first.files[1].path
    image = sitk.ReadImage(str(path))
    sitk.WriteImage(sitk.Cast(image * 0, sitk.sitkUInt8), str(path))
    with pytest.raises(CohortError, match=f"{first.case}: a file was changed"):
        finish(run, data)


def test_a_checkpoint_of_another_network_is_told_in_a_line(start: Start, data: Path) -> None:
    run = start()
    torch.save({"position": {}, "learner": {"network": {}}}, run.checkpoint)
    with pytest.raises(UsageError, match="doesn't fit this run") as error:
        finish(run, data)
    assert "\n" not in str(error.value)


class Book:
    """A tracker that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.curve: dict[int, Mapping[str, float]] = {}

    def begin(self, record: RunRecord, cohort: Cohort) -> None:
        self.told.append(f"begin {record.state} {cohort.name}")

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        self.curve[number] = metrics

    def pictures(self, folder: Path) -> None:
        self.told.append(f"{len(list(folder.glob('*.png')))} pictures")

    def end(self, record: RunRecord) -> None:
        self.told.append(f"end {record.state}")


def test_a_tracker_and_the_screen_hear_of_it(start: Start, data: Path) -> None:
    run, book = start(epochs=2), Book()
    moments: list[Moment] = []
    tell: Tell = moments.append
    finish(run, data, tracker=book, tell=tell)
    assert book.told == ["begin running toy", "3 pictures", "end done"]
    assert {n: m["score"] for n, m in book.curve.items()} == {e["epoch"]: e["score"] for e in run.epochs()}
    shares = [m.done for m in moments]
    assert shares == sorted(shares) and shares[0] > 0 and shares[-1] == pytest.approx(1)
    assert [m.epoch for m in moments if m.metrics] == [1, 2]
    assert json.loads((run.path / "run.json").read_text())["state"] == "done"


def test_who_interrupts_a_run_can_go_on_with_it(start: Start, data: Path) -> None:
    run, book = start(), Book()

    def interrupt(moment: Moment) -> None:
        if moment.metrics is not None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finish(run, data, tracker=book, tell=interrupt)
    assert run.record.state == "running" and book.told[-1] == "end running"
    whole = start()
    assert finish(run, data).weights_sha256 == finish(whole, data).weights_sha256


def test_what_torch_was_set_to_is_as_before(start: Start, data: Path) -> None:
    before = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads(), torch.get_rng_state()
    finish(start(epochs=1), data)
    assert torch.are_deterministic_algorithms_enabled() == before[0] and torch.get_num_threads() == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_isnt_there_is_told_in_a_line() -> None:
    assert choose_device(None) == CPU
    with pytest.raises(UsageError, match="no GPU here"):
        choose_device("cuda")

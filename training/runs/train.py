"""The loop: a run's folder in, the best epoch's weights in it. Whatever stands in the folder is gone on from."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from imaging.errors import RaysightError, TrainingError
from imaging.files import DRAFT, replace, sha256_of
from training.cohort import Cohort, Use, require
from training.runs.checkpoint import Position, as_bytes, go_on, save
from training.runs.configuration import TrainingConfiguration, configuration_of
from training.runs.device import in_words
from training.runs.environment import cores
from training.runs.folder import DRAWN, RunFolder
from training.runs.learner import Learner, deterministic
from training.runs.memory import is_out_of_memory, out_of_memory
from training.runs.order import Key, Order, Samples
from training.runs.record import RunRecord, write_record
from training.runs.start import sides
from training.runs.tracker import Moment, NoTracker, Tell, Tracker
from training.tasks.task import Batch, Item, Task, Validation

_LOADING = 0.02  # its share of the bar
_NOBODY = Validation(0.0, {}, ())


def train(
    folder: RunFolder,
    task: Task,
    data: Path,
    *,
    device: torch.device,
    tracker: Tracker | None = None,
    tell: Tell | None = None,
) -> RunRecord:
    """Train the run in ``folder`` to its end, from its beginning or from its last checkpoint.

    On a CPU the same seed, threads and versions give the same weights bit for bit, also after any number of kills.

    Parameters
    ----------
    data
        The folder below which the cohort's files lie.

    Returns
    -------
    RunRecord
        As it stands in the folder, state `done`.

    Raises
    ------
    CohortError
        The approval doesn't allow training, or a file was altered.
    TrainingError
        The loss isn't a number any more, or memory doesn't suffice: then it names the batch that fits.
    """
    record, cohort = folder.record, folder.cohort
    require(cohort, Use.TRAIN)
    if record.state == "done":
        return record
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS may sum in another order
    threads = int(record.environment.get("threads", cores()))
    used = {**record.environment, "device": in_words(device), "threads": str(threads)}
    record = record.model_copy(update={"environment": used, "state": "running"})
    write_record(folder.path, record)
    for draft in folder.path.glob(f".*{DRAFT}"):  # a kill left it, and a checkpoint is large
        draft.unlink()
    run = _Run(folder, record, cohort, task, data, device, tracker or NoTracker(), tell or (lambda _moment: None))
    run.tracker.begin(record, cohort)
    try:
        with deterministic(threads):
            record = run.to_end()
    except RaysightError:
        record = folder.record.model_copy(update={"state": "failed", "ended": datetime.now(UTC)})
        write_record(folder.path, record)
        raise
    finally:
        run.tracker.end(folder.record)
    return record


@dataclass
class _Run:
    folder: RunFolder
    record: RunRecord
    cohort: Cohort
    task: Task
    data: Path
    device: torch.device
    tracker: Tracker
    tell: Tell

    def to_end(self) -> RunRecord:
        rules = configuration_of(self.record)
        items, unseen = self._load()
        order = Order(rules.seed, len(items), rules.samples_per_epoch or len(items), rules.batch_size)
        learner = Learner(self.task, self.task.network(rules.seed), rules, self.device)
        at = go_on(self.folder, learner)
        samples, steps = Samples(self.task, items, rules.seed), order.after(at.epoch, at.step, rules.epochs)
        batches = iter(_batches(samples, steps, rules, self.device))
        while at.epoch < rules.epochs and not _patience_ends(at, rules):
            self._epoch(learner, batches, order, rules, at)
            self._judge(learner, unseen, rules, at)
            save(self.folder, learner, at)
        del batches  # and the processes behind it
        return self._finish(learner, unseen, at)

    def _load(self) -> tuple[Sequence[Item], Sequence[Item]]:
        train, validation = sides(self.cohort, self.record.fold, alone=True)
        share = len(train) / (len(train) + len(validation))
        items = self.task.items(train, self.data, lambda x: self.tell(Moment("loading", _LOADING * x * share)))
        unseen = self.task.items(
            validation, self.data, lambda x: self.tell(Moment("loading", _LOADING * (share + x * (1 - share))))
        )
        return items, unseen

    def _epoch(
        self, learner: Learner, batches: Any, order: Order, rules: TrainingConfiguration, at: Position
    ) -> None:
        """What is left of an epoch."""
        saved = monotonic()
        began = saved - at.seconds
        while at.step < order.steps:
            batch = next(batches)
            share = (at.epoch + at.step / order.steps) / rules.epochs
            loss = _step(learner, batch, share, order.step_seed(at.epoch, at.step))
            if not math.isfinite(loss):
                raise TrainingError(
                    f"the loss is no number any more in epoch {at.epoch + 1}; lower optimiser.learning_rate "
                    f"(now {rules.optimiser.learning_rate:g}), or set optimiser.gradient_norm"
                )
            at.loss, at.step, at.seconds = at.loss + loss, at.step + 1, monotonic() - began
            self._say("training", at, rules, order)
            if monotonic() - saved >= rules.checkpoint_seconds and at.step < order.steps:
                save(self.folder, learner, at)
                saved = monotonic()

    def _judge(self, learner: Learner, unseen: Sequence[Item], rules: TrainingConfiguration, at: Position) -> None:
        """Validate at an epoch's end; keep its weights when they are the best so far, or the last ones are wanted."""
        found = self.task.validate(learner.judged, unseen) if unseen else _NOBODY
        number, seconds = at.epoch + 1, at.seconds
        metrics = {"loss": at.loss / at.step, "score": found.score, **found.metrics, "seconds": seconds}
        if found.score > at.best_score or rules.keep == "last":
            at.best_epoch, at.best_score = number, found.score
            replace(self.folder.weights, as_bytes(learner.judged.state_dict()))
        at.history.append({"epoch": number, **metrics})
        at.epoch, at.step, at.loss, at.seconds = number, 0, 0.0, 0.0
        self.folder.write_epochs(at.history)
        self.tracker.epoch(number, metrics)
        self.tell(Moment("epoch", _share(number / rules.epochs), number, rules.epochs, metrics["loss"], metrics))

    def _finish(self, learner: Learner, unseen: Sequence[Item], at: Position) -> RunRecord:
        """Pictures of the kept epoch's best, median and worst case; the record; no checkpoint any more."""
        best = learner.judged
        best.load_state_dict(torch.load(self.folder.weights, map_location=self.device, weights_only=True))
        if unseen:
            self._draw(best, unseen)
        record = self.folder.record.model_copy(
            update={
                "state": "done",
                "ended": datetime.now(UTC),
                "epochs": at.epoch,
                "best_epoch": at.best_epoch,
                "best_score": at.best_score,
                "weights_sha256": sha256_of(self.folder.weights),
            }
        )
        write_record(self.folder.path, record)
        self.folder.checkpoint.unlink(missing_ok=True)
        return record

    def _draw(self, best: nn.Module, unseen: Sequence[Item]) -> None:
        ranked = sorted(self.task.validate(best, unseen).cases, key=lambda case: case[2])
        self.folder.pictures.mkdir(exist_ok=True)
        chosen = (ranked[0], ranked[len(ranked) // 2], ranked[-1])
        for word, (index, case, score) in zip(DRAWN, chosen, strict=True):
            title = f"{word}: {case}, score {score:.3f}"
            self.task.draw(best, unseen[index], self.folder.pictures / f"{word}.png", title)
        self.tracker.pictures(self.folder.pictures)

    def _say(self, what: str, at: Position, rules: TrainingConfiguration, order: Order) -> None:
        done = _share((at.epoch + at.step / order.steps) / rules.epochs)
        self.tell(Moment(what, done, at.epoch + 1, rules.epochs, at.loss / at.step))


def _step(learner: Learner, batch: Batch, share: float, seed: int) -> float:
    try:
        return float(learner.step(batch, share, seed))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    # only here is what the failed step held free again
    raise out_of_memory(learner, batch)


def _batches(
    samples: Samples, steps: Iterator[list[Key]], rules: TrainingConfiguration, device: torch.device
) -> DataLoader[Any]:
    """All steps to come, one after another."""
    gpu = device.type == "cuda"
    workers = rules.workers if rules.workers is not None else min(8, cores()) if gpu else 0
    return DataLoader(
        samples,
        batch_sampler=steps,
        num_workers=workers,
        pin_memory=gpu,
    )


def _patience_ends(at: Position, rules: TrainingConfiguration) -> bool:
    return rules.patience is not None and rules.keep == "best" and at.epoch - at.best_epoch >= rules.patience


def _share(of_epochs: float) -> float:
    return _LOADING + (1 - _LOADING) * of_epochs

"""A toy training line: volumes whose truth is known, networks whose quality is chosen, and a gate over them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813
from onnx import helper
from scipy import ndimage

from inference.engine import OnnxEngine
from models.spec import ModelSpec
from models.store import ReleasedModel
from tests.inference.toys import network, toy_spec
from training.cases import of_members
from training.cohort import Cohort, CohortDescription, CohortShelf, Split, build_cohort
from training.evaluation.card import BEGIN, END, SECTIONS
from training.evaluation.evaluate import evaluate
from training.evaluation.kept import keep_evaluation, prior_of
from training.gate.cost import Cost, compare_costs
from training.gate.decision import Decision, DecisionBook, told
from training.gate.gate import Gate
from training.gate.rules import GateRules
from training.places import Places
from training.runs.candidate import publish_candidate
from training.runs.folder import new_folder
from training.runs.record import CohortName, RunRecord

SHAPE = (20, 24, 18)
SPEC = toy_spec(SHAPE)
CASES = 56
RULES = {
    "cohort": "toy",
    "primary": {"name": "dice_mean", "improve": "better", "margin": 0.005},
    "floors": {"dice_label_1": {"least": 0.3, "by": "bound"}, "hd95_label_2": {"most": 15}},
    "resamples": 1000,
    "subgroups": {"min_subjects": 6, "margin": 0.01},
    "latency_ratio_max": 20,
    "memory_ratio_max": 4,
}


def anatomy(number: int) -> np.ndarray[Any, Any]:
    """A smooth random volume, another for each number; mean 0, deviation 1."""
    noise = ndimage.gaussian_filter(np.random.default_rng(number).normal(size=SHAPE), 1.5)
    return ((noise - noise.mean()) / noise.std()).astype(np.float32)


def truth(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.where(image > 1, 1, np.where(image < -1, 2, 0)).astype(np.uint8)


def threshold(at: float, sign: float = 1.0, heavy: int = 0) -> bytes:
    """Label 1 above ``at``, label 2 below ``-at``: best at 1, nonsense with ``sign`` -1; ``heavy`` wastes time."""
    nodes = [helper.make_node("Mul", ["image", "factors"], ["spread"])]
    shape = (1, 3, 1, 1, 1)
    weights: dict[str, Any] = {
        "factors": np.array([0, sign, -sign], np.float32).reshape(shape),
        "bias": np.array([at, 0, 0], np.float32).reshape(shape),
    }
    last = "spread"
    if heavy:
        rng = np.random.default_rng(0)
        weights["up"] = rng.normal(size=(32, 3, 3, 3, 3)).astype(np.float32)
        weights["same"] = rng.normal(size=(32, 32, 3, 3, 3)).astype(np.float32) * 0.03
        weights["down"] = rng.normal(size=(3, 32, 3, 3, 3)).astype(np.float32)
        weights["nothing"] = np.array(1e-30, np.float32)
        nodes.append(helper.make_node("Conv", [last, "up"], ["h0"], pads=[1] * 6))
        nodes += [helper.make_node("Conv", [f"h{n}", "same"], [f"h{n + 1}"], pads=[1] * 6) for n in range(heavy)]
        nodes.append(helper.make_node("Conv", [f"h{heavy}", "down"], ["end"], pads=[1] * 6))
        nodes.append(helper.make_node("Mul", ["end", "nothing"], ["zero"]))
        nodes.append(helper.make_node("Add", [last, "zero"], ["sum"]))
        last = "sum"
    nodes.append(helper.make_node("Add", [last, "bias"], ["scores"]))
    return network(nodes, [1, 1, *SHAPE], [1, 3, *SHAPE], weights)


def card_text() -> str:
    block = f"{BEGIN}\n{END}"
    return "# Toy\n\n" + "\n\n".join(f"## {s}\n\n{block if s == 'Figures' else 'Said.'}" for s in SECTIONS) + "\n"


def described(name: str = "toy", folder: str = "toy", **changes: Any) -> CohortDescription:
    source = {"name": folder, "folder": folder, "layout": "images-labels", "origin": "made here", "licence": "CC0"}
    values = {
        "name": name,
        "title": "Toy volumes",
        "sources": [{**source, "subject": {"pattern": "case_(?P<subject>[0-9]+)"}}],
        "classes": {0: "background", 1: "bright", 2: "dark"},
        "splits": {
            "seed": "toy/1",
            "shares": {"train": 0.2, "validation": 0.1, "gate": 0.5, "test": 0.2},
            "folds": 2,
        },
        "approval": {
            "by": "Dr Li",
            "purpose": "a test",
            "uses": ["train", "evaluate", "release"],
            "given": "2020-01-01",
            "until": "9999-12-31",
        },
    }
    return CohortDescription.model_validate(values | changes)


class MemoryBook:
    """A book that forgets when the process ends."""

    def __init__(self, *decisions: Decision) -> None:
        self._decisions = list(decisions)

    def append(self, decision: Decision) -> None:
        self._decisions.append(decision)

    def of(self, model: str) -> tuple[Decision, ...]:
        return told(d for d in self._decisions if d.model == model)

    def find(self, decision: str) -> Decision | None:
        return next((d for d in self._decisions if d.decision == decision), None)


@dataclass
class House:
    """Cohort, candidates and gate below one folder."""

    root: Path
    cohort: Cohort
    book: DecisionBook

    @property
    def places(self) -> Places:
        return Places(self.root / "home", self.root / "mlruns")

    @property
    def data(self) -> Path:
        return self.root / "data"

    def write(self, folder: str, number: int, image: np.ndarray[Any, Any]) -> None:
        write(self.data, folder, number, image)

    def own_data(self) -> None:
        """Links to the shared cases, file by file, so that some can be added or removed."""
        folder = self.data / "toy"
        shared = folder.resolve()
        folder.unlink()
        for part in ("images", "labels"):
            (folder / part).mkdir(parents=True)
            for path in (shared / part).iterdir():
                (folder / part / path.name).symlink_to(path)

    def freeze(self, description: CohortDescription, pinned: dict[str, Split] | None = None) -> Cohort:
        made = build_cohort(description, self.data, pinned=pinned)
        CohortShelf(self.places.cohorts).put(made, "li")
        return made

    def run(self, content: bytes, cohort: Cohort | None = None, spec: ModelSpec = SPEC) -> ReleasedModel:
        """What `raysight train` leaves: a finished, exported run, and its candidate."""
        seen, digest = cohort or self.cohort, hashlib.sha256(content).hexdigest()
        number = len(list(self.places.runs.glob("*"))) + 1
        record = RunRecord(
            run=f"toy-{number}",
            model="toy",
            spec=spec,
            configuration={},
            seed=1,
            fold=None,
            cohort=CohortName(name=seen.name, digest=seen.digest),
            revision="abc",
            environment={},
            started=datetime.now(UTC),
            ended=datetime.now(UTC),
            state="done",
            onnx_sha256=digest,
        )
        folder = new_folder(self.places.runs, record, seen).path
        (folder / "model.onnx").write_bytes(content)
        parity = {"onnx_sha256": digest, "passed": True, "max_difference": 1e-6}
        (folder / "parity.json").write_text(json.dumps(parity))
        return publish_candidate(self.places, folder)

    def candidate(self, content: bytes, cohort: Cohort | None = None, card: str | None = None) -> ReleasedModel:
        """The same, evaluated on its cohort's test split, and its card written."""
        released, seen = self.run(content, cohort), cohort or self.cohort
        template = self.places.home / "models" / "toy" / "card.md"
        template.parent.mkdir(parents=True, exist_ok=True)
        template.write_text(card_text() if card is None else card)
        report = evaluate(
            released,
            OnnxEngine(self.places.all_versions),
            of_members(seen.only(Split.TEST), self.data),
            data="test",
            cohort=seen.digest,
            prior=prior_of(released, seen, self.data),
            resamples=200,
        )
        keep_evaluation(self.places, released, report)
        return released

    def gate(self, *, measured: bool = False, **changes: Any) -> Gate:
        """``measured``: time and memory are; else both versions cost the same."""
        rules = GateRules.model_validate(RULES | changes)
        costs = compare_costs if measured else lambda *_: (Cost(0.1, 20.0), Cost(0.1, 20.0))
        return Gate(self.places, self.book, rules, "0" * 64, lambda: self.data, costs=costs)


def write(data: Path, folder: str, number: int, image: np.ndarray[Any, Any]) -> None:
    for part, array in (("images", image), ("labels", truth(image))):
        (data / folder / part).mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(sitk.GetImageFromArray(array), str(data / folder / part / f"case_{number:03d}.nii.gz"))


def make_house(root: Path) -> House:
    for number in range(1, CASES + 1):
        write(root / "data", "toy", number, anatomy(number))
    cohort = build_cohort(described(), root / "data")
    house = House(root, cohort, MemoryBook())
    CohortShelf(house.places.cohorts).put(cohort, "li")
    return house

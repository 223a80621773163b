"""Where torch and the run are there, the gate doesn't take the export's word for parity."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (the extra train)")

from imaging.files import sha256_of  # noqa: E402
from models.store import ReleasedModel  # noqa: E402
from tests.training.gate.house import House, threshold  # noqa: E402
from training.cohort import Split  # noqa: E402
from training.gate.decision import Check  # noqa: E402
from training.gate.promotion import promote  # noqa: E402
from training.runs.record import read_record, write_record  # noqa: E402


class Threshold(torch.nn.Module):  # type: ignore[misc]
    """The network that `tests.training.gate.house.threshold` writes as ONNX."""

    def __init__(self) -> None:
        super().__init__()
        self.at = torch.nn.Parameter(torch.zeros(1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.at.expand_as(image), image, -image], dim=1)


@pytest.fixture(autouse=True)
def source(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands where `models/toy/network.py` would."""
    torch.set_num_threads(1)
    monkeypatch.setattr("training.export.network.build_network", lambda _spec, _seed: Threshold())


def parity(house: House, released: ReleasedModel, at: float) -> Check:
    """What the gate says when the run's weights are those of a threshold at ``at``."""
    folder: Path = house.places.runs / released.provenance.lineage["run"]["run"]
    torch.save({"at": torch.tensor([at])}, folder / "weights.pt")
    digest = sha256_of(folder / "weights.pt")
    write_record(folder, read_record(folder).model_copy(update={"weights_sha256": digest}))
    decision = promote(house.gate(), "toy", released.version, by="li")
    return next(check for check in decision.checks if check.name == "parity")


def test_the_file_is_compared_with_the_runs_network(house: House) -> None:
    check = parity(house, house.candidate(threshold(1.1)), 1.1)
    assert check.passed and check.figures["inputs"] == len(house.cohort.only(Split.VALIDATION))
    assert "labels in 0.00% of the voxels" in check.words


def test_another_network_than_the_runs_is_refused_whatever_was_claimed(house: House) -> None:
    released = house.candidate(threshold(1.1))
    assert released.provenance.lineage["parity"]["passed"] is True
    check = parity(house, released, 1.4)
    assert not check.passed and check.figures["max_difference"] == pytest.approx(0.3)
    assert house.places.store.champion("toy").version == "1"


def test_what_cannot_be_compared_says_so(house: House) -> None:
    released = house.candidate(threshold(1.1))
    house.own_data()
    (house.data / house.cohort.only(Split.VALIDATION)[0].files[0].path).unlink()
    check = parity(house, released, 1.1)
    assert check.passed and "lacks 1 of the cases that the run was validated on" in check.words

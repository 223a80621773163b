"""The same numbers as MONAI's metrics, which much of what is published was computed with."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.metrics import dice, surface_distances

torch = pytest.importorskip("torch", reason="torch is not installed (the extra train)")
metrics = pytest.importorskip("monai.metrics", reason="torch is not installed (the extra train)")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_dice_hd95_nsd(seed: int) -> None:
    rng, spacing = np.random.default_rng(seed), (2.0, 1.0, 0.7)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in (14, 22, 26)), indexing="ij"), -1) * spacing
    a, b = (
        np.linalg.norm((grid - rng.uniform((10, 8, 7), (16, 12, 10))) / rng.uniform(4, 8, 3), axis=-1) < 1
        for _ in range(2)
    )
    truth, found = (torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (b, a))
    ours = surface_distances(a, b, spacing)
    assert dice(a, b) == pytest.approx(metrics.compute_dice(found, truth).item(), abs=1e-6)
    theirs = metrics.compute_hausdorff_distance(
        found, truth, include_background=True, percentile=95, spacing=list(spacing)
    )
    assert ours.hausdorff(95) == pytest.approx(theirs.item(), abs=1e-5)
    nsd = metrics.compute_surface_dice(found, truth, [1.0], include_background=True, spacing=list(spacing))
    assert ours.within(1.0) == pytest.approx(nsd.item(), abs=1e-5)

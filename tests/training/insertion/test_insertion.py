"""Nodules put into lungs: where they go, what stays as it was, and what is told of them."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.geometry import Geometry
from training.insertion.blend import Blend, Feathered, Seamless
from training.insertion.compose import Scene
from training.insertion.degrade import add_noise, change_kernel, thicken
from training.insertion.ground import UNSURE, Box, Ground, outward
from training.insertion.piece import Piece, random_rotation, rotation_onto, sampled
from training.insertion.place import Place, find_place

BLENDS = [Feathered(0.7, 2.0), Seamless()]
AXES = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))


def ball(radius_mm: float, spacing: tuple[float, float, float], *, wall_at_row: int | None = None) -> Piece:
    """A soft ball in lung; where asked for, everything from a row on is wall."""
    half = [int(np.ceil((radius_mm + 5) / s)) for s in spacing]
    grid = np.meshgrid(*(np.arange(-h, h + 1) * s for h, s in zip(half, spacing, strict=True)), indexing="ij")
    mask = np.sqrt(sum(g**2 for g in grid)) <= radius_mm
    hu = np.full(mask.shape, -850, np.int16)
    if wall_at_row is not None:
        hu[:, wall_at_row:] = 50
        mask[:, wall_at_row:] = False
    hu[mask] = 40
    return Piece("ball", hu, mask.astype(np.float32), spacing)


def lung(size: int = 60, wall: int = 45) -> Ground:
    """Lung of one density; from row ``wall`` on it is chest wall."""
    hu = np.full((size, size, size), -870, np.int16)
    hu[:, wall:] = 60
    rows = np.arange(size)[None, :, None]
    depth = np.broadcast_to(np.maximum(wall - rows, 0), hu.shape).astype(np.float16)
    geometry = Geometry(hu.shape, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), AXES)
    return Ground("lung", hu, depth, np.zeros(hu.shape, np.uint8), (), geometry, 1.0)


def whole(ground: Ground) -> Box:
    z, y, x = (slice(0, n) for n in ground.hu.shape)
    return z, y, x


def middle(ground: Ground, row: int = 20) -> Place:
    return Place((30, row, 30), np.eye(3), on_wall=False)


class TestPiece:
    def test_its_size_is_that_of_the_ball(self) -> None:
        piece = ball(5, (1.25, 0.7, 0.7))
        assert piece.diameter == pytest.approx(10, abs=0.4)
        assert piece.radius == pytest.approx(5, abs=0.9)

    @pytest.mark.parametrize("scale", [0.7, 1.0, 1.4])
    def test_sampled_keeps_the_volume_times_the_scale(self, scale: float) -> None:
        piece = ball(6, (2.0, 0.7, 0.7))
        cube = sampled(piece, 1.0, random_rotation(np.random.default_rng(1)), scale, 4.0)
        diameter = float(np.cbrt(6 / np.pi * cube.share.sum()))
        assert diameter == pytest.approx(12 * scale, rel=0.06)

    def test_the_wall_lies_where_it_is(self) -> None:
        piece = ball(5, (1.0, 1.0, 1.0), wall_at_row=12)
        z, y, x = piece.wall
        assert y > 0.1
        assert abs(z) < 0.02
        assert abs(x) < 0.02
        assert np.linalg.norm(ball(5, (1.0, 1.0, 1.0)).wall) == 0


class TestRotation:
    @pytest.mark.parametrize("seed", range(5))
    def test_onto_takes_one_direction_to_another(self, seed: int) -> None:
        a, b = np.random.default_rng(seed).standard_normal((2, 3))
        turned = rotation_onto(a, b) @ a
        assert turned / np.linalg.norm(turned) == pytest.approx(b / np.linalg.norm(b))

    def test_half_a_turn(self) -> None:
        turn = rotation_onto(np.array([0.0, 0.0, 2.0]), np.array([0.0, 0.0, -1.0]))
        assert turn @ [0, 0, 1] == pytest.approx([0, 0, -1])
        assert np.linalg.det(turn) == pytest.approx(1)

    def test_a_random_one_is_a_rotation(self) -> None:
        turn = random_rotation(np.random.default_rng(0))
        assert turn @ turn.T == pytest.approx(np.eye(3))
        assert np.linalg.det(turn) == pytest.approx(1)


class TestPlace:
    def test_one_in_the_open_is_deeper_than_its_radius(self) -> None:
        ground, piece = lung(), ball(4, (1.0, 1.0, 1.0))
        for seed in range(20):
            place = find_place(ground, piece, 1.0, np.random.default_rng(seed))
            assert place is not None
            assert not place.on_wall
            assert ground.depth[place.index] > piece.diameter / 2

    def test_one_from_a_wall_turns_its_wall_to_the_wall(self) -> None:
        ground, piece = lung(), ball(5, (1.0, 1.0, 1.0), wall_at_row=12)
        for seed in range(20):
            place = find_place(ground, piece, 1.0, np.random.default_rng(seed))
            if place is None:
                continue
            assert place.on_wall
            wall = piece.wall / np.linalg.norm(piece.wall)
            assert place.turn @ [0, 1, 0] == pytest.approx(wall, abs=0.15)

    def test_outward_is_nothing_where_it_is_all_round(self) -> None:
        assert np.linalg.norm(outward(np.ones((9, 9, 9), bool))) < 1e-9
        half = np.zeros((9, 9, 9), bool)
        half[:, :, 5:] = True
        assert outward(half)[2] > 0.4


class TestScene:
    @pytest.mark.parametrize("blend", BLENDS)
    def test_a_nodule_looks_as_it_did_and_the_rest_stays(self, blend: Blend) -> None:
        ground = lung()
        scene = Scene.of(ground, whole(ground))
        assert scene.put(ball(5, (1.0, 1.0, 1.0)), middle(ground), 1.0, blend)
        [nodule] = scene.nodules
        assert nodule.centre == (30, 20, 30)
        assert nodule.inserted
        assert scene.hu[30, 20, 30] == pytest.approx(40, abs=40)
        far = np.linalg.norm(np.indices(scene.hu.shape) - np.reshape((30, 20, 30), (3, 1, 1, 1)), axis=0) > 12
        assert np.array_equal(scene.hu[far], ground.hu[far])
        assert (scene.share >= 0.5).sum() == pytest.approx(np.pi / 6 * 10**3, rel=0.1)

    @pytest.mark.parametrize("blend", BLENDS)
    def test_no_air_is_put_over_the_wall(self, blend: Blend) -> None:
        ground = lung()
        scene = Scene.of(ground, whole(ground))
        assert scene.put(ball(5, (1.0, 1.0, 1.0)), middle(ground, row=42), 1.0, blend)
        outside = scene.share < 0.5
        assert (scene.hu[:, 45:][outside[:, 45:]] >= 60).all()

    @pytest.mark.parametrize("blend", BLENDS)
    def test_a_sham_is_no_nodule_and_leaves_no_seam_in_even_lung(self, blend: Blend) -> None:
        ground = lung()
        scene = Scene.of(ground, whole(ground))
        healthy = Piece(
            "healthy", np.full((41, 41, 41), -870, np.int16), np.ones((41, 41, 41), np.float32), (1.0, 1.0, 1.0)
        )
        assert scene.put(ball(5, (1.0, 1.0, 1.0)), middle(ground), 1.0, blend, sham=healthy)
        assert not scene.nodules
        assert not scene.share.any()
        assert np.abs(scene.hu - ground.hu).max() < 1

    def test_two_do_not_share_a_place_nor_does_one_cover_what_is_unsure(self) -> None:
        ground = lung()
        scene, piece = Scene.of(ground, whole(ground)), ball(5, (1.0, 1.0, 1.0))
        assert scene.put(piece, middle(ground), 1.0, BLENDS[0])
        assert not scene.put(piece, middle(ground, row=24), 1.0, BLENDS[0])
        ground.truth[30, 20, 30] = UNSURE
        assert not Scene.of(ground, whole(ground)).put(piece, middle(ground), 1.0, BLENDS[0])

    def test_one_at_the_border_of_the_scene_is_cut(self) -> None:
        ground = lung()
        box = (slice(30, 50), slice(0, 40), slice(0, 60))
        scene = Scene.of(ground, box)
        assert scene.put(ball(6, (1.0, 1.0, 1.0)), middle(ground), 1.0, BLENDS[0])
        assert scene.share.shape == (20, 40, 60)
        assert scene.share[0, 20, 30] == 1


class TestDegrade:
    def test_thick_slices_blur_along_z_only(self) -> None:
        hu = np.zeros((40, 8, 8), np.float32)
        hu[20] = 1000
        thick = thicken(hu, 1.0, 5.0, 2.5, 0.0)
        assert thick[20, 4, 4] < 300
        assert np.ptp(thick[20]) == 0
        assert thick.sum() == pytest.approx(hu.sum(), rel=0.05)

    def test_a_softer_kernel_takes_noise_away_and_a_sharper_one_adds(self) -> None:
        noisy = add_noise(np.zeros((6, 64, 64), np.float32), 50, 0.5, np.random.default_rng(0))
        assert noisy.std() == pytest.approx(50, rel=0.02)
        assert change_kernel(noisy, -1).std() < 40
        assert change_kernel(noisy, 1).std() > 60

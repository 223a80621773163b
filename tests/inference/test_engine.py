"""Released models run by ONNX Runtime: which one answers, what is refused, and from any thread."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import helper

from imaging.errors import EngineError, InferenceCancelled, ModelFailure
from imaging.pipeline import Answer, Engine, OpenModel
from inference.blending import Tiling
from inference.engine import OnnxEngine
from inference.session import EngineOptions
from models.publish import point
from models.spec import ModelSpec
from models.store import ModelStore, ReleasedModel
from tests.inference.toys import by_itself, convolution, network, spread, toy_spec

PATCH = (6, 8, 4)
Release = Callable[..., ReleasedModel]


@pytest.fixture
def engine(store: ModelStore) -> OnnxEngine:
    return OnnxEngine(store, EngineOptions(threads=1))


def noise(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_it_is_an_engine(engine: OnnxEngine, release: Release) -> None:
    released = release(spread(PATCH), toy_spec(PATCH))
    given: Engine = engine
    model: OpenModel = given.open("toy")
    assert model.identity == released.identity


def test_infer_is_one_run(engine: OnnxEngine, release: Release) -> None:
    release(spread(PATCH), toy_spec(PATCH))
    image = noise(1, 1, *PATCH)
    scores = engine.open("toy").infer({"image": image})["scores"]
    assert np.array_equal(scores, np.concatenate([image, 2 * image, 3 * image], axis=1))


def test_slide_is_the_weighted_mean_of_the_networks_patches(engine: OnnxEngine, release: Release) -> None:
    release(convolution(PATCH), toy_spec(PATCH, overlap=0.4))
    model, image, tiling = engine.open("toy"), noise(1, 15, 17, 9), Tiling(PATCH, 0.4)
    sums, total = np.zeros((3, 15, 17, 9)), np.zeros((15, 17, 9))
    for tile in tiling.tiles((15, 17, 9)):
        scores = model.infer({"image": image[(None, slice(None), *tile)]})["scores"][0]
        sums[(slice(None), *tile)] += scores * tiling.weights()
        total[tile] += tiling.weights()
    found = model.slide(image, answer=Answer.SCORES)
    assert np.allclose(found.values, sums / total, atol=1e-4) and found.tiles_all == tiling.count((15, 17, 9))


def test_away_from_the_patches_edges_it_is_the_dense_convolution(engine: OnnxEngine, release: Release) -> None:
    """The same network as one run over the whole image, but where a patch's edge is near."""
    release(convolution((15, 17, 9)), toy_spec((15, 17, 9)), "1")
    whole = engine.open("toy").infer({"image": (image := noise(1, 1, 15, 17, 9))})["scores"][0]
    release(convolution((13, 15, 7)), toy_spec((13, 15, 7)), "2")
    found = engine.open("toy").slide(image[0], answer=Answer.SCORES).values
    assert np.allclose(found[:, 3:12, 3:14, 3:6], whole[:, 3:12, 3:14, 3:6], atol=1e-4)


def test_a_batch_gives_the_same(engine: OnnxEngine, release: Release) -> None:
    image = noise(1, 15, 17, 9)
    release(spread(PATCH), toy_spec(PATCH), "1")
    single = engine.open("toy").slide(image).values
    release(spread(PATCH, batch=4), toy_spec(PATCH), "2")
    assert np.array_equal(engine.open("toy").slide(image).values, single)


def test_an_image_of_rows_and_columns(engine: OnnxEngine, release: Release) -> None:
    release(by_itself((8, 8)), toy_spec((8, 8)))
    found = engine.open("toy").slide(np.full((1, 20, 11), 0.5, np.float32), answer=Answer.LABELS)
    assert found.values.shape == (1, 20, 11) and np.all(found.values == 2)


def test_the_mask_the_stop_and_the_progress_reach_the_window(engine: OnnxEngine, release: Release) -> None:
    release(spread(PATCH), toy_spec(PATCH))
    model, image, told = engine.open("toy"), noise(1, 18, 16, 8), []
    mask = np.zeros((18, 16, 8), bool)
    mask[0, 0, 0] = True
    found = model.slide(image, wanted=mask, progress=lambda done, of: told.append((done, of)))
    assert found.tiles_run == 1 and told == [(1, 1)]
    with pytest.raises(InferenceCancelled):
        model.slide(image, cancelled=lambda: True)


def test_an_engine_of_a_process_that_ends_leaves_its_images(store: ModelStore, release: Release) -> None:
    release(spread(PATCH), toy_spec(PATCH))
    stopped, image = threading.Event(), noise(1, 18, 16, 8)
    model = OnnxEngine(store, EngineOptions(threads=1), stopped.is_set).open("toy")
    whole = model.slide(image)
    assert whole.tiles_run == whole.tiles_all
    with pytest.raises(InferenceCancelled, match=r"^toy 1: cancelled after 3 of"):
        model.slide(image, progress=lambda done, of: stopped.set() if done == 3 else None)


def test_a_reading_ends_with_the_version_it_began_with(
    engine: OnnxEngine, store: ModelStore, release: Release
) -> None:
    release(spread(PATCH, (1, 0, 0)), toy_spec(PATCH), "1")
    began = engine.open("toy")
    release(spread(PATCH, (0, 1, 0)), toy_spec(PATCH), "2")
    then = engine.open("toy")
    image = np.ones((1, *PATCH), np.float32)
    for _ in range(2):
        assert began.identity.version == "1" and not began.slide(image, answer=Answer.LABELS).values.any()
        assert then.identity.version == "2" and np.all(then.slide(image, answer=Answer.LABELS).values == 1)
    point(store, "toy", "champion", "1")
    back = engine.open("toy")
    assert back.identity == began.identity and back.session is began.session
    assert engine.open("toy", "2").identity == then.identity


def test_it_goes_on_when_its_file_has_gone(engine: OnnxEngine, release: Release) -> None:
    released = release(spread(PATCH), toy_spec(PATCH))
    began = engine.open("toy")
    released.path.unlink()
    assert began.slide(np.ones((1, *PATCH), np.float32)).tiles_run == 1
    with pytest.raises(EngineError, match="there is no model 'toy'; known: none"):
        engine.open("toy")


def test_an_altered_file_is_refused_though_it_was_loaded_before(engine: OnnxEngine, release: Release) -> None:
    released = release(spread(PATCH), toy_spec(PATCH))
    engine.open("toy")
    content = bytearray(released.path.read_bytes())
    content[-1] ^= 1
    released.path.write_bytes(content)
    with pytest.raises(EngineError, match="was altered"):
        engine.open("toy")
    with pytest.raises(EngineError, match="was altered"):
        OnnxEngine(ModelStore((released.path.parents[2],))).open("toy")


def test_sessions_are_shared_and_the_oldest_goes(store: ModelStore, release: Release) -> None:
    engine = OnnxEngine(store, EngineOptions(threads=1, sessions_kept=2))
    for version in ("1", "2", "3"):
        release(spread(PATCH, (1, 0, float(version))), toy_spec(PATCH), version)
    first = weakref.ref(engine.open("toy", "1").session)
    second = engine.open("toy", "2").session
    assert engine.open("toy", "1").session is first()
    engine.open("toy", "3")  # the second was asked for the longest ago
    gc.collect()
    assert first() is not None and engine.open("toy", "2").session is not second


def test_the_same_bytes_under_two_versions_are_loaded_once(engine: OnnxEngine, release: Release) -> None:
    release(spread(PATCH), toy_spec(PATCH), "1")
    release(spread(PATCH), toy_spec(PATCH), "2")
    one, two = engine.open("toy", "1"), engine.open("toy", "2")
    assert one.session is two.session and (one.identity.version, two.identity.version) == ("1", "2")
    release(spread(PATCH), toy_spec((4, 4, 4)), "3")
    with pytest.raises(EngineError, match=r"^toy 3: its input is .* its spec says patches of"):
        engine.open("toy", "3")
    with pytest.raises(ModelFailure, match=r"^toy 2: it takes"):  # whose session was loaded for version 1
        two.infer({})
    with pytest.raises(ModelFailure, match=r"^toy 2: an image of"):
        two.slide(np.zeros((1, 2, 2, 2), np.float32))


def test_many_threads_get_their_own_answers(engine: OnnxEngine, store: ModelStore, release: Release) -> None:
    release(convolution(PATCH), toy_spec(PATCH))
    images = [np.random.default_rng(n).normal(size=(1, 9, 11, 6)).astype(np.float32) for n in range(8)]
    alone = [engine.open("toy").slide(image).values for image in images]
    engine = OnnxEngine(store, EngineOptions(threads=1))
    start = threading.Barrier(8)

    def read(image: Any) -> Any:
        start.wait()
        model = engine.open("toy")
        return model.session, model.slide(image).values

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(read, images))
    assert len({id(session) for session, _ in together}) == 1
    for (_, values), expected in zip(together, alone, strict=True):
        assert np.array_equal(values, expected)


WRONG: dict[str, tuple[bytes, ModelSpec, str]] = {
    "no model": (b"nothing", toy_spec(PATCH), "toy 1: ONNX Runtime can't load it: "),
    "another patch": (spread((6, 8, 8)), toy_spec(PATCH), "its spec says patches of"),
    "too many channels in": (
        spread(PATCH),
        toy_spec(
            PATCH,
            input=toy_spec(PATCH).input.model_dump() | {"intensity": [{"method": "z-score"}, {"method": "z-score"}]},
        ),
        "its spec says patches of",
    ),
    "too few channels out": (spread(PATCH, (1.0, 2.0)), toy_spec(PATCH), "its spec says 3 channels"),
    "a size left open": (
        network(
            [helper.make_node("Concat", ["image", "image", "image"], ["scores"], axis=1)],
            ["batch", 1, *PATCH],
            ["batch", 3, *PATCH],
            {},
        ),
        toy_spec(PATCH),
        "its spec says patches of",
    ),
    "other names": (
        spread(PATCH).replace(b"scores", b"answer"),
        toy_spec(PATCH),
        "takes 'image' and gives 'scores'",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_not_as_described_is_refused_at_opening(wrong: str, engine: OnnxEngine, release: Release) -> None:
    content, spec, words = WRONG[wrong]
    release(content, spec)
    with pytest.raises(EngineError, match=words) as error:
        engine.open("toy")
    assert len(str(error.value).splitlines()) == 1


def test_inputs_that_do_not_fit_are_refused(engine: OnnxEngine, release: Release) -> None:
    release(spread(PATCH), toy_spec(PATCH))
    model = engine.open("toy")
    for inputs, words in (
        ({}, r"takes \['image'\], not \[\]"),
        ({"picture": noise(1, 1, *PATCH)}, r"not \['picture'\]"),
        ({"image": noise(1, 1, 6, 8, 5)}, r"takes image as \[1, 1, 6, 8, 4\] float32, not \[1, 1, 6, 8, 5\]"),
        ({"image": noise(1, 1, *PATCH).astype(np.float64)}, "not .* float64"),
    ):
        with pytest.raises(ModelFailure, match=words):
            model.infer(inputs)
    with pytest.raises(ModelFailure, match="takes 1 channels, not 2"):
        model.slide(noise(2, *PATCH))


def test_a_table_is_inferred_and_not_slid(engine: OnnxEngine, release: Release) -> None:
    spec = toy_spec(
        PATCH,
        task="tabular",
        input={"kind": "tabular", "columns": [{"name": "pulse", "unit": "/min"}]},
        output=toy_spec(PATCH).output.model_dump() | {"activation": "none"},
    )
    node = helper.make_node("Mul", ["image", "factors"], ["scores"])
    release(network([node], ["rows", 1], ["rows", 2], {"factors": np.array([[1, 2]], np.float32)}), spec)
    model = engine.open("toy")
    assert model.infer({"image": np.array([[3], [4]], np.float32)})["scores"].tolist() == [[3, 6], [4, 8]]
    with pytest.raises(ModelFailure, match="no segmentation"):
        model.slide(noise(1, *PATCH))


def test_a_run_that_fails_says_so(engine: OnnxEngine, release: Release) -> None:
    """Asked for a row that isn't there."""
    spec = toy_spec(
        PATCH,
        task="tabular",
        input={"kind": "tabular", "columns": [{"name": "row", "unit": "1"}]},
        output=toy_spec(PATCH).output.model_dump() | {"activation": "none"},
    )
    nodes = [
        helper.make_node("Cast", ["image"], ["index"], to=7),
        helper.make_node("Gather", ["table", "index"], ["scores"], axis=0),
    ]
    release(network(nodes, ["rows", 1], ["rows", 1], {"table": np.arange(3, dtype=np.float32)}), spec)
    model = engine.open("toy")
    assert model.infer({"image": np.array([[2]], np.float32)})["scores"].tolist() == [[2]]
    with pytest.raises(ModelFailure, match=r"^toy 1: the run failed: "):
        model.infer({"image": np.array([[7]], np.float32)})


def test_what_is_absent_and_what_is_malformed(engine: OnnxEngine, release: Release) -> None:
    released = release(spread(PATCH), toy_spec(PATCH))
    with pytest.raises(EngineError, match="there is no model 'other'"):
        engine.open("other")
    with pytest.raises(EngineError, match="no version 9"):
        engine.open("toy", "9")
    (released.path.parents[1] / "aliases.yaml").write_text("champoin: 1", encoding="utf-8")
    with pytest.raises(EngineError, match=r"champoin: unknown key; did you mean 'champion'\?"):
        engine.open("toy")


def test_a_provider_that_is_not_there_is_never_replaced_in_silence(store: ModelStore, release: Release) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    release(spread(PATCH), toy_spec(PATCH))
    with pytest.raises(EngineError, match=r"CUDAExecutionProvider was asked for.*install raysight\[gpu\]"):
        OnnxEngine(store, EngineOptions(provider="cuda")).open("toy")


def test_openvino_that_is_not_installed_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "inference.open_vino", raising=False)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EngineError, match=r"isn't installed: install raysight\[openvino\]"):
        EngineOptions(provider="openvino").check()

"""The engine: the store's champions, run by ONNX Runtime. It implements `imaging.pipeline.Engine`."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.errors import ConfigurationError, EngineError, ModelFailure
from imaging.pipeline import Answer, Prediction, Wanted
from imaging.reading import ModelIdentity
from inference.blending import Tiling, finish_for
from inference.session import EngineOptions, Session
from inference.sliding import slide
from models.spec import ModelSpec, SliceInput, TabularInput
from models.store import ModelStore, ReleasedModel


@dataclass(frozen=True, eq=False)
class OnnxModel:
    """A version held open: it answers until it is let go, whatever is promoted meanwhile. Safe from any thread."""

    released: ReleasedModel
    session: Session
    cancelled: Callable[[], bool] | None = None

    @property
    def identity(self) -> ModelIdentity:
        """Which version answers."""
        return self.released.identity

    @property
    def spec(self) -> ModelSpec:
        """The description as released."""
        return self.released.spec

    def infer(self, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """As `imaging.pipeline.OpenModel.infer`."""
        with _naming(self.released):
            return self.session.infer(inputs)

    def slide(
        self,
        image: NDArray[np.float32],
        *,
        answer: Answer = Answer.PROBABILITIES,
        wanted: Wanted | None = None,
        cancelled: Callable[[], bool] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Prediction:
        """As `imaging.pipeline.OpenModel.slide`, with the spec's patch and overlap."""
        rules = self.spec.input
        with _naming(self.released):
            if isinstance(rules, TabularInput | SliceInput) or self.spec.task not in ("segmentation", "detection"):
                raise ModelFailure("it is no segmentation and no detection: it has nothing to blend")
            if image.shape[0] != len(rules.intensity):
                raise ModelFailure(f"it takes {len(rules.intensity)} channels, not {image.shape[0]}")
            return slide(
                self.session.runner(),
                image,
                Tiling(rules.patch, rules.overlap),
                finish_for(answer, self.spec.output),
                channels=self.spec.output.channels,
                wanted=wanted,
                cancelled=cancelled or self.cancelled,
                progress=progress,
            )


class OnnxEngine:
    """Opens models of a store. One engine serves all threads of a process.

    Parameters
    ----------
    store
        Asked at every opening, so that a new champion answers the next reading.
    cancelled
        Asked before every patch, where whoever runs a model over an image gives nothing of its own: the process is
        to end.
    """

    def __init__(
        self,
        store: ModelStore,
        options: EngineOptions | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self._store, self._cancelled = store, cancelled
        self._options = options or EngineOptions()
        self._sessions: OrderedDict[str, Session] = OrderedDict()  # by the file's sha256
        self._loading: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def open(self, model: str, version: str | None = None) -> OnnxModel:
        """The champion of ``model``, or the named version, loaded and warm.

        Raises
        ------
        EngineError
            It isn't there, was altered, can't be loaded, or isn't what its spec says.
        """
        try:
            released = self._store.champion(model) if version is None else self._store.version(model, version)
        except ConfigurationError as error:
            raise EngineError(str(error)) from error
        session = self._session(released)
        with _naming(released):
            session.check(released.spec)  # two versions may share a file, and so a session
        return OnnxModel(released, session, self._cancelled)

    def _session(self, released: ReleasedModel) -> Session:
        key = released.sha256
        with self._lock:
            loading = self._loading.setdefault(key, threading.Lock())
        with loading:  # whoever comes second waits for the first one's session
            with self._lock:
                found = self._sessions.get(key)
                if found is not None:
                    self._sessions.move_to_end(key)
                    return found
            content = released.content()
            with _naming(released):
                made = Session(content, self._options)
            with self._lock:
                self._sessions[key] = made
                while len(self._sessions) > self._options.sessions_kept:
                    old, _ = self._sessions.popitem(last=False)
                    self._loading.pop(old, None)
            return made


@contextmanager
def _naming(released: ReleasedModel) -> Iterator[None]:
    """Errors say which version's they are."""
    try:
        yield
    except (EngineError, ModelFailure) as error:
        raise type(error)(f"{released.name} {released.version}: {error}") from error

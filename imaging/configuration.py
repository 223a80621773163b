"""Reading YAML that a person wrote: validated wholly, and each mistake told in one line."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from imaging.errors import ConfigurationError

M = TypeVar("M", bound=BaseModel)


def validated(path: Path, model: type[M]) -> M:
    """The file's content as ``model``.

    Raises
    ------
    ConfigurationError
        One line per mistake: file, key, what is wrong, the nearest known key.
    """
    values = read_yaml(path)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError(explain(error, path, model)) from None


class _Loader(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error, not the last one's silent victory."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping; ConstructorError when a key is repeated."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for number, key in enumerate(keys):
            if key in keys[:number]:
                place = node.value[number][0].start_mark
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", place)
        return super().construct_mapping(node, deep=deep)


def read_yaml(path: Path) -> Mapping[str, Any]:
    """The mapping that the file holds, empty for an empty file; ConfigurationError names file and line."""
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506  (a SafeLoader)
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: no such file") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ConfigurationError(f"{path}: {line}is no YAML: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = " ".join(str(error).split())
        raise ConfigurationError(f"{path}: is no YAML: {problem}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path}: a mapping of settings was expected, not {type(values).__name__}")
    return values


def explain(error: ValidationError, path: Path, model: type[BaseModel] | None) -> str:
    """One line per mistake of a pydantic error: file, key, what is wrong, the nearest known key."""
    lines = []
    items = error.errors(include_url=False)
    for item in items:
        if item["type"] == "too_short" and any(_below(other["loc"], item["loc"]) for other in items):
            continue  # pydantic counts only the sound elements; the others have a line of their own
        parts, known = _place(model, item["loc"]) if model else (item["loc"], ())
        key = ".".join(str(part) for part in parts) or "(whole file)"
        if item["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(item["loc"][-1]), known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else (f"; known: {', '.join(known)}" if known else "")
            lines.append(f"{path}: {key}: unknown key{hint}")
        else:
            lines.append(f"{path}: {key}: {item['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)


def _below(location: tuple[int | str, ...], of: tuple[int | str, ...]) -> bool:
    return len(location) > len(of) and location[: len(of)] == of


def _place(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[list[int | str], tuple[str, ...]]:
    """A mistake's place as it stands in the file, and the keys that the model has beside it.

    pydantic puts the tag of a discriminated union into the location; the file has no such key.
    """
    parts: list[int | str] = []
    choices: tuple[type[BaseModel], ...] = (model,)  # what may stand at this place
    known: tuple[str, ...] = ()
    for part in location:
        known = tuple(choices[0].model_fields) if len(choices) == 1 else ()
        if len(choices) > 1 and (tagged := tuple(c for c in choices if part in _tags(c))):
            choices = tagged
            continue
        parts.append(part)
        if len(choices) == 1 and part in choices[0].model_fields:
            choices = _models_in(choices[0].model_fields[str(part)].annotation)
        # else a list's index or a mapping's key: the same choices
    return parts, known


def _models_in(annotation: Any) -> tuple[type[BaseModel], ...]:
    """The models of a field's annotation: itself, a union's members, the elements of a list or mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (annotation,)
    return tuple(model for part in get_args(annotation) for model in _models_in(part))


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    """The values by which a discriminated union would choose this model."""
    annotations = [field.annotation for field in model.model_fields.values()]
    return tuple(value for a in annotations if get_origin(a) is Literal for value in get_args(a))

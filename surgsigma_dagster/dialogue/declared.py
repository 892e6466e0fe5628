"""Declarations of this package and of its users: a YAML file that is to be one model."""

from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from surgsigma_dagster.sources.errors import SourceError

Model = TypeVar("Model", bound=BaseModel)


def declared(model: type[Model], file: Path | Traversable) -> Model:
    """What `file` declares. Raises `SourceError` naming file and key, what was expected and what was found."""
    try:
        return model.model_validate(yaml.safe_load(file.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SourceError(file, "", "readable YAML", " ".join(str(error).split())) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise SourceError(file, ".".join(map(str, first["loc"])), first["msg"], first["input"]) from error

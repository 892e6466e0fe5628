"""source.yaml: what the files of a source cannot say of themselves, stated by the one who holds it."""

from pathlib import Path
from typing import Any, get_args

import yaml

from surgsigma_dagster.sources.adapter import Specialty
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import TEXT, choice, composed, entries, member, optional, text

SIDECAR = "source.yaml"
KEYS = ("title", "specialty", "procedure_type", "licence", "consent", "may_be_released", "videos")
CONSENT = 'consent: {scope: "training of models inside the hospital", reference: "ethics vote 2026-014"}'
EXAMPLE = f"""\
title: Operating room 3
specialty: Hepatobiliary
procedure_type: procedure/cholecystectomy
licence: hospital internal
{CONSENT}
may_be_released: false
"""
VIDEO_KEYS = ("patient", "procedure_type")


def sidecar(root: Path, *, public: bool = False) -> dict[str, Any]:
    """The checked source.yaml of `root`; every scalar is text, and names of videos are composed.

    A `public` source needs no consent. Raises `SourceError` with the line or the JSON pointer.
    """
    if not (root / SIDECAR).is_file():
        expected = ", ".join(("title", "specialty", "procedure_type", "licence", *(() if public else (CONSENT,))))
        raise SourceError(root / SIDECAR, "", f"a file that states {expected}", "no such file")
    content = text(root, SIDECAR)
    try:
        value = yaml.load(content, Loader=yaml.BaseLoader)  # every scalar stays text: patient 007 is not 7
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise SourceError(SIDECAR, line, "YAML", error.problem) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SourceError(SIDECAR, "", "YAML", error) from error
    for key in ("title", "procedure_type", "licence"):
        member(SIDECAR, value, key, TEXT)
    member(SIDECAR, value, "specialty", choice(*get_args(Specialty)))
    member(SIDECAR, value, "may_be_released", optional(choice("true", "false")))
    _only(value, KEYS, "")
    if not public or "consent" in value:
        stated = value.get("consent")
        if not isinstance(stated, dict):
            raise SourceError(SIDECAR, "/consent", CONSENT, "none" if stated is None else stated)
        if missing := [key for key in ("scope", "reference") if key not in stated]:
            raise SourceError(SIDECAR, f"/consent/{missing[0]}", CONSENT, stated or "none")
        for key in ("scope", "reference"):
            member(SIDECAR, value.get("consent"), key, TEXT, "/consent")
    for pointer, video in entries(SIDECAR, value.get("videos") or {}, "/videos", dict):
        for key in VIDEO_KEYS:
            member(SIDECAR, video, key, optional(TEXT), pointer)
        _only(video, VIDEO_KEYS, pointer)
    return value | {"videos": {composed(name): video for name, video in (value.get("videos") or {}).items()}}


def procedure_types(value: dict[str, Any]) -> tuple[str, ...]:
    """Every kind of procedure that a sidecar states, of the source and of single videos."""
    own = (video.get("procedure_type") for video in value["videos"].values())
    return tuple(sorted({value["procedure_type"], *filter(None, own)}))


def _only(value: dict[str, Any], keys: tuple[str, ...], pointer: str) -> None:
    if unknown := [key for key in value if key not in keys]:
        raise SourceError(SIDECAR, f"{pointer}/{unknown[0]}", f"one of {', '.join(keys)}", unknown[0])

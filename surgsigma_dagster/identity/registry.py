"""The facts of this folder, read: families of datasets that share procedures, official splits, places of recording."""

import re
from functools import cache
from importlib.resources import files
from typing import Any

import yaml


@cache
def facts(name: str) -> dict[str, Any]:
    """The document `name`.yaml of this folder."""
    return yaml.safe_load((files(__package__) / f"{name}.yaml").read_text("utf-8"))


def families() -> list[dict[str, Any]]:
    """Families of datasets that show the same procedures."""
    return facts("shared_procedures")["families"]


def family_of(*datasets: str) -> dict[str, Any] | None:
    """The first family that all of `datasets` are members of."""
    return next((family for family in families() if {*datasets} <= family["members"].keys()), None)


def is_format(dataset: str) -> bool:
    """Whether `dataset` is only a format that anyone fills: its video ids mean nothing outside their folder."""
    return dataset in facts("shared_procedures")["formats"]


def family_number(dataset: str, video: str) -> tuple[str, int] | None:
    """Family and procedure number that `video` of `dataset` is registered as."""
    for family in families():
        member = family["members"].get(dataset)
        match = re.fullmatch(member["pattern"], video) if member else None
        if not member or not match:
            continue
        number = int(match[1])
        first, last = member.get("only", (number, number))
        if "map" in member:
            number = member["map"].get(number, -1)
        elif not first <= number <= last:
            continue
        else:
            number += member.get("offset", 0)
        if number >= 0:
            return family["name"], number
    return None


def video_number(dataset: str, procedure_id: str) -> int | None:
    """The number of the video of `dataset` that shows a procedure, where the registry or the id says so."""
    owner, _, own = procedure_id.partition("/")
    for family in families():
        member = family["members"].get(dataset)
        if family["name"] == owner and member and own.isdigit():
            if not member.get("in_split", True):
                return None
            if "map" in member:
                return next((video for video, number in member["map"].items() if number == int(own)), None)
            return int(own) - member.get("offset", 0)
    # Digits within a name may be a patient's, of a source that is called as the dataset is.
    return int(own) if owner == dataset and own.isdecimal() else None


def within(number: int, ranges: list[int | str]) -> bool:
    """Whether `number` is one of `ranges`: numbers, and `first-last`."""
    for item in ranges:
        first, _, last = str(item).partition("-")
        if int(first) <= number <= int(last or first):
            return True
    return False

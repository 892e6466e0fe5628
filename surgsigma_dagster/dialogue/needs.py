"""Which tasks a source's labels can feed, from `needs.yaml`."""

from collections.abc import Iterable
from functools import cache
from importlib.resources import files

import yaml


@cache
def _needs() -> dict[str, list[str]]:
    return yaml.safe_load((files(__package__) / "needs.yaml").read_text("utf-8"))["tasks"]


def tasks_fed(yields: Iterable[str]) -> list[str]:
    """Tasks that labels of these kinds (`boxes:instrument`, `criteria`) can be made into, in the file's order."""
    kinds = set(yields)
    return [task for task, needed in _needs().items() if kinds & set(needed)]

"""Progress of long stages: a bar where a person watches a terminal, a log line every few seconds elsewhere."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

log = logging.getLogger("surgsigma")
_EVERY_S = 10.0
T = TypeVar("T")


def track(items: Iterable[T], *, total: int, what: str) -> Iterator[T]:
    """Yield `items` while showing how many of `total` are through."""
    if total == 0:
        return
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track as rich_track

        yield from rich_track(items, description=what, total=total, console=Console(stderr=True), transient=True)
        return
    began = said = time.monotonic()
    for number, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - said > _EVERY_S and number < total:
            said = now
            left = (now - began) / number * (total - number)
            log.info("%s: %d of %d, about %.0f s left", what, number, total, left)

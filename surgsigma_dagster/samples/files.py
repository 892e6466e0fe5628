"""What the native formats have in common: text, rows and pictures on disk, and a procedure second by second."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2

from surgsigma_dagster.samples.render import Image, Rendering, render
from surgsigma_dagster.samples.scene import Script


def write_text(path: Path, text: str) -> None:
    """UTF-8, with the same line ends on every system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def write_rows(path: Path, rows: Iterable[Sequence[object]], delimiter: str = ",") -> None:
    """CSV, or TSV where `delimiter` is a TAB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter, lineterminator="\n").writerows(rows)


def write_picture(path: Path, image: Image) -> None:
    """In the format that the suffix names; three channels are written last first. Raises OSError where it fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), image):
        raise OSError(f"{path}: the picture could not be written")


def seconds(script: Script, size: tuple[int, int]) -> Iterator[tuple[int, Rendering]]:
    """The procedure at 1 fps."""
    return ((k, render(script.at(float(k)), *size)) for k in range(int(script.seconds)))

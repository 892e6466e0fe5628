"""How hard smoked pictures are: smoke, and what the dark channel prior makes of it, against the clear picture.

    python benchmarks/desmoking.py [FOLDER_OF_CLEAR_FRAMES …]

Frames are drawings of `surgsigma_dagster.samples`, and the clear ones among the pictures of each folder named. Prints a
table by thickness of smoke, of the middle half of the pictures; exits with 1 where smoke is

- trivial: thin smoke leaves the picture as it was (mean PSNR above 30 dB), or the classical baseline gives back what
  cannot be told from it (above 35 dB);
- hopeless: thick smoke leaves no structure to restore (mean SSIM below 0.6);
- no smoke: it does not lower both figures from each thickness to the next.
"""

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import polars as pl

from surgsigma_dagster.samples import cholecystectomy, prostatectomy
from surgsigma_dagster.samples.render import Image, render
from surgsigma_dagster.synthesis.desmoking import desmoked, psnr, ssim
from surgsigma_dagster.synthesis.smoke import RANGES, is_clear, smoke_for, smoked

LEVELS = ("thin", "middle", "thick")  # thirds of the range of beta
TRIVIAL_DB, RESTORED_DB, HOPELESS = 30.0, 35.0, 0.6
PER_LEVEL = 24  # smoked pictures of each thickness and kind of frame
MEASURES = ("smoked_psnr", "smoked_ssim", "desmoked_psnr", "desmoked_ssim")


def drawn() -> list[Image]:
    """Twelve sample frames of two operations."""
    scripts = (cholecystectomy.VIDEO51, prostatectomy.CASE001)
    return [render(script.at(second), 480, 272).image for script in scripts for second in range(0, 30, 5)]


def pictures(folder: Path) -> list[Image]:
    """The clear ones among the pictures of a folder, 24 at most, spread over it."""
    files = sorted(path for path in folder.rglob("*.*") if path.suffix in {".png", ".jpg"})
    read = (cv2.imread(str(path)) for path in files[:: max(1, len(files) // 24)])
    return [image for image in read if image is not None and is_clear(image)]


def middle(image: Image) -> Image:
    """The middle half of a picture, which a round view fills: the black around it is easy to get right."""
    height, width = image.shape[:2]
    return image[height // 4 : -height // 4, width // 4 : -width // 4]


def level(beta: float) -> str:
    """The third of the range that `beta` lies in."""
    low, high = RANGES["beta"]
    return LEVELS[min(int(3 * (beta - low) / (high - low)), 2)]


def measured(frames: str, images: list[Image]) -> list[dict[str, Any]]:
    """PSNR and SSIM of smoked and of desmoked pictures against clear ones; seeds count from 0."""
    wanted, rows, seed = dict.fromkeys(LEVELS, PER_LEVEL), [], 0
    while any(wanted.values()):
        smoke, clear = smoke_for(seed), images[seed % len(images)]
        seed += 1
        if wanted[level(smoke.beta)]:
            wanted[level(smoke.beta)] -= 1
            hazy = smoked(clear, smoke)
            shown, seen, again = (middle(image) for image in (clear, hazy, desmoked(hazy)))
            figures = (psnr(seen, shown), ssim(seen, shown), psnr(again, shown), ssim(again, shown))
            rows.append({"frames": frames, "smoke": level(smoke.beta), **dict(zip(MEASURES, figures, strict=True))})
    return rows


def faults(table: pl.DataFrame) -> list[str]:
    """What the stated criteria say against the smoke."""
    found = []
    for (frames,), part in table.group_by("frames", maintain_order=True):
        by_smoke: dict[str, list[float]] = {name: part[name].to_list() for name in MEASURES}
        if by_smoke["smoked_psnr"][0] > TRIVIAL_DB or max(by_smoke["desmoked_psnr"]) > RESTORED_DB:
            found.append(f"{frames}: trivial")
        if by_smoke["smoked_ssim"][-1] < HOPELESS:
            found.append(f"{frames}: hopeless")
        falling = (pairwise(by_smoke[name]) for name in ("smoked_psnr", "smoked_ssim"))
        if any(after >= before for pairs in falling for before, after in pairs):
            found.append(f"{frames}: more smoke does not hide more")
    return found


def main(folders: list[str]) -> int:
    """Print the table; the last line is the figures of all kinds of frames."""
    rows = measured("drawn", drawn())
    for folder in folders:
        if images := pictures(Path(folder)):
            rows += measured(Path(folder).name, images)
        else:
            print(f"{folder}: no clear picture")
    table = pl.DataFrame(rows).group_by("frames", "smoke", maintain_order=True)
    means = table.agg(pl.len().alias("n"), pl.col(*MEASURES).mean().round(3))
    means = means.sort("frames", pl.col("smoke").replace_strict(LEVELS, range(3)), maintain_order=True)
    with pl.Config(tbl_rows=-1, tbl_width_chars=120, tbl_hide_column_data_types=True, tbl_hide_dataframe_shape=True):
        print(means)
    against = faults(means)
    whole = pl.DataFrame(rows).select(pl.col(*MEASURES).mean()).row(0, named=True)
    said = ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in whole.items())
    print(f"{'; '.join(against) or 'neither trivial nor hopeless'}: {said}")
    return 1 if against else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

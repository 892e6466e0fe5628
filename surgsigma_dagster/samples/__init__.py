"""Small sources in native formats, for the demo and the tests: drawings of two operations, with exact labels.

A scripted procedure says what is where at time t (`scene`; the operations are `cholecystectomy` and
`prostatectomy`), tissues and instruments are outlines in one coordinate system (`shapes`, `instruments`), and
`render` paints the picture and the masks that labels are measured on. `native_formats` writes them the way
the datasets lie on disk, `encode` the videos. No pixel comes from a patient.

Coordinates are scope units: the centre of the round view is (0, 0), its rim has radius 1, y goes down.
"""

from surgsigma_dagster.samples.native_formats import write_samples

__all__ = ["write_samples"]

"""The entry that Dagster loads."""

from surgsigma_dagster.build import build_defs

defs = build_defs()

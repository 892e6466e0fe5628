"""Fixtures that several tiers share: the sample sources, written once, and the real label files where they are."""

from pathlib import Path

import pytest
from hypothesis import Phase, settings

from surgsigma_dagster.samples import write_samples
from surgsigma_dagster.video.binary import binary

# The same examples on every machine: a run that is red today and green tomorrow helps nobody. Search with
# `pytest --hypothesis-profile=search`, which also shrinks what it finds: minutes that a suite has not.
_PHASES = (Phase.explicit, Phase.generate)
settings.register_profile("suite", derandomize=True, deadline=None, print_blob=True, phases=_PHASES)
settings.register_profile("search", max_examples=2000, deadline=None)
settings.load_profile("suite")

REAL_LABELS = Path(__file__).parents[2] / "shared" / "labels"


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the sample sources; never written to by a test."""
    return write_samples(tmp_path_factory.mktemp("samples"), binary("ffmpeg")).parent


@pytest.fixture(scope="session")
def real_labels() -> Path:
    if not REAL_LABELS.is_dir():
        pytest.skip(f"no real label files at {REAL_LABELS}: their licences keep them out of the project")
    return REAL_LABELS

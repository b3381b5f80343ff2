"""The collections of the recordings' tests, for the commands."""

from tests.training.recordings.conftest import (  # noqa: F401
    by_source,
    decoded,
    musicnet,
    write_sound,
)

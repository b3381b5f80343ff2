"""The collections of the recordings' tests, for the commands."""

from tests.training.recordings.conftest import by_source, musicnet, write_sound  # noqa: F401

"""The pictures and collections of other tests, for the recipes that train on them."""

from tests.training.pictures.conftest import *  # noqa: F403 - fixtures
from tests.training.recordings.conftest import (  # noqa: F401 - fixtures
    by_source,
    decoded,
    musicnet,
    write_sound,
)

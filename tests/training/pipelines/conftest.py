"""The pictures of the pictures' tests, for the recipes that train on them."""

from tests.training.pictures.conftest import *  # noqa: F403 - fixtures

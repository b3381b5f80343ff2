from pathlib import Path

import pytest

from training.common.paths import cache_root, data_root, is_hidden


def test_the_setting_comes_before_the_environment_and_the_default(monkeypatch, tmp_path):
    monkeypatch.delenv("TIMBRE_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_root() == Path("../shared/data")
    monkeypatch.setenv("TIMBRE_DATA", "/data")
    assert data_root() == Path("/data")
    assert data_root("mine") == Path("mine")
    assert cache_root() == tmp_path / ".cache" / "timbre"
    assert cache_root("~/cache") == tmp_path / "cache"


@pytest.mark.parametrize("name", [".DS_Store", "._1.jpg", "Thumbs.db", "desktop.ini", "__MACOSX"])
def test_what_systems_put_into_folders_is_hidden(name):
    assert is_hidden(name)
    assert not is_hidden(f"my {name.lstrip('.')}")

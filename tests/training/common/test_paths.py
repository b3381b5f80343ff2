from pathlib import Path

from training.common.paths import cache_root, data_root


def test_the_setting_comes_before_the_environment_and_the_default(monkeypatch, tmp_path):
    monkeypatch.delenv("TIMBRE_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_root() == Path("../shared/data")
    monkeypatch.setenv("TIMBRE_DATA", "/data")
    assert data_root() == Path("/data")
    assert data_root("mine") == Path("mine")
    assert cache_root() == tmp_path / ".cache" / "timbre"
    assert cache_root("~/cache") == tmp_path / "cache"

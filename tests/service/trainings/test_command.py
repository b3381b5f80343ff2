"""`timbre` as a process of its own: outcome, time limit, and no module of the folder it runs in."""

import pytest

from common.errors import Late
from service.trainings.command import run_timbre


async def test_the_outcome_has_code_output_and_words(tmp_path):
    ended = await run_timbre("--version", folder=tmp_path, limit_s=60)
    assert (ended.code, ended.output.split()[0]) == (0, "timbre")
    ended = await run_timbre("train", "nonesuch", "--check", folder=tmp_path, limit_s=60)
    assert ended.code == 1
    assert ended.said.startswith("timbre train: no recipe 'nonesuch'")


async def test_modules_in_the_folder_are_not_loaded(tmp_path):
    for name in ("numpy", "service", "training"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('loaded')")
    (tmp_path / "json.py").write_text("raise SystemExit('loaded')")
    ended = await run_timbre("train", "sounds", "--check", folder=tmp_path, limit_s=60)
    assert (ended.code, ended.said) == (0, "")


async def test_a_command_that_takes_too_long_is_ended(tmp_path):
    with pytest.raises(Late, match=r"`timbre train` took longer than 0\.01 s"):
        await run_timbre("train", "sounds", "--check", folder=tmp_path, limit_s=0.01)

"""Versions side by side: what is counted, and the whole with a commit of before."""

import shutil

import pytest

from benchmarks.cluster import upgrade
from benchmarks.cluster.account import Account
from benchmarks.reporting import results
from common.errors import TimbreError
from tests.helpers.server_process import ROOT


class Counted:
    def __init__(self, account, sent):
        self.accounts, self.samples = [account], [sent]


class Clips:
    def __init__(self, answered=1, wrong=(), cut=0):
        self.answered, self.wrong, self.cut = answered, list(wrong), cut


def account(*starts):
    made = Account(hop=10, length=20)
    made.answered.update(starts)
    return made


@pytest.mark.parametrize(
    ("starts", "clips", "whole"),
    [
        ((0, 10), Clips(), True),
        ((0, 10), Clips(cut=1), True),
        ((0,), Clips(), False),
        ((0, 10, 10), Clips(), False),
        ((0, 10), Clips(wrong=["other labels"]), False),
        ((0, 10), Clips(answered=0), False),
    ],
)
def test_it_is_whole_when_every_window_has_one_answer_and_no_clip_is_wrong(starts, clips, whole):
    told, found = upgrade.account_of([Counted(account(*starts), 30)], clips)
    assert found is whole
    assert "1 streams, 2 windows" in told
    assert all(wrong in told for wrong in clips.wrong)


def test_a_commit_that_is_not_there_is_named(tmp_path):
    if not (ROOT / ".git").exists():
        pytest.skip("only git knows earlier versions")
    with pytest.raises(TimbreError, match="no-such-commit"):
        upgrade.built("no-such-commit", tmp_path / "old")


@pytest.mark.slow  # builds a wheel, and takes minutes
@pytest.mark.timeout(1_200)
def test_the_version_of_before_works_beside_this_one(tmp_path):
    if not (ROOT / ".git").exists() or not shutil.which("redis-server"):
        pytest.skip("it needs git and redis-server")
    made = tmp_path / "upgrade.json"
    assert upgrade.main(["--streams", "2", "--seconds", "4", "--json", str(made)]) == 0
    report = results.read(made)
    assert report["rows"][0]["what"] == "old, old"
    assert f"--ref {report['settings']['ref']} --streams 2 --seconds 4" in report["command"]

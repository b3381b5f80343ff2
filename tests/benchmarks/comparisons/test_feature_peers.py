"""Features beside other libraries: parity is counted, and what is missing is named."""

import pytest

from benchmarks import features
from benchmarks.comparisons import environment, feature_peers
from common.errors import TimbreError


def test_parity_counts_numbers_within_a_percent_and_coefficients_within_half_a_decibel():
    oracle = {"rms": 1.0, "centroid": 100.0, "mfcc1": -100.0, "mfcc2": 1.0}
    found = feature_peers.parity({"rms": 1.0099, "mfcc1": -99.01, "mfcc2": 1.5}, oracle)
    assert found == {"numbers": 3, "as_librosa": 3, "worst_db": pytest.approx(0.99)}
    found = feature_peers.parity({"rms": 1.0101, "mfcc1": -98.9, "mfcc2": 1.501}, oracle)
    assert found["as_librosa"] == 0
    assert feature_peers.parity({"rms": 1.0}, oracle)["worst_db"] is None


def test_a_peer_that_does_not_start_is_a_gap_and_the_others_are_timed(monkeypatch):
    def peer(name, *_):
        raise TimbreError(f"no {name}")

    monkeypatch.setattr(environment, "peer", peer)
    monkeypatch.setitem(feature_peers.TINY, "peers", ["some"])
    monkeypatch.setattr(features, "librosa_features", feature_peers.extract)
    table = feature_peers.run(tiny=True)
    assert [row["name"] for row in table] == ["timbre", "librosa", "some"]
    assert table[-1] == {"name": "some", "gap": "no some"}
    assert table[0]["as_librosa"] == table[0]["numbers"] == 26


@pytest.mark.parametrize(("ratio", "numbers", "missed"), [(0.9, 26, 1), (1.0, 26, 0), (0.9, 20, 0)])
def test_who_is_faster_with_all_features_is_named(ratio, numbers, missed):
    row = {"name": "x", "ratio": ratio, "numbers": numbers}
    assert len(feature_peers.shortfalls([row, {"name": "y", "gap": "z"}])) == missed


@pytest.mark.slow  # environments of their own
def test_peers_have_their_part_of_the_26(monkeypatch):
    names = ["kaldi-native-fbank", "essentia"]
    monkeypatch.setitem(feature_peers.TINY, "peers", names)
    found = {row["name"].split()[0]: row for row in feature_peers.run(tiny=True)}
    assert found["kaldi-native-fbank"]["as_librosa"] == 20
    assert found["essentia"]["numbers"] == 24

"""Windows of recordings as numbers, computed once for a content and a network."""

import numpy as np
import pytest
import soundfile as sf

from tests.training.sound_models.helpers.filterbank import BANDS, by_level, filterbank
from training.common.errors import MaterialError
from training.data_cli import embedded
from training.data_cli.embedded import FEW, describer, directions, embed, scale_of, silent
from training.recordings.collection import Clip, CollectionError
from training.recordings.settings import WindowSpec

SPEC = WindowSpec(length=1.0, hop=0.5)


@pytest.fixture
def clip(tmp_path, write_sound):
    return Clip(write_sound(tmp_path / "a.wav", hertz=500), 0.0, 3.0, (), "a")


@pytest.fixture
def network(tmp_path):
    return str(filterbank(tmp_path / "bands.onnx", window=22_050))


def embedded_once(clip, by, tmp_path):
    return embed([clip], SPEC, describer(by, length=1.0), cache=str(tmp_path / "cache"))[0]


def kept(tmp_path):
    return sorted((tmp_path / "cache" / "embeddings").glob("*/*.npz"))


def test_without_a_network_windows_are_the_26_features(clip, tmp_path):
    windows = embedded_once(clip, "", tmp_path)
    assert windows.rows.shape == (5, 26)
    assert windows.start.tolist() == [0, 0.5, 1, 1.5, 2]


def test_a_recording_is_described_once_for_each_content_and_network(
    clip, network, tmp_path, monkeypatch
):
    first = embedded_once(clip, network, tmp_path)
    assert first.rows.shape == (5, BANDS)
    monkeypatch.setattr(embedded, "_computed", lambda *_: pytest.fail("computed again"))
    copy = tmp_path / "copy.wav"
    copy.write_bytes(clip.path.read_bytes())
    again = embedded_once(Clip(copy, 0.0, 3.0, (), "b"), network, tmp_path)
    np.testing.assert_array_equal(first.rows, again.rows)
    assert len(kept(tmp_path)) == 1


def test_another_version_of_the_network_never_gets_the_embeddings_of_this_one(
    clip, network, tmp_path
):
    import onnx

    first = embedded_once(clip, network, tmp_path)
    model = onnx.load(network)
    floor = next(each for each in model.graph.initializer if each.name == "floor")
    floor.CopyFrom(onnx.numpy_helper.from_array(np.float32([0.5]), "floor"))
    onnx.save(model, network)
    assert not np.allclose(embedded_once(clip, network, tmp_path).rows, first.rows)
    assert len(kept(tmp_path)) == 2


def test_what_is_kept_and_damaged_is_computed_again(clip, network, tmp_path):
    first = embedded_once(clip, network, tmp_path)
    kept(tmp_path)[0].write_bytes(b"")
    np.testing.assert_array_equal(embedded_once(clip, network, tmp_path).rows, first.rows)


def test_windows_without_sound_are_left_out(tmp_path):
    sound = np.zeros(4 * 22_050, np.float32)
    sound[22_050:44_100] = 0.2 * np.sin(np.arange(22_050) / 5)
    sf.write(tmp_path / "a.wav", sound, 22_050)
    windows = embedded_once(Clip(tmp_path / "a.wav", 0, 4.0, (), "a"), "", tmp_path)
    assert windows.start.tolist() == [0.5, 1, 1.5]


def test_a_recording_that_holds_nan_is_a_problem_and_the_others_are_used(clip, tmp_path):
    sound = np.zeros(66_150, np.float32)
    sound[100] = np.nan
    sf.write(tmp_path / "nan.wav", sound, 22_050, subtype="FLOAT")
    clips = [Clip(tmp_path / "nan.wav", 0, 3.0, (), "n"), clip]
    windows, problems = embed(clips, SPEC, describer("", length=1.0), cache=str(tmp_path / "c"))
    assert set(windows.clip.tolist()) == {1}
    assert [one.path.name for one in problems] == ["nan.wav"]


def test_of_silence_alone_nothing_is_compared(tmp_path):
    sf.write(tmp_path / "a.wav", np.zeros(66_150), 22_050)
    with pytest.raises(CollectionError, match="nothing sounds in any of 1 recordings"):
        embedded_once(Clip(tmp_path / "a.wav", 0, 3.0, (), "a"), "", tmp_path)


def test_a_network_of_another_shape_is_named(network):
    with pytest.raises(MaterialError, match=r"bands\.onnx takes wave of \(0, 22050\)"):
        describer(network, length=2.0)


def test_directions_have_length_one_and_features_are_standardised():
    rows = np.float32([[1, 1000], [2, 3000], [3, 5000]])
    found = directions(rows, describer("", length=1.0))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 0, 1], atol=1e-6)
    np.testing.assert_allclose(found[0], -found[2], atol=1e-6)
    np.testing.assert_allclose(np.abs(found[0]), np.sqrt([0.5, 0.5]), atol=1e-6)


def clips_of(path, count):
    return [Clip(path, 0.5 * n, 0.5 * n + 1, (), "s") for n in range(count)]


def test_a_recording_of_many_clips_is_decoded_once_and_not_at_all_when_known(
    tmp_path, write_sound, decoded
):
    clips = clips_of(write_sound(tmp_path / "a.wav", hertz=500, seconds=4), 6)
    last = Clip(write_sound(tmp_path / "b.wav", hertz=500), 0.0, 3.0, (), "b")
    by = describer("", length=1.0)
    first, _ = embed([*clips, last], SPEC, by, cache=str(tmp_path / "c"))
    assert decoded == ["a.wav", "b.wav"]
    assert first.start.tolist() == [*(0.5 * n for n in range(6)), 0, 0.5, 1, 1.5, 2]
    again, _ = embed([*clips, last], SPEC, by, cache=str(tmp_path / "c"))
    assert decoded == ["a.wav", "b.wav"]
    np.testing.assert_array_equal(first.rows, again.rows)
    alone, _ = embed(clips[3:4], SPEC, by, cache=str(tmp_path / "alone"))
    np.testing.assert_array_equal(alone.rows, first.rows[3:4])


def test_a_broken_recording_of_many_clips_is_tried_and_named_once(tmp_path, clip, decoded):
    (tmp_path / "broken.wav").write_bytes(b"RIFF....WAVE")
    clips = [*clips_of(tmp_path / "broken.wav", 5), clip]
    _, problems = embed(clips, SPEC, describer("", length=1.0), cache=str(tmp_path / "c"))
    assert [one.path.name for one in problems] == ["broken.wav"]
    assert decoded == ["broken.wav", "a.wav"]


def test_a_short_clip_is_silent_though_the_recording_goes_on(tmp_path):
    sound = np.zeros(4 * 22_050, np.float32)
    sound[22_050:] = 0.2 * np.sin(np.arange(3 * 22_050) / 5)
    sf.write(tmp_path / "a.wav", sound, 22_050)
    clips = [Clip(tmp_path / "a.wav", *edges, (), "a") for edges in ((0, 0.5), (1.5, 2.0))]
    windows, problems = embed(clips, SPEC, describer("", length=1.0), cache=str(tmp_path / "c"))
    assert windows.clip.tolist() == [1]
    assert problems == []
    assert silent(clips, windows, problems) == clips[:1]


@pytest.mark.parametrize(("different", "more"), [(FEW - 1, 40), (FEW, 0)])
def test_few_different_windows_are_standardised_together_with_generated_sounds(different, more):
    rows = np.random.default_rng(0).normal(size=(different, 26)).astype(np.float32)
    rows = np.concatenate([rows, rows[:5]])
    found = scale_of(rows, describer("", length=1.0))
    assert len(found) == len(rows) + more
    np.testing.assert_array_equal(found[: len(rows)], rows)


def test_embeddings_of_a_network_are_compared_as_they_are(network):
    rows = np.zeros((1, BANDS), np.float32)
    assert scale_of(rows, describer(network, length=1.0)) is rows


def test_a_recording_that_the_network_cannot_take_is_named_and_the_others_are_used(tmp_path):
    by_level(tmp_path / "level.onnx", window=22_050, peak=0.5)
    clips = []
    for name, peak in (("loud", 0.75), ("half", 0.5), ("soft", 0.25)):
        path = tmp_path / f"{name}.wav"
        sf.write(path, np.resize([peak, -peak / 2], 22_050), 22_050, subtype="FLOAT")
        clips.append(Clip(path, 0.0, 1.0, (), name))
    describe = describer(str(tmp_path / "level.onnx"), length=1.0)
    windows, problems = embed(clips, SPEC, describe, cache=str(tmp_path / "cache"))
    assert windows.clip.tolist() == [0, 2]
    assert [problem.path.name for problem in problems] == ["half.wav"]
    assert "level.onnx gave embeddings of (1, 12) for 1 windows, 1 of them" in problems[0].why

"""The oracle is librosa 0.11; the bar is 1e-5 relative, 1e-6 absolute near zero."""

import gc
import threading
import weakref

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from common.errors import Unprocessable
from features.banks import tables
from features.config import DEFAULT, AudioConfig
from features.decode import decode
from features.extract import (
    FEATURE_NAMES,
    KEPT,
    Analysis,
    _local,
    compute,
    extract,
    extract_many,
    log_mel,
)
from service.doctor import kernels
from tests.features import oracle


def test_there_are_26_features_in_the_published_order():
    assert FEATURE_NAMES[:6] == ("chroma", "rms", "centroid", "bandwidth", "rolloff", "zcr")
    assert FEATURE_NAMES[6:] == tuple(f"mfcc{i}" for i in range(1, 21))


@pytest.mark.parametrize("name", oracle.SOUNDS)
def test_features_equal_librosa(name):
    vector = extract(oracle.SOUNDS[name])
    assert vector.dtype == np.float32
    assert_allclose(vector, oracle.features(oracle.SOUNDS[name]), rtol=1e-5, atol=1e-6)


def test_features_equal_librosa_on_real_recordings(shared_data):
    paths = [
        *sorted(shared_data.glob("audio/*/*/*.mp3"))[::80],
        *sorted(shared_data.glob("audio/ensemble/*.ogg")),
    ]
    assert len(paths) > 15
    for path in paths:
        sound = decode(path.read_bytes())
        window = np.zeros(DEFAULT.window, np.float32)
        window[: min(sound.size, window.size)] = sound[: window.size]
        assert_allclose(
            extract(window), oracle.features(window), rtol=1e-5, atol=1e-6, err_msg=path.name
        )


@pytest.mark.parametrize("name", oracle.SOUNDS)
def test_log_mel_equals_librosa(name):
    image = log_mel(oracle.SOUNDS[name])
    assert image.shape == DEFAULT.shape("log_mel") == (128, 87)
    assert_allclose(image, oracle.log_mel(oracle.SOUNDS[name]), atol=2e-3)


@pytest.mark.parametrize("size", [1, 511, 512, 1_023, 2_048, 10_000, 44_099, 44_101, 88_200])
def test_any_length_equals_librosa(size):
    sound = np.tile(oracle.melody(1), 2)[3_000 : 3_000 + size]
    assert_allclose(extract(sound), oracle.features(sound), rtol=1e-5, atol=1e-6)


def test_a_batch_gives_what_each_window_gives_alone():
    windows = np.stack([oracle.noise(1, level=1e-4), oracle.melody(0)])
    assert_array_equal(extract_many(windows), [extract(window) for window in windows])


def test_no_state_is_carried_from_one_window_to_the_next():
    before = extract(oracle.melody(0))
    extract(oracle.noise(2, level=10))
    log_mel(oracle.noise(2))
    assert_array_equal(extract(oracle.melody(0)), before)


def test_its_tables_live_as_long_as_the_analysis_that_points_into_them():
    config = AudioConfig(sample_rate=12_345)
    analysis = Analysis(config, kind="log_mel")
    made = weakref.ref(tables(config))
    tables.cache_clear()
    gc.collect()
    assert made() is not None
    del analysis
    gc.collect()
    assert made() is None


def test_threads_do_not_disturb_each_other():
    sounds = [oracle.melody(seed) for seed in range(4)]
    expected = [extract(sound) for sound in sounds]
    wrong = []

    def work(i):
        wrong.extend(i for _ in range(50) if not np.array_equal(extract(sounds[i]), expected[i]))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0),
        np.zeros((2, 100)),
        np.array([0.0, np.nan]),
        np.array([np.inf]),
        np.array([np.inf, -np.inf]),
    ],
    ids=["empty", "two channels", "nan", "infinity", "both infinities"],
)
def test_samples_that_are_no_sound_are_rejected(samples):
    with pytest.raises(Unprocessable):
        compute(samples, kind="features")


def test_another_frame_length_is_rejected():
    with pytest.raises(Unprocessable, match="1024"):
        extract(oracle.noise(0), config=AudioConfig(n_fft=1_024))


def test_another_rate_equals_librosa_at_that_rate():
    config = AudioConfig(sample_rate=44_100, window=88_200)
    sound = np.tile(oracle.melody(3), 2)
    import librosa

    expected = librosa.feature.mfcc(y=sound, sr=44_100, n_mfcc=20).mean(axis=1)
    assert_allclose(extract(sound, config=config)[6:], expected, rtol=1e-5, atol=1e-6)
    chroma = librosa.feature.chroma_stft(y=sound, sr=44_100).mean()
    assert_allclose(extract(sound, config=config)[0], chroma, rtol=1e-5)


def test_a_long_sound_leaves_no_memory_behind():
    extract(np.tile(oracle.melody(0), 20))
    assert len(_local.work.rows.values) <= KEPT


def test_the_numbers_that_timbre_doctor_expects_are_librosa_s():
    np.testing.assert_allclose(oracle.features(kernels.probe()), kernels.EXPECTED, rtol=1e-5)

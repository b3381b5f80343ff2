"""The features of a window by other libraries: features_peer.py NAME SOUND.npy.

Each with librosa's settings as far as it has them: 22,050 Hz, frames of 2,048 samples at a distance
of 512, Hann, 128 mel bands, 20 coefficients. Values are told in librosa's units: dB, not nepers.
"""

import sys
from importlib.metadata import version

import numpy as np
import timed

RATE, FRAME, HOP, BANDS, COEFFICIENTS = 22_050, 2_048, 512, 128, 20
DB = 10 / np.log(10)
MFCC = [f"mfcc{number}" for number in range(1, COEFFICIENTS + 1)]


def kaldi_native_fbank(y):
    import kaldi_native_fbank as knf

    options = knf.MfccOptions()
    frames, mel = options.frame_opts, options.mel_opts
    frames.samp_freq, frames.window_type = RATE, "hann"
    frames.frame_length_ms, frames.frame_shift_ms = 1_000 * FRAME / RATE, 1_000 * HOP / RATE
    frames.dither = frames.preemph_coeff = 0
    frames.remove_dc_offset = frames.snip_edges = False
    mel.num_bins, mel.low_freq, mel.high_freq, mel.is_librosa = BANDS, 0, 0, True
    options.num_ceps, options.use_energy, options.cepstral_lifter = COEFFICIENTS, False, 0

    def call():
        stream = knf.OnlineMfcc(options)
        stream.accept_waveform(RATE, y)
        stream.input_finished()
        rows = [stream.get_frame(number) for number in range(stream.num_frames_ready)]
        return DB * np.mean(rows, axis=0)

    return call, MFCC


def essentia(y):
    import essentia.standard as es

    window = es.Windowing(type="hann", size=FRAME, normalized=False, zeroPhase=False)
    spectrum = es.Spectrum(size=FRAME)
    mfcc = es.MFCC(
        inputSize=FRAME // 2 + 1,
        sampleRate=RATE,
        numberBands=BANDS,
        numberCoefficients=COEFFICIENTS,
        lowFrequencyBound=0,
        highFrequencyBound=RATE / 2,
        warpingFormula="slaneyMel",
        weighting="linear",
        normalize="unit_tri",
        logType="dbpow",
        dctType=2,
    )
    others = es.RMS(), es.Centroid(range=RATE / 2), es.RollOff(sampleRate=RATE)
    rms, centroid, rolloff = others
    crossings = es.ZeroCrossingRate()

    def call():
        rows = []
        for frame in es.FrameGenerator(y, frameSize=FRAME, hopSize=HOP, startFromZero=False):
            bins = spectrum(window(frame))
            few = rms(frame), centroid(bins), rolloff(bins), crossings(frame)
            rows.append([*few, *mfcc(bins)[1]])
        return np.mean(rows, axis=0)

    return call, ["rms", "centroid", "rolloff", "zcr", *MFCC]


def audioflux(y):
    import audioflux as af
    from audioflux import type as kinds

    mel = af.BFT(
        num=BANDS,
        radix2_exp=11,
        samplate=RATE,
        low_fre=0.0,
        high_fre=RATE / 2,
        window_type=kinds.WindowType.HANN,
        slide_length=HOP,
        scale_type=kinds.SpectralFilterBankScaleType.MEL,
        style_type=kinds.SpectralFilterBankStyleType.SLANEY,
        normal_type=kinds.SpectralFilterBankNormalType.AREA,
        data_type=kinds.SpectralDataType.POWER,
    )
    cepstrum = af.XXCC(num=BANDS)

    def call():
        bands = np.abs(mel.bft(y, result_type=1))
        cepstrum.set_time_length(bands.shape[1])
        return 10 * cepstrum.xxcc(bands, cc_num=COEFFICIENTS).mean(axis=1)

    return call, MFCC


def opensmile(y):
    import opensmile as smile

    config = sys.argv[0].replace("features_peer.py", "opensmile.conf")
    extractor = smile.Smile(feature_set=config, feature_level="mfcc")
    return lambda: DB * extractor.process_signal(y, RATE).to_numpy().mean(axis=0), MFCC


def torchaudio(y):
    import torch
    import torchaudio as ta

    torch.set_num_threads(1)
    sound = torch.from_numpy(y)
    settings = {"n_fft": FRAME, "hop_length": HOP, "pad_mode": "constant"}
    bands = {"n_mels": BANDS, "norm": "slaney", "mel_scale": "slaney"}
    mfcc = ta.transforms.MFCC(RATE, COEFFICIENTS, melkwargs=settings | bands)
    centroid = ta.transforms.SpectralCentroid(RATE, n_fft=FRAME, hop_length=HOP)

    def call():
        with torch.inference_mode():
            return [float(centroid(sound).mean()), *mfcc(sound).mean(dim=1).tolist()]

    return call, ["centroid", *MFCC]


name, path = sys.argv[1:]
call, names = globals()[name.replace("-", "_")](np.load(path))
values = dict(zip(names, map(float, call()), strict=True))
timed.serve(call, version=version(name), values=values)

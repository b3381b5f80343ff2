"""A sound file in, scores out, as it is often built: aiohttp, a process pool, librosa and joblib.

process_pool_server.py FOREST.joblib PORT. Each request is decoded and its 26 features are computed
by librosa in a pool of as many processes as there are cores, which hold the forest too.
"""

import asyncio
import io
import os
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor

import joblib
import librosa
import numpy as np
from aiohttp import web

forest = None


def load(path):
    global forest
    forest = joblib.load(path)


def features(y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [
            librosa.feature.chroma_stft(y=y, sr=22_050),
            librosa.feature.rms(y=y),
            librosa.feature.spectral_centroid(y=y, sr=22_050),
            librosa.feature.spectral_bandwidth(y=y, sr=22_050),
            librosa.feature.spectral_rolloff(y=y, sr=22_050),
            librosa.feature.zero_crossing_rate(y),
            librosa.feature.mfcc(y=y, sr=22_050, n_mfcc=20),
        ]
    return np.concatenate([[f.mean()] if len(f) in (1, 12) else f.mean(axis=1) for f in found])


def classify(body):
    samples, _ = librosa.load(io.BytesIO(body), sr=22_050, duration=2)
    scores = forest.predict_proba(features(samples).reshape(1, -1))
    return [float(score[0, 1]) for score in scores]


async def answer(request):
    body = await request.read()
    loop = asyncio.get_running_loop()
    scores = await loop.run_in_executor(request.app["pool"], classify, body)
    return web.json_response({"scores": scores})


async def ready(_):
    return web.json_response({"status": "ready"})


if __name__ == "__main__":
    app = web.Application(client_max_size=32 * 2**20)
    cores = os.cpu_count()
    # librosa compiles itself at its first use; several processes that do so at once crash.
    features(np.zeros(44_100, np.float32))
    app["pool"] = ProcessPoolExecutor(cores, initializer=load, initargs=(sys.argv[1],))
    list(app["pool"].map(abs, range(2 * cores)))
    app.router.add_post("/classify", answer)
    app.router.add_get("/readyz", ready)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[2]), print=None)

"""Write recordings of six made-up machines, each running well and with a loose part.

Run: .venv/bin/python examples/machine_sounds.py recordings
"""

import argparse
import wave
from pathlib import Path

import numpy as np

RATE, SECONDS = 22_050, 6
time = np.arange(SECONDS * RATE) / RATE


def machine(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return a hum of its own pitch, and the same with a knock four times a second."""
    pitch = rng.uniform(45, 55)
    hum = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 9))
    knock = 3 * rng.standard_normal(time.size) * (np.sin(2 * np.pi * 4 * time) > 0.97)
    return {"well": hum, "loose": hum + knock}


def write(path: Path, samples: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((3_000 * samples).clip(-32_767, 32_767).astype("<i2").tobytes())


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("folder", type=Path)
folder = parser.parse_args().folder
rng = np.random.default_rng(1)
for number in range(1, 7):
    for label, samples in machine(rng).items():
        write(folder / f"machine{number}" / label / "1.wav", samples)

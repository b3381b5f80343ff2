"""The kinds of input of a model, one entry each, where the service looks them up.

A new kind is an entry in KINDS and its tests. New arithmetic on sound also needs a `Kind` in
features.config, a new medium a subclass of InputKind. Decoders are imported at first use.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeAlias, TypeVar

import numpy as np

from common.errors import ArtefactError
from common.memory import return_large_blocks
from features import file_kinds
from features.config import AudioConfig, Kind, PictureConfig, Tensor

Config: TypeAlias = AudioConfig | PictureConfig
ConfigOf = TypeVar("ConfigOf", AudioConfig, PictureConfig)
Medium: TypeAlias = Literal["sound", "picture"]


@dataclass(frozen=True, kw_only=True)
class InputKind(ABC, Generic[ConfigOf]):
    """How the files of one kind become tensors."""

    medium: ClassVar[Medium]
    """What clients send."""
    config: ClassVar[type[Config]]
    """The settings of its tensors."""
    dtype: ClassVar[Literal["float32", "uint8"]]
    accelerate: bool = True
    """Whether models of this kind are faster on an accelerator."""

    @abstractmethod
    def takes(self, path: Path) -> bool:
        """Return whether a file of a folder is of this kind, by its name or first bytes."""

    @abstractmethod
    def shape(self, config: ConfigOf) -> tuple[int, ...]:
        """Return the shape of one tensor."""

    @abstractmethod
    def fingerprint(self, config: ConfigOf) -> str:
        """Return the sha256 (hex) of everything that decides the numbers of a tensor."""

    @abstractmethod
    def describe(self, config: ConfigOf) -> dict[str, Any]:
        """Return the settings that clients are shown."""

    @abstractmethod
    def tensors(self, data: bytes, config: ConfigOf, *, number: int) -> Iterable[Tensor]:
        """Return the tensors of a file's bytes, for calibration. Raises InputError.

        number: of the file; values that a file does not hold change with it.
        """

    @abstractmethod
    def warm(self, config: ConfigOf) -> None:
        """Compile, import and allocate what the first request would need otherwise."""

    def check(self, config: Config) -> None:
        """Raise ArtefactError if the configuration is that of another kind."""
        if not isinstance(config, self.config):
            made = type(config).__name__
            raise ArtefactError(f"tensors from a {self.medium} cannot be made with {made}")


@dataclass(frozen=True, kw_only=True)
class SoundKind(InputKind[AudioConfig]):
    """Numbers computed from each window of a sound."""

    medium = "sound"
    config = AudioConfig
    dtype = "float32"

    computed: Kind
    """What is computed from a window."""

    def takes(self, path: Path) -> bool:
        """Return whether a file of a folder is a sound, by its name or first bytes."""
        return file_kinds.is_sound(path)

    def shape(self, config: AudioConfig) -> tuple[int, ...]:
        """Return the shape of one window's tensor."""
        return config.shape(self.computed)

    def fingerprint(self, config: AudioConfig) -> str:
        """Return the sha256 (hex) of everything that decides the numbers of a tensor."""
        return config.fingerprint(self.computed)

    def describe(self, config: AudioConfig) -> dict[str, Any]:
        """Return the sample rate in hertz and the window in seconds."""
        rate = config.sample_rate
        return {"sample_rate": rate, "window": config.window / rate}

    def tensors(
        self,
        data: bytes,
        config: AudioConfig,
        *,
        number: int,  # noqa: ARG002
    ) -> Iterable[Tensor]:
        """Return the tensors of all whole windows, at least of one. Raises InputError."""
        from features.decode import decode
        from features.extract import extract_many

        samples = decode(data, sample_rate=config.sample_rate)
        samples = np.pad(samples, (0, max(0, config.window - len(samples))))
        starts = range(0, len(samples) - config.window + 1, config.window)
        windows = [samples[at : at + config.window] for at in starts]
        return extract_many(windows, kind=self.computed, config=config)

    def warm(self, config: AudioConfig) -> None:
        """Compute a window of a clip and of a stream: kernels are compiled and tables built."""
        from features.extract import extract_many
        from features.resample import resample
        from features.streaming import StreamingExtractor

        sound = np.sin(np.arange(config.window + config.hop_length, dtype=np.float32))
        extract_many([sound[: config.window]], kind=self.computed, config=config)
        for samples in (resample(sound, 48_000, 44_100), sound):
            hop = config.hop_length
            StreamingExtractor(config, hop=hop, kind=self.computed).feed(samples)


@dataclass(frozen=True, kw_only=True)
class PictureKind(InputKind[PictureConfig]):
    """The pixels of a picture, and its metadata behind them."""

    medium = "picture"
    config = PictureConfig
    dtype = "uint8"

    def takes(self, path: Path) -> bool:
        """Return whether a file of a folder is a picture, by its name or first bytes."""
        return file_kinds.is_picture(path)

    def shape(self, config: PictureConfig) -> tuple[int, ...]:
        """Return (height, width, 3), or the length of a flat tensor with metadata."""
        return config.shape

    def fingerprint(self, config: PictureConfig) -> str:
        """Return the sha256 (hex) of everything that decides the numbers of a tensor."""
        return config.fingerprint()

    def describe(self, config: PictureConfig) -> dict[str, Any]:
        """Return every setting."""
        return asdict(config)

    def tensors(self, data: bytes, config: PictureConfig, *, number: int) -> Iterable[Tensor]:
        """Return the tensor of one picture. Raises InputError."""
        from features.picture import decode, tensor

        yield tensor(decode(data, config), config, example_metadata(config, number))

    def warm(self, config: PictureConfig) -> None:  # noqa: ARG002
        """Load the decoder, and have the blocks that it frees returned to the system."""
        import features.picture  # noqa: F401

        return_large_blocks()


KINDS: dict[str, InputKind[Any]] = {
    # Copying 26 numbers to an accelerator takes longer than the forest does.
    "features": SoundKind(computed="features", accelerate=False),
    "log_mel": SoundKind(computed="log_mel"),
    # Networks with a front end of their own.
    "samples": SoundKind(computed="samples"),
    "picture": PictureKind(),
}
"""By the name that stands in manifest.json."""


def kind_of(name: str) -> InputKind[Any]:
    """Return the kind of this name. Raises ArtefactError naming those there are."""
    if name not in KINDS:
        raise ArtefactError(f"manifest.input.kind={name!r:.80} must be one of {', '.join(KINDS)}")
    return KINDS[name]


def example_metadata(config: PictureConfig, number: int) -> dict[str, str]:
    """Return metadata for a picture without any: all values in turn."""
    return {field.name: field.values[number % len(field.values)] for field in config.metadata}

"""Networks given by path: read from ONNX, and known by the content of all their files.

Networks may keep their weights in files of their own beside the .onnx file (external data).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.common.errors import MaterialError

if TYPE_CHECKING:
    from collections.abc import Iterator

SHIPPED = Path(__file__).parents[2] / "models" / "backbones"
"""Networks that come with Timbre, each in a file of its name."""
_DIGITS = 16


def path_of(given: str) -> Path:
    """Return the path of a network that is named by a user: a shipped one, or a file."""
    path = SHIPPED / f"{given}.onnx"
    return path if given and "/" not in given and path.is_file() else Path(given).expanduser()


def read_network(path: Path, *, weights: bool = True) -> Any:
    """Return the ONNX model of a file. weights: also from its other files. Raises MaterialError."""
    import onnx
    from google.protobuf.message import DecodeError

    # The last two: external data that are not there, and that are too short.
    refused = (OSError, DecodeError, onnx.checker.ValidationError, ValueError)
    try:
        return onnx.load(path, load_external_data=weights)
    except refused as error:
        raise MaterialError(f"{path} cannot be read as an ONNX network: {error}") from error


def files_of(path: Path) -> list[Path]:
    """Return the file of a network, then those that it keeps weights in. Raises MaterialError."""
    names = {*_locations(read_network(path, weights=False))}
    return [path, *(path.parent / name for name in sorted(names))]


def _locations(message: Any) -> Iterator[str]:
    """Yield where the tensors in a message keep their data, if not in it."""
    for field, value in message.ListFields():
        if field.name == "external_data":
            yield from (one.value for one in value if one.key == "location")
        elif field.message_type and field.name != "metadata_props":
            several = value if isinstance(value, Sequence) else [value]
            for one in several:
                yield from _locations(one)


def known(path: Path) -> str:
    """Return 16 hex digits of the content of a network, all its files. Raises MaterialError."""
    files = files_of(path)
    if len(files) == 1:
        return _digest(path)
    return hashlib.sha256(" ".join(map(_digest, files)).encode()).hexdigest()[:_DIGITS]


def stated(path: Path) -> str:
    """Return the name and sha256 of each file of a network, as provenance has them."""
    return "; ".join(f"{file.name}, sha256 {_digest(file)}..." for file in files_of(path))


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]
    except OSError as error:
        raise MaterialError(f"{path} cannot be read: {error.strerror}") from error

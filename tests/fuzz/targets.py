"""What reads bytes that others wrote, valid inputs of each, and what must hold of every result."""

import io
import json
from dataclasses import asdict, dataclass

import numpy as np
import soundfile
from onnx import TensorProto, helper, numpy_helper

from common.errors import ArtefactError, Busy, InputError
from features.config import PictureConfig
from features.decode import decode as decode_sound
from features.image_files.image_header import unwrap
from features.picture import decode as decode_picture
from models.export.self_contained import check_self_contained
from models.manifest import Manifest
from models.store import DEFAULT_PATH
from service import protocol
from service.encodings import ENCODINGS, decode_mono
from service.queue.base import Job, Reply
from service.queue.codec import decode_job, decode_replies, encode_job, encode_reply
from tests.features.containers.test_matroska import (
    block,
    lace,
    opus_packets,
    track,
    vorbis_packets,
    webm,
)
from tests.features.pictures import FILES, exif, save, scene

MAX_SAMPLES, MAX_PIXELS = 200_000, 40_000
SMALL = PictureConfig(height=16, width=16)


@dataclass(frozen=True)
class Target:
    """Code that reads bytes."""

    seeds: tuple
    """Valid inputs."""
    read: object
    """Reads one input; checks what it made of it. Raises `rejects`, or nothing."""
    rejects: tuple = (InputError,)
    """What invalid inputs may raise, subclasses included."""


def sounds():
    """A tone of 30 ms in every kind of file."""
    tone = 0.5 * np.sin(np.arange(240) / 3)
    both = np.stack([tone, -tone], axis=1)
    kinds = [("WAV", each) for each in ("PCM_16", "PCM_U8", "PCM_24", "FLOAT", "DOUBLE", "ULAW")]
    kinds += [("WAV", each) for each in ("IMA_ADPCM", "MS_ADPCM", "GSM610")]
    kinds += [("RF64", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS")]
    kinds += [("MP3", "MPEG_LAYER_III"), ("AIFF", "PCM_16"), ("AU", "ULAW"), ("CAF", "PCM_16")]
    kinds += [("W64", "PCM_16")]
    for kind, subtype in kinds:
        for samples in (tone, both):
            file = io.BytesIO()
            if subtype != "GSM610" or samples is tone:
                soundfile.write(file, samples, 8_000, format=kind, subtype=subtype)
                yield file.getvalue()
    private, packets = vorbis_packets()
    yield webm(track("A_VORBIS", private), [block(each) for each in packets[:4]])
    head, packets = opus_packets()
    yield webm(track("A_OPUS", head), [lace(packets[:4], 3), block(packets[4])])


def read_sound(data):
    """Decode a sound file."""
    samples = decode_sound(data, max_seconds=5, max_samples=MAX_SAMPLES)
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert samples.size <= 5 * 22_050 + 1
    assert np.isfinite(samples).all()


def pictures():
    """A small scene in every kind of file."""
    small = scene(20, 15)
    yield from (make() for make in FILES.values())
    yield save(small, "JPEG", exif=exif(6))
    yield save(small.convert("CMYK"), "JPEG")
    yield save(small.convert("RGBA"), "PNG")
    yield save(small.quantize(4), "PNG", transparency=0)
    yield save(small.convert("1"), "TIFF", compression="group4")
    for compression in ("tiff_lzw", "packbits", "jpeg", "tiff_adobe_deflate"):
        yield save(small, "TIFF", compression=compression)


def read_header(data):
    """Read the header of a picture."""
    bare = unwrap(data)
    assert 1 <= bare.orientation <= 8
    assert len(bare.data) <= 2 * len(data) + 2**16


def read_picture(data):
    """Decode a picture."""
    pixels = decode_picture(data, SMALL, max_pixels=MAX_PIXELS)
    assert (pixels.dtype, pixels.shape) == (np.uint8, (16, 16, 3))


def client_messages():
    """Every message of a client."""
    yield protocol.encode(protocol.Start(sample_rate=44_100))
    yield protocol.encode(
        protocol.Start(
            sample_rate=8_000, encoding="pcm_f32le", channels=2, hop=1.0, on_overload="complete",
            numbered=True, first_sample=7, captured_at="2026-05-31T06:30:00.250Z",
        )
    )  # fmt: skip
    yield protocol.encode(protocol.Stop())


def server_messages():
    """Every message of a server."""
    age = {"total": 1.5, "waiting": 0.1, "features": 0.2, "queue": 0.3, "model": 0.4}
    yield protocol.encode(
        protocol.Window(
            start=0.5, end=2.5, start_sample=4_000, end_sample=20_000, scores={"a": 0.9, "b": 0.1},
            labels=("a",), version="1", age_ms=protocol.Age(**age),
        )
    )  # fmt: skip
    yield protocol.encode(
        protocol.Ready(
            stream="s-1", model="toy", version="1", labels=("a", "b"), window=2.0, hop=0.5,
            sample_rate=22_050,
        )
    )  # fmt: skip
    yield protocol.encode(protocol.Dropped(from_sample=0, to_sample=5, reason="late"))
    yield protocol.encode(protocol.Warn(kind="silence", detail="quiet", from_sample=3))
    yield protocol.encode(
        protocol.Summary(
            reason="idle", samples_received=9, samples_processed=5, samples_dropped=3,
            samples_tail=1, windows=2,
        )
    )  # fmt: skip
    yield protocol.encode(protocol.failure(Busy("full")))


def read_client(data):
    """Read a client's message; what is accepted can be written and read again."""
    message = protocol.parse_client(data.decode(errors="replace"))
    assert protocol.parse_client(protocol.encode(message)) == message


def read_server(data):
    """Read a server's message; what is accepted can be written and read again."""
    message = protocol.parse_server(data.decode(errors="replace"))
    assert protocol.parse_server(protocol.encode(message)) == message


def read_frame(data):
    """Read a numbered frame of audio in every encoding."""
    first, audio = protocol.unnumber(data)
    assert 0 <= first < protocol.MAX_SAMPLE
    names = sorted(ENCODINGS)
    encoding, channels = names[first % len(names)], 1 + first % 8
    samples = decode_mono(audio, encoding=encoding, channels=channels)
    assert np.isfinite(samples).all()
    assert np.abs(samples).max(initial=0) <= 16


def jobs():
    """Jobs of every dtype and of several shapes."""
    for tensor in (
        np.zeros(26, np.float32),
        np.zeros((3, 4, 3), np.uint8),
        np.zeros((2, 0), np.float32),
        np.float32(1).reshape(()),
    ):
        job = Job(
            id="a-1", model="toy", version="2", tensor=tensor, deadline=9.0, live=True, stream="a-0"
        )
        yield encode_job(job, reply_to="gateway", now=8.0)


def read_job(data):
    """Read a job of the queue; what is accepted can be written again."""
    job, reply_to = decode_job(data, since=0.0)
    assert job.tensor.nbytes <= len(data)
    encode_job(job, reply_to=reply_to, now=0.0)


def replies():
    """Replies, and several that are joined."""
    scores, failed = Reply("a", np.zeros(3, np.float32), 1.0), Reply("b", Busy("full"), 0.0)
    yield from (encode_reply(scores), encode_reply(failed))
    yield encode_reply(scores) + encode_reply(failed)


def read_replies(data):
    """Read replies of workers."""
    for reply in decode_replies(data):
        assert np.isfinite(reply.model_ms)


def manifests():
    """The manifests that are shipped, without their long parts."""
    for path in sorted(DEFAULT_PATH.glob("*/*/manifest.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        short = {"metrics": {"f1": 0.5}, "provenance": [], "libraries": {}, "origin": {}}
        yield json.dumps(document | short).encode()


def read_manifest(data):
    """Read a manifest; what is accepted can be written and read again."""
    manifest = Manifest.from_json(data)
    assert asdict(Manifest.from_json(manifest.to_json())) == asdict(manifest)


def graphs():
    """Graphs with data of all kinds inside and outside."""
    floats, shape = TensorProto.FLOAT, ["n", 3]
    inside = numpy_helper.from_array(np.ones(3, np.float32), "w")
    outside = TensorProto(name="w", data_type=floats, dims=[3], data_location=1)
    outside.external_data.add(key="location", value="secret.bin")
    for weights in (inside, outside):
        nodes = [
            helper.make_node("Constant", [], ["c"], value=weights),
            helper.make_node("Add", ["x", "w"], ["scores"]),
        ]
        tensors = [helper.make_tensor_value_info(name, floats, shape) for name in ("x", "scores")]
        graph = helper.make_graph(nodes, "location", tensors[:1], tensors[1:], [weights])
        yield helper.make_model(graph).SerializeToString()


def texts(messages):
    """Texts as the bytes they travel as."""
    return tuple(message.encode() for message in messages)


TARGETS = {
    "sound": Target(tuple(sounds()), read_sound),
    "picture header": Target(tuple(pictures()), read_header),
    "picture": Target(tuple(pictures()), read_picture),
    "client message": Target(texts(client_messages()), read_client),
    "server message": Target(texts(server_messages()), read_server),
    "audio frame": Target(
        (bytes(8 + 48), (1).to_bytes(8, "little") + bytes(48), bytes(7) + b"\1" + bytes(48)),
        read_frame,
    ),
    "job": Target(tuple(jobs()), read_job),
    "replies": Target(tuple(replies()), read_replies),
    "manifest": Target(tuple(manifests()), read_manifest, (ArtefactError,)),
    "graph": Target(tuple(graphs()), check_self_contained, (ArtefactError,)),
}

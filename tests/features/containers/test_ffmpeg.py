import os
import shutil
import stat
import subprocess

import numpy as np
import pytest

from common.errors import InputError, Late, TooLarge, UnsupportedMedia
from features.containers import ffmpeg
from features.decode import decode_sound
from tests.features.test_decode import encode, tone

TAG = b"ID3\x04\0\0\0\0\0\x14" + bytes(20)
M4A = b"\0\0\0\x20ftypM4A \0\0\0\0M4A mp42isom\0\0\0\0" + bytes(200)


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts a shell script in the place of ffmpeg."""

    def install(script):
        path = tmp_path / "ffmpeg"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        return tmp_path

    return install


def test_without_the_program_the_kind_is_named_with_the_command_that_converts_it(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnsupportedMedia, match=r"M4A.*ffmpeg -i FILE sound.flac"):
        decode_sound(M4A, ffmpeg=True)


def test_the_program_is_run_only_if_that_is_asked_for(program):
    folder = program('touch "$(dirname "$0")/ran"')
    with pytest.raises(UnsupportedMedia):
        decode_sound(M4A)
    assert not (folder / "ran").exists()


def test_what_the_program_writes_is_read_and_it_may_use_no_network(program):
    folder = program('echo "$@" > "$(dirname "$0")/arguments"; cat "$(dirname "$0")/out.wav"')
    samples = np.stack([tone(48_000), tone(48_000)], axis=1)
    (folder / "out.wav").write_bytes(encode(samples, 48_000, subtype="FLOAT"))
    assert decode_sound(M4A, ffmpeg=True).seconds == 1
    arguments = (folder / "arguments").read_text()
    assert "-protocol_whitelist file -f mov -i file:" in arguments


def test_what_the_program_says_without_sound_is_told_without_the_name_of_the_file(program):
    program(
        'for a; do case "$a" in file:*) echo "${a#file:}: Invalid data" >&2;; esac; done; exit 1'
    )
    with pytest.raises(UnsupportedMedia, match="the file: Invalid data"):
        decode_sound(M4A, ffmpeg=True)


def test_a_file_that_the_program_reads_in_part_needs_partial(program):
    folder = program('cat "$(dirname "$0")/out.wav"; echo "moov ends early" >&2; exit 1')
    (folder / "out.wav").write_bytes(encode(tone(48_000), 48_000))
    with pytest.raises(InputError, match="moov ends early"):
        decode_sound(M4A, ffmpeg=True)
    found = decode_sound(M4A, ffmpeg=True, partial=True)
    assert [each.kind for each in found.warnings] == ["truncated"]


def test_a_program_that_writes_without_end_is_stopped(program):
    program("exec cat /dev/zero")
    with pytest.raises(TooLarge):
        decode_sound(M4A, ffmpeg=True, max_samples=100_000)


def test_the_check_stops_the_program(program):
    program("exec cat /dev/zero")

    def check():
        raise Late("nobody waits")

    with pytest.raises(Late, match="nobody waits"):
        decode_sound(M4A, ffmpeg=True, check=check)


def test_a_program_that_writes_nothing_is_stopped_too(program):
    program("exec sleep 600")
    calls = []

    def check():
        calls.append(1)
        if len(calls) == 3:
            raise Late("nobody waits")

    with pytest.raises(Late, match="nobody waits"):
        decode_sound(M4A, ffmpeg=True, check=check)


def test_the_program_has_a_bound_of_time(program):
    folder = program('ulimit -t > "$(dirname "$0")/time"')
    with pytest.raises(UnsupportedMedia):
        decode_sound(M4A, ffmpeg=True)
    assert int((folder / "time").read_text()) == ffmpeg.CPU_S


def test_the_program_has_a_bound_of_memory(program):
    kept = subprocess.check_output(["sh", "-c", "ulimit -v 4194304 2>&1; ulimit -v"], text=True)
    if kept.strip() != "4194304":
        pytest.skip("this system, or its emulator, sets no limit of memory")
    folder = program('ulimit -v > "$(dirname "$0")/memory"')
    with pytest.raises(UnsupportedMedia):
        decode_sound(M4A, ffmpeg=True)
    assert int((folder / "memory").read_text()) == ffmpeg.MEMORY_KIB


@pytest.mark.parametrize(
    ("magic", "demuxer"),
    [(b"\xff\xf1", "aac"), (b"MAC ", "ape"), (b"TTA1", "tta"), (b"MPCK", "mpc8"), (b"MP+", "mpc")],
)
@pytest.mark.parametrize("tags", [0, 1, 2])
def test_the_program_is_told_the_kind_behind_the_tags_of_a_file(program, magic, demuxer, tags):
    folder = program('echo "$@" > "$(dirname "$0")/arguments"; cat "$(dirname "$0")/out.wav"')
    (folder / "out.wav").write_bytes(encode(tone(48_000), 48_000, subtype="FLOAT"))
    assert decode_sound(TAG * tags + magic + bytes(200), ffmpeg=True).seconds == 1
    assert f" -f {demuxer} -i " in (folder / "arguments").read_text()


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_the_real_program_reads_a_codec_that_is_not_read_here():
    import subprocess

    made = subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "wav", "-i", "-", "-f", "adts", "-"],
        input=encode(tone(44_100, seconds=3)), capture_output=True, check=True,
    ).stdout  # fmt: skip
    with pytest.raises(UnsupportedMedia, match="AAC"):
        decode_sound(made)
    for file in (made, TAG + made):
        assert decode_sound(file, ffmpeg=True).seconds == pytest.approx(3, abs=0.1)

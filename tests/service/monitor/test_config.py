"""The file of a monitor: what is wrong is named, with what there is."""

import pytest

from common.errors import InputError
from service.monitor.config import KINDS, MAX_SOURCES, read_config, secrets
from tests.test_house import ROOT

SOURCE = '[[sources]]\nname = "hall"\ninput = "mic"\n'
SINK = '[[sinks]]\nkind = "jsonl"\npath = "a.jsonl"\n'


def read(tmp_path, text):
    path = tmp_path / "m.toml"
    path.write_text(text, encoding="utf-8")
    return read_config(path)


def test_the_example_is_read():
    settings = read_config(ROOT / "examples" / "monitor.toml")
    assert settings.sources[0].loop
    assert {sink["kind"] for sink in settings.sinks} == {"jsonl", "sqlite", "mqtt"}


def test_a_file_of_one_source_and_one_sink_is_enough(tmp_path):
    settings = read(tmp_path, SOURCE + SINK)
    assert (settings.sources[0].model, settings.server) == ("instruments", "")
    for port in (0, 65_535):
        assert read(tmp_path, f"metrics_port = {port}\n" + SOURCE + SINK).metrics_port == port
    open_to_all = 'metrics_port = 9\nmetrics_host = "0.0.0.0"\ninsecure = true\n'
    assert read(tmp_path, open_to_all + SOURCE + SINK).metrics_host == "0.0.0.0"
    # Nothing listens there.
    read(tmp_path, 'metrics_host = "0.0.0.0"\n' + SOURCE + SINK)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SINK, "missing setting sources"),
        (SOURCE, "missing setting sinks"),
        ("sources = []\n" + SINK, "there must be 1 to 64 sources, not 0"),
        (SOURCE + SOURCE + SINK, "two sources of the name 'hall'"),
        (SOURCE + "modle = 'a'\n" + SINK, r"sources\[0\]: unknown setting modle; known: name, inp"),
        ("sever = 'a'\n" + SOURCE + SINK, "unknown setting sever; known: sources, sinks, server"),
        (SOURCE.replace('"hall"', '"a b"') + SINK, "name='a b' must be 1 to 64 of letters"),
        (
            "metrics_port = 65536\n" + SOURCE + SINK,
            "metrics_port=65536 must be between 0 and 65535",
        ),
        (
            'metrics_port = 9\nmetrics_host = "0.0.0.0"\n' + SOURCE + SINK,
            "metrics_host=0.0.0.0 can be reached from other machines.*add insecure = true",
        ),
        ("metrics_port = -1\n" + SOURCE + SINK, "metrics_port=-1 must be between 0 and 65535"),
        (SOURCE + "hop = 0\n" + SINK, r"source 'hall': hop=0.0 must be more than 0 s"),
        (SOURCE + "hop = 'much'\n" + SINK, r"hop"),
        (SOURCE + "dead_after = 0.9\n" + SINK, "dead_after=0.9 must be 1 s or more"),
        (SOURCE + "dead_after = nan\n" + SINK, "dead_after=nan"),
        (SOURCE + "keep_seconds = 30.1\n" + SINK, "keep_seconds=30.1 must be between 0 and 30"),
        (SOURCE + "keep_seconds = -0.1\n" + SINK, "keep_seconds=-0.1"),
        (SOURCE + "keep_bytes = 999999\n" + SINK, "keep_bytes=999999 must be 1000000 or more"),
        (SOURCE + "keep = 'all'\n" + SINK, "keep"),
        (SOURCE.replace("mic", "folder:a") + "keep = 'events'\n" + SINK, "not for a folder"),
        (SOURCE.replace("mic", "folder:a") + "loop = true\n" + SINK, "loop is for files"),
        (SOURCE.replace("mic", "http://a") + "loop = true\n" + SINK, "loop is for files"),
        (
            SOURCE + "event_settings = {flute = {gab = 1}}\n" + SINK,
            "event_settings.flute.gab=1.* is none of threshold 0 to 1",
        ),
        (SOURCE + "event_settings = {'*' = {threshold = 1.1}}\n" + SINK, "threshold=1.1"),
        (SOURCE + SINK.replace("jsonl", "xml", 1), r"sinks\[0\]: unknown kind 'xml'; known: jsonl"),
        (SOURCE + "[[sinks]]\npath = 'a'\n", r"sinks\[0\]: unknown kind None"),
        (SOURCE + "[[sinks]]\nkind = 'csv'\n", r"sinks\[0\]: missing setting path"),
        (SOURCE + SINK + "colour = 1\n", r"sinks\[0\]: unknown setting colour; known: path"),
        (
            SOURCE + SINK.replace("a.jsonl", "{day}.jsonl"),
            r"sinks\[0\]: path='{day}.jsonl' may hold",
        ),
        (
            SOURCE + SINK + SINK.replace("jsonl", "csv", 1),
            r"0\] and .*1\] have the same path: 'a.j",
        ),
        (SOURCE + "[[sinks]]\nkind = 'mqtt'\nhost = 'a'\n" * 2, r"same node: 'timbre'"),
        (SOURCE + "[[sinks]]\nkind = 'osc'\nhost = 'a'\n", r"sinks\[0\]: missing setting port"),
        (
            SOURCE + SINK.replace("jsonl", "parquet", 1) + "max_bytes = 1\n",
            r"sinks\[0\]: max_bytes=1 m",
        ),
        ("artefacts = 'a'\nserver = 'ws://b'\n" + SOURCE + SINK, "not of those of a server"),
        ("a = [", "is no TOML"),
    ],
)
def test_what_is_wrong_is_named(text, told, tmp_path):
    with pytest.raises(InputError, match=told) as error:
        read(tmp_path, text)
    assert "m.toml" in str(error.value)


def test_two_sources_cannot_read_one_stdin(tmp_path):
    first, second = (SOURCE.replace("mic", text) for text in ("stdin", "-"))
    with pytest.raises(InputError, match="only one source can read stdin, not hall and yard"):
        read(tmp_path, first + second.replace("hall", "yard") + SINK)


@pytest.mark.parametrize(("count", "fits"), [(MAX_SOURCES, True), (MAX_SOURCES + 1, False)])
def test_there_may_be_so_many_sources(count, fits, tmp_path):
    text = "".join(SOURCE.replace("hall", f"s{number}") for number in range(count)) + SINK
    if fits:
        assert len(read(tmp_path, text).sources) == count
    else:
        with pytest.raises(InputError, match="1 to 64 sources, not 65"):
            read(tmp_path, text)


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*none\.toml: No such file"):
        read_config(tmp_path / "none.toml")
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is no TOML"):
        read_config(tmp_path / "a.toml")


def test_passwords_and_secrets_are_known_to_the_log(tmp_path):
    broker = "[[sinks]]\nkind = 'mqtt'\nhost = 'a'\nuser = 'me'\npassword = 'one'\n"
    hook = "[[sinks]]\nkind = 'webhook'\nurl = 'http://a'\nsecret = 'two'\n"
    assert secrets(read(tmp_path, SOURCE + SINK + broker + hook)) == ["one", "two"]
    there = "[[sinks]]\nkind = 'timbre'\nurl = 'http://a'\nnode = 'n'\ntoken = 'three'\n"
    assert secrets(read(tmp_path, SOURCE + there)) == ["three"]


def test_a_source_has_a_name_at_another_server_too(tmp_path):
    there = "[[sinks]]\nkind = 'timbre'\nurl = 'http://a'\nnode = '{}'\n"
    assert read(tmp_path, SOURCE + there.format("n" * 59))
    with pytest.raises(InputError, match=r"nn\.hall' has 65 characters; at most 64"):
        read(tmp_path, SOURCE + there.format("n" * 60))
    assert read(tmp_path, SOURCE + there.format("a") + there.format("b"))
    with pytest.raises(InputError, match="same node: 'a'"):
        read(tmp_path, SOURCE + there.format("a") + there.format("a").replace("a'\nn", "a/'\nn"))


def test_every_kind_of_sink_is_made_without_opening_anything(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind in ("jsonl", "csv", "audacity", "raven", "sqlite", "parquet"):
        assert kind in KINDS
        read(tmp_path, SOURCE + SINK.replace("jsonl", kind, 1))
    assert [each.name for each in tmp_path.iterdir()] == ["m.toml"]

"""The columns of each format, letter by letter; what other programs read."""

import csv
import io
import json
from pathlib import Path

import pytest

from common.errors import InputError
from service import exports
from service.exports import MEDIA_TYPES, Export

ROOT = Path(__file__).parents[2]
FOUND = {
    "model": "instruments",
    "version": "2",
    "windows": [
        {"start": 0.0, "end": 2.0, "scores": {"flute": 0.9, "horn": 0.1}, "labels": ["flute"]},
        {"start": 2.0, "end": 3.5, "scores": {"horn": 0.6, "flute": 0.2}, "labels": ["horn"]},
    ],
    "labels": ["flute", "horn"],
    "warnings": [{"kind": "clipping", "detail": "x"}, {"kind": "dc_offset", "detail": "y"}],
    "events": [
        {"label": "flute", "start": 0.0, "end": 1.25, "peak": 0.9, "mean": 0.85},
        {"label": "horn", "start": 1.25, "end": 3.5, "peak": 0.6, "mean": 0.6},
    ],
}


def written(form, *files, events=True):
    export = Export(form, events=events, highest_hz=11_025)
    return export.begin() + "".join(export.result(path, FOUND) for path in files)


def test_raven_has_times_over_the_sequence_of_files_and_within_each():
    # The first seven columns open in any version; the next two are of a sequence of files.
    assert written("raven", "a.wav", "b.wav").splitlines() == [
        (
            "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\t"
            "High Freq (Hz)\tBegin Path\tFile Offset (s)\tLabel\tPeak Score\tMean Score"
        ),
        "1\tSpectrogram 1\t1\t0.000000\t1.250000\t0.0\t11025.0\ta.wav\t0.000000\tflute\t0.9\t0.85",
        "2\tSpectrogram 1\t1\t1.250000\t3.500000\t0.0\t11025.0\ta.wav\t1.250000\thorn\t0.6\t0.6",
        "3\tSpectrogram 1\t1\t3.500000\t4.750000\t0.0\t11025.0\tb.wav\t0.000000\tflute\t0.9\t0.85",
        "4\tSpectrogram 1\t1\t4.750000\t7.000000\t0.0\t11025.0\tb.wav\t1.250000\thorn\t0.6\t0.6",
    ]


def test_audacity_has_begin_end_and_label():
    assert written("audacity", "a.wav") == "0.000000\t1.250000\tflute\n1.250000\t3.500000\thorn\n"


def test_csv_of_events():
    assert written("csv", "a,1.wav").splitlines() == [
        "path,start,end,label,peak,mean,version,error",
        '"a,1.wav",0.000000,1.250000,flute,0.9,0.85,2,',
        '"a,1.wav",1.250000,3.500000,horn,0.6,0.6,2,',
    ]


def test_csv_of_windows():
    assert written("csv", "a.wav", events=False).splitlines()[:2] == [
        "path,start,end,rank,label,score,error,warnings",
        "a.wav,0.0,2.0,1,flute,0.9,,clipping; dc_offset",
    ]


def test_json_lines_have_an_event_each():
    first, _ = map(json.loads, written("jsonl", "a.wav").splitlines())
    assert first == {
        "path": "a.wav",
        **FOUND["events"][0],
        "model": "instruments",
        "version": "2",
    }


def test_json_has_a_file_each():
    assert json.loads(written("json", "a.wav")) == {"path": "a.wav", **FOUND}


@pytest.mark.parametrize("form", MEDIA_TYPES)
def test_every_file_without_a_result_has_a_line_where_the_format_has_room(form):
    export = Export(form, events=True)
    line = export.error("a.wav", InputError("no sound\x1b[31m"))
    assert line.count("\n") == (form not in ("audacity", "raven"))
    assert "\x1b" not in line


READERS = {
    # The reader of crowsetta, the ending it wants, and what it must be told of the columns.
    "raven": ("raven", ".txt", {"annot_col": "Label"}),
    "audacity": ("aud-seq", ".txt", {}),
    "csv": (
        *("simple-seq", ".csv"),
        {
            "columns_map": {"start": "onset_s", "end": "offset_s"},
            "read_csv_kwargs": {"usecols": ["start", "end", "label"]},
        },
    ),
}


@pytest.mark.filterwarnings("ignore:The inplace keyword")
@pytest.mark.parametrize("form", READERS)
def test_another_program_reads_the_events_back(form, tmp_path):
    # Only here: it takes more than a second to load.
    import crowsetta

    name, ending, options = READERS[form]
    events = [*FOUND["events"], {**FOUND["events"][0], "label": 'Große "Flöte"', "end": 1.125}]
    path = tmp_path / f"events{ending}"
    export = Export(form, events=True, highest_hz=11_025)
    table = export.begin() + export.result("a.wav", FOUND | {"events": events})
    path.write_text(table, encoding="utf-8")
    found = crowsetta.formats.by_name(name).from_file(path, **options).to_annot()
    if form == "raven":
        read = [(box.onset, box.offset, box.label) for box in found.bboxes]
        assert {(box.low_freq, box.high_freq) for box in found.bboxes} == {(0.0, 11_025.0)}
    else:
        read = list(
            zip(found.seq.onsets_s, found.seq.offsets_s, map(str, found.seq.labels), strict=True)
        )
    assert read == [(event["start"], event["end"], event["label"]) for event in events]


def test_other_columns_have_another_version():
    # Whoever changes a column counts the version up, here and in PROTOCOL.md.
    assert exports.VERSION == 1
    tables = (exports.WINDOW_COLUMNS, exports.EVENT_COLUMNS, exports.RAVEN_COLUMNS)
    assert [",".join(columns) for columns in tables] == [
        "path,start,end,rank,label,score,error,warnings",
        "path,start,end,label,peak,mean,version,error",
        (
            "Selection,View,Channel,Begin Time (s),End Time (s),Low Freq (Hz),High Freq (Hz),"
            "Begin Path,File Offset (s),Label,Peak Score,Mean Score"
        ),
    ]
    columns = f"these columns (version {exports.VERSION})"
    assert columns in (ROOT / "PROTOCOL.md").read_text(encoding="utf-8")


LABELS = ["a\tb", "a\nb", "a\r\nb", 'say "x"', "=1+1", "a,b", "a;b", "Große Flöte", "\u2028x"]


@pytest.mark.parametrize("form", MEDIA_TYPES)
@pytest.mark.parametrize("label", LABELS)
def test_no_label_breaks_a_row(form, label):
    found = FOUND | {"events": [FOUND["events"][0] | {"label": label}], "windows": []}
    export = Export(form, events=True)
    head, text = export.begin(), export.result(f"{label}.wav", found)
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(head + text)))
        assert [row["label"] for row in rows] == [label]
        return
    assert len(text.splitlines()) == 1
    if form in ("audacity", "raven"):
        assert text.count("\t") == {"audacity": 2, "raven": 11}[form]
    else:
        document = json.loads(text)
        assert document.get("label", label) == label

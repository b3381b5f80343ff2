"""Look, Play, Models and Status in Chromium; the page's events and files beside the server's."""

import csv
import io
import json
import random
from urllib.parse import quote

import pytest

from models.events import EventDetector
from models.manifest import Label
from tests.helpers.browser import opened
from tests.helpers.server_process import ROOT, server_process
from tests.service.helpers.page import APP

EXAMPLES = ROOT / "examples"
SMALL = (700, 700)
MODULE = """(await import(document.querySelector('script[src$="app.js"]').src.replace(
  "app.js", "{}.js")))"""


@pytest.fixture(scope="module")
def address():
    """A server of the shipped models."""
    with server_process() as address:
        yield address


async def choose(tab, selector, *paths):
    """Give files to an input, as a person does in the question for them."""
    root = (await tab.send("DOM.getDocument"))["root"]["nodeId"]
    node = (await tab.send("DOM.querySelector", nodeId=root, selector=selector))["nodeId"]
    await tab.send("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])


async def go(tab, view):
    await tab.until(f"document.querySelector('nav a[href$={view}]') !== null")
    await tab.run(f"document.querySelector('nav a[href$={view}]').click()")
    name = view.capitalize()
    await tab.until(f"document.querySelector('main > section')?.ariaLabel === '{name}'")


@pytest.mark.slow  # half a minute of a browser that draws
async def test_pictures_are_shown_with_their_predictions_and_what_is_none_with_the_reason(address):
    async with opened(address + "/app/look", size=SMALL) as tab:
        await tab.until("document.querySelector('[aria-label=Look] select')?.value === 'clip-art'")
        # Text of a file's name is never markup.
        await choose(
            tab, ".welcome input", EXAMPLES / "flag.png", EXAMPLES / "sheet.png", ROOT / "LICENSE"
        )
        await tab.until("document.querySelectorAll('.card .bars').length === 2")
        await tab.until("document.querySelector('.card .error') !== null")
        first, _, last = await tab.run(
            "[...document.querySelectorAll('.card')].map((card) => card.innerText)"
        )
        assert first.split("\n")[:3] == ["flag.png", "flags", "0.99"]
        assert "not a picture" in last
        assert await tab.run("document.querySelectorAll('.card img').length") == 2
        # Parts of the second one are covered, one after the other.
        card = "document.querySelectorAll('.card')[1]"
        await tab.run(f"{card}.querySelector('.body button').click()")
        await tab.until(f"{card}.querySelector('.heat') !== null")
        words = await tab.run(f"{card}.querySelector('.body .lead').innerText")
        assert words.startswith("Red: where it is covered, travel-places falls from 0.")
        assert float(words.rstrip(".").split()[-1]) > 0.05
        # Asked again, all of them are without it.
        await tab.run(
            "document.querySelector('[aria-label=Look] select').dispatchEvent(new Event('change'))"
        )
        await tab.until("document.querySelectorAll('.card img').length === 2")
        assert await tab.run("document.querySelector('.card .heat')") is None


async def test_the_person_answers_first_and_both_get_a_score(address):
    async with opened(address + "/app/play", size=SMALL) as tab:
        await tab.until("document.querySelector('[aria-label=Play] button.main') !== null")
        await tab.run("document.querySelector('[aria-label=Play] button.main').click()")
        for _ in range(10):
            await tab.until("document.querySelector('.choices button:not(:disabled)') !== null")
            assert await tab.run("document.querySelector('.stage .bars') === null")
            await tab.press("5")
            await tab.until("document.querySelector('.stage .bars') !== null")
            await tab.run("document.querySelector('.stage button.main').click()")
        text = await tab.until(
            "document.querySelector('.stage h2') && document.querySelector('.stage').innerText"
        )
        assert text.startswith("How it went")
        person, model = (
            int(line.split(" of ")[0]) for line in text.split("\n") if " of 10" in line
        )
        # Which ten moments are asked about is drawn: in half of them or more the cello plays, and
        # the model is right about most.
        assert 1 <= person <= 10
        assert model >= 4


async def test_models_and_status_say_what_the_server_says(address):
    async with opened(address + "/", size=SMALL) as tab:
        await go(tab, "models")
        await tab.until("document.querySelectorAll('.model').length === 4")
        text = await tab.run("document.querySelector('[aria-label=Models]').textContent")
        for words in ("instruments-forest", "harpsichord 0.71", "windows of 2 s", "CC0-1.0"):
            assert words in text
        await tab.run("document.querySelectorAll('.model details')[2].open = true")
        await tab.until("document.querySelector('.model pre').innerText.startsWith('# clip-art')")
        # Links are those of the model; their text is never markup.
        await tab.run(APP)
        await tab.run("""
          app.models[0].labels[0].links = { "<b>Site": "https://example.org/a" };
          app.dispatchEvent(new Event("models"));
        """)
        link = "(({ innerText, href, rel }) => [innerText, href, rel])"
        assert await tab.run(f"{link}(document.querySelector('.chips a'))") == [
            "<b>Site",
            "https://example.org/a",
            "noopener noreferrer",
        ]
        await go(tab, "status")
        await tab.until("document.querySelector('[aria-label=Status]').innerText.includes('ready')")
        # What the server counts is what it tells Prometheus.
        counters = "document.querySelector('[aria-label=Counters]').innerText"
        await tab.until(f"/requests, status 200\\s+[1-9]/.test({counters})")
        names = "[...document.querySelectorAll('[aria-label=Status] table')].at(-1).innerText"
        assert "instruments-forest" in await tab.run(names)


TEXT = r"""# HELP a_total Counted.
# TYPE a_total counter
a_total{kind="one",text="a \"quoted\" \\ and\nmore, {x}"} 5
a_total{kind="two"} 7 1700000000000
age_seconds_bucket{le="0.1",stage="total"} 10
age_seconds_bucket{le="+Inf",stage="total"} 20
age_seconds_bucket{le="0.01",stage="total"} 4
plain 1e3
no number
"""
HISTORY = """(async ([text, hour]) => {{
  const {{ agesInWords, Coverage, MetricsHistory, parseMetrics, quantileOf }} = {module};
  const history = new MetricsHistory(), first = parseMetrics(text);
  history.take(first, 0);
  const scaled = (by) => first.map((each) => ({{ ...each, value: each.value * by }}));
  for (let second = 10; second <= hour; second += 10) {{
    history.take(scaled(1 + second / 3600), 1e3 * second);
  }}
  const histogram = history.histogram("age_seconds", {{ stage: "total" }});
  const grown = [history.grown("a_total"), history.grown("a_total", {{ kind: "one" }})];
  const minutes = [history.minutes, history.kept.length];
  // A server that began anew counts from 0.
  history.take(scaled(0.2), 1e3 * hour + 1e3);
  const coverage = new Coverage(10);
  for (const [minute, seconds] of [[100, 60], [101, 30], [111, 20], [101, 9]]) {{
    coverage.add("heard", 60e3 * minute, seconds);
  }}
  coverage.add("dropped", 60e3 * 111, 5);
  return [first.map(({{ labels, value }}) => [labels.text ?? "", value]),
    histogram.map(([bound, count]) => [String(bound), count]), quantileOf(histogram, 0.5), grown,
    [histogram, histogram.slice(0, 2), []].map(agesInWords),
    history.grown("a_total"), minutes, [100, 101, 111].map((each) => coverage.at(each))];
}})"""


async def test_what_the_server_counts_is_read_and_kept_for_an_hour_in_fixed_memory(address):
    async with opened(address + "/") as tab:
        await tab.until("document.querySelector('script[src$=\"app.js\"]') !== null")
        given = json.dumps([TEXT, 7_200])
        script = HISTORY.format(module=MODULE.format("metrics"))
        series, histogram, middle, grown, words, anew, minutes, covered = await tab.run(
            f"{script}({given})"
        )
    assert series == [
        ['a "quoted" \\ and\nmore, {x}', 5],
        *(["", value] for value in (7, 10, 20, 4, 1_000)),
    ]
    # In the second hour each grew by what it began with.
    assert histogram == [["0.01", 4], ["0.1", 6], ["Infinity", 10]]
    assert (middle, grown) == (0.1, [12, 5])
    assert words == [
        "More than 1 % of the windows were over 100 ms old",
        "99 % of the windows were at most 100 ms old",
        "No windows in this time",
    ]
    assert anew == pytest.approx(12 * 0.2)
    assert minutes == [60, 61]
    assert covered == [[60, 0], [0, 0], [20, 5]]


def sequences():
    """Labels, hop, and steps of windows with gaps between some, as both detectors take them."""
    chance = random.Random(3)
    for _ in range(30):
        hop, rate = chance.choice([(11_264, 22_050), (22_050, 22_050), (44_100, 22_050)])
        events = chance.choice(
            [{"rise": 1.0}, {"off": 0.3, "gap": 0.0}, {"gap": 2.5, "min_length": 1.5, "rise": 0.7}]
        )
        labels = [("a", 0.5, events), ("b", 0.7, {})]
        at, steps, level = 0, [], 0.5
        for _ in range(80):
            level = min(1.0, max(0.0, level + chance.uniform(-0.3, 0.3)))
            steps.append([at, at + 44_100, {"a": level, "b": 1 - level}])
            at += hop * (1 if chance.random() < 0.9 else chance.randint(2, 30))
        yield {"labels": labels, "hop": hop, "rate": rate, "steps": steps}


def expected(sequence):
    labels = [Label(name=n, threshold=t, events=e) for n, t, e in sequence["labels"]]
    detector = EventDetector(labels, {}, hop=sequence["hop"], sample_rate=sequence["rate"])
    told = [each for step in sequence["steps"] for each in detector.feed(*step)]
    return [
        [each.label, each.start, each.end, each.not_heard, round(each.peak, 6), round(each.mean, 4)]
        for each in [*told, *detector.finish()]
        if each.state == "offset"
    ]


DETECT = """(async (sequences) => {{
  const {{ EventDetector }} = {module};
  return sequences.map(({{ labels, hop, rate, steps }}) => {{
    const detector = new EventDetector(
      labels.map(([name, threshold, events]) => ({{ name, threshold, events }})),
      {{ hop, sampleRate: rate }});
    const told = steps.flatMap((step) => detector.feed(...step)
      .map(([state, event]) => [state, {{ ...event }}]));
    return [...told, ...detector.finish()].filter(([state]) => state === "offset")
      .map(([, e]) => [e.label, e.start, e.end, e.notHeard, Number(e.peak.toFixed(6)),
        Number((e.total / e.count).toFixed(4))]);
  }});
}})"""
EVENTS = [
    {"label": '=SUM(1)"\t,x', "start": 0.5, "end": 2.25, "peak": 0.9, "mean": 0.75, "notHeard": 0},
    {"label": "oboe", "start": 3, "end": 4, "peak": 1, "mean": 1, "notHeard": 0.5},
]
WRITE = """(async (events) => {{
  const {{ FORMATS }} = {module};
  return Object.fromEntries(Object.entries(FORMATS).map(([name, [, , text]]) =>
    [name, text(events, {{ model: "toy", nyquist: 8000 }})]));
}})"""


async def test_events_are_those_of_the_server_and_their_files_can_be_read(address):
    cases = list(sequences())
    module = MODULE.format("events")
    async with opened(address + "/") as tab:
        await tab.until("document.querySelector('script[src$=\"app.js\"]') !== null")
        given = json.dumps(json.dumps(cases))
        found = await tab.run(f"{DETECT.format(module=module)}(JSON.parse({given}))")
        for case, events in zip(cases, found, strict=True):
            wanted = sorted(expected(case))
            assert [each[:4] for each in sorted(events)] == [each[:4] for each in wanted]
            scores = [each[4:] for each in sorted(events)]
            assert scores == [pytest.approx(each[4:], abs=2e-4) for each in wanted]
        assert sum(map(len, found)) > 100
        given = quote(json.dumps(EVENTS))
        files = await tab.run(
            f"{WRITE.format(module=module)}(JSON.parse(decodeURIComponent('{given}')))"
        )
    table = list(csv.DictReader(io.StringIO(files["CSV"])))
    # What a spreadsheet would run is text.
    assert table[0]["label"] == "'=SUM(1)\"\t,x"
    assert (float(table[0]["start"]), float(table[1]["not_heard"])) == (0.5, 0.5)
    assert [line.split("\t") for line in files["Audacity"].splitlines()][1] == [
        "3.000000",
        "4.000000",
        "oboe",
    ]
    raven = list(csv.DictReader(io.StringIO(files["Raven"]), delimiter="\t"))
    assert (raven[1]["Selection"], raven[1]["End Time (s)"], raven[1]["High Freq (Hz)"]) == (
        "2",
        "4.000000",
        "8000.0",
    )
    assert json.loads(files["JSON"])["events"][1]["not_heard"] == 0.5

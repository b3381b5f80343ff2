// The view Status: whether the server answers, how fast, what this page's own streams get, and
// what the server counts, where it may be told.
import { ago, clock, fit, h, ink, milliseconds, number, plural, readInk, say } from "./dom.js";
import { agesInWords, MetricsHistory, parseMetrics } from "./metrics.js";

const UPDATE_MS = 500;
const SCRAPE_MS = 10_000;
const MINUTES = 1440;
const BINS = 48;
const SHORTEST_MS = 0.5;
const LONGEST_MS = 20_000;
const REFUSED = { 401: "it asks for a key", 403: "the key needs the scope metrics",
  404: "it has none on this port" };

export const create = (app) => new StatusView(app);

class StatusView {
  constructor(app) {
    this.app = app;
    const fact = (name) => {
      const value = h("b", { text: "–" }), more = h("small", { text: " " });
      const box = h("div", { class: "fact" }, h("span", { text: name }), value, more);
      return { value, more, box };
    };
    this.facts = { server: fact("Server"), trip: fact("Round trip"),
      stream: fact("This page's stream"), windows: fact("Windows answered"),
      dropped: fact("Not heard"),
      age: fact("Age of answers, last hour") };
    this.trips = h("canvas", { role: "img", ariaLabel: "Round trip to the server over time" });
    this.ages = h("canvas", { role: "img", ariaLabel: "How many answers had which age" });
    this.agesWords = h("p", { class: "lead" });
    this.models = h("tbody");
    this.sources = h("tbody");
    this.coverage = h("canvas", { role: "img" });
    this.coverageWords = h("p", { class: "lead" });
    this.history = new MetricsHistory();
    this.serverAges = h("canvas", { role: "img",
      ariaLabel: "How many windows of all streams had which age, last hour" });
    this.serverWords = h("p", { class: "lead", text: "asking …" });
    this.counters = h("tbody");
    this.serverPart = h("div", { hidden: true }, h("div", { class: "history" }, this.serverAges),
      h("div", { class: "table", tabIndex: 0, role: "group", ariaLabel: "Counters" }, h("table", {},
        h("thead", {}, h("tr", {}, ["what", "now", "last hour"].map((text) =>
          h("th", { text, scope: "col" })))), this.counters)));
    for (const canvas of [this.trips, this.ages, this.coverage, this.serverAges]) fit(canvas, () => this.#draw());
    this.element = h("section", { ariaLabel: "Status" }, h("h1", { text: "Status" }),
      h("div", { class: "facts" }, Object.values(this.facts).map(({ box }) => box)),
      h("h2", { text: "Round trip to the server" }),
      h("p", { class: "lead", text: "Asked every five seconds while this page is looked at; red "
        + "where no answer came." }),
      h("div", { class: "history" }, this.trips),
      h("h2", { text: "Age of the answers of the last hour" }), this.agesWords,
      h("div", { class: "history" }, this.ages),
      h("h2", { text: "Sources of this page" }),
      h("div", { class: "table", tabIndex: 0, role: "group", ariaLabel: "Sources" }, h("table", {},
        h("thead", {}, h("tr", {}, ["source", "model", "state", "last window", "age", "windows",
          "not heard", "reconnects"].map((text, n) => h("th", { text, scope: "col",
          class: n < 3 && "words" })))), this.sources)),
      h("h2", { text: "Coverage of the day" }), this.coverageWords,
      h("div", { class: "history low" }, this.coverage),
      h("h2", { text: "The whole server" }), this.serverWords, this.serverPart,
      h("h2", { text: "Models" }),
      h("div", { class: "table" }, h("table", {}, h("thead", {}, h("tr", {}, ["model", "version",
        "labels", "runs on", "not served"].map((text, n) => h("th", { text, scope: "col",
        class: n > 2 && "words" })))),
      this.models)));
    app.addEventListener("checked", () => this.#update());
    app.addEventListener("models", () => this.#models());
    this.#models();
  }

  show() {
    clearInterval(this.timer);
    this.timer = setInterval(() => document.hidden || this.#update(), UPDATE_MS);
    this.#update();
    this.#scrape();
  }

  hide() { clearInterval(this.timer); }

  #models() {
    this.models.replaceChildren(...this.app.models.map((model) => h("tr", {},
      h("td", { text: model.name }), h("td", { text: model.version }),
      h("td", { text: model.labels.length }), h("td", { class: "words", text: model.provider }),
      h("td", { class: "words", text: Object.keys(model.refused).join(", ") || "–" }))));
  }

  #update() {
    if (!this.element.isConnected) return;
    const { facts, app } = this, last = app.checks.at(-1), session = app.listening;
    if (last) {
      const [at, ms, words] = last, since = (Date.now() - at) / 1e3;
      say(facts.server.value, words);
      facts.server.box.dataset.kind = since > 15 ? "" : ms === null ? "bad" : "good";
      say(facts.server.more, `asked ${ago(since)}`);
      const trips = app.checks.map(([, each]) => each).filter((each) => each !== null);
      say(facts.trip.value, ms === null ? "–" : milliseconds(ms));
      say(facts.trip.more, trips.length ? `median ${milliseconds(quantile(trips, 0.5))}, longest `
        + milliseconds(Math.max(...trips)) : "no answer yet");
    }
    const counts = session?.stream?.counts;
    say(facts.stream.value, session ? session.stream?.state ?? session.state.kind : "none");
    facts.stream.box.dataset.kind = session?.stream?.state === "open" ? "good" : "";
    say(facts.stream.more, session ? `${session.source?.name ?? session.opening.kind}, `
      + `${plural(counts?.reconnects ?? 0, "reconnect")}` : "open one in Listen");
    say(facts.windows.value, number(counts?.windows ?? 0));
    const since = session ? (performance.now() - session.lastWindow) / 1e3 : 0;
    say(facts.windows.more, session ? `last ${ago(since)}, ${clock(session.captured, 0)} of sound`
      : "–");
    say(facts.dropped.value, plural(counts?.dropped ?? 0, "window"));
    facts.dropped.box.dataset.kind = counts?.dropped ? "bad" : "";
    this.#ages();
    this.#sources();
    this.#coverage();
    if (performance.now() - this.scraped > SCRAPE_MS) this.#scrape();
    this.#draw();
  }

  /** A row for each stream of this page; the rows stay, only their text changes. */
  #sources() {
    const sessions = this.app.sessions ?? [];
    while (this.sources.children.length > Math.max(1, sessions.length)) {
      this.sources.lastChild.remove();
    }
    while (this.sources.children.length < Math.max(1, sessions.length)) {
      this.sources.append(h("tr", {}, Array.from({ length: 8 }, (_, n) =>
        h("td", { class: n < 3 && "words" }))));
    }
    const now = performance.now();
    const rows = sessions.map((session) => {
      const { source, opening, model, state, stream, age, lastWindow } = session;
      const counts = stream?.counts;
      return [source?.name ?? opening.name ?? opening.kind, model.name,
        state.kind === "listening" ? stream?.state ?? "" : state.kind,
        ago((now - lastWindow) / 1e3), age ? milliseconds(age.total) : "–",
        number(counts?.windows ?? 0), number(counts?.dropped ?? 0),
        number(counts?.reconnects ?? 0)];
    });
    (rows.length ? rows : [["none; Listen begins some", "", "", "", "", "", "", ""]])
      .forEach((row, n) => row.forEach((text, column) =>
        say(this.sources.children[n].children[column], text)));
  }

  #coverage() {
    const { coverage } = this.app, now = Math.floor(Date.now() / 60_000);
    let heard = 0, dropped = 0, minutes = 0;
    for (let minute = now - MINUTES + 1; minute <= now; minute++) {
      const [one, other] = coverage.at(minute);
      heard += one;
      dropped += other;
      minutes += one + other > 0;
    }
    const words = minutes ? `${clock(heard, 0)} of sound heard, ${clock(dropped, 0)} dropped, in `
      + `${plural(minutes, "minute")} of the last 24 hours; nothing was listened to in the others.`
      : "Nothing was listened to by this page yet.";
    say(this.coverageWords, words);
    this.coverage.ariaLabel = words;
  }

  /** What the server counts; where it may not be told, why not. */
  async #scrape() {
    this.scraped = performance.now();
    const { api } = this.app, { key } = api;
    let words = "";
    try {
      const response = await fetch(new URL("/metrics", api.url), { cache: "no-store",
        headers: { Accept: "text/plain", ...(key && { Authorization: `Bearer ${key}` }) } });
      if (response.ok) this.history.take(parseMetrics(await response.text()), Date.now());
      else words = REFUSED[response.status] ?? `the server answered ${response.status}`;
    } catch {
      words = "the server does not answer";
    }
    this.serverPart.hidden = Boolean(words);
    say(this.serverWords, words ? `Its counters are not told to this page: ${words}.` : "Windows "
      + "of all streams by their age, and what has happened, in "
      + `${plural(Math.max(1, Math.round(this.history.minutes)), "minute")} of at most 60 that this `
      + "page has been looked at.");
    if (!words) this.#counters();
  }

  #counters() {
    const { history } = this, rows = [];
    const count = (text, name, labels) => rows.push([text, number(history.sum(name, labels)),
      number(Math.round(history.grown(name, labels)))]);
    for (const model of history.values("timbre_streams", "model")) {
      rows.push([`streams of ${model}`, number(history.sum("timbre_streams", { model })), ""]);
    }
    for (const status of history.values("timbre_requests_total", "status")) {
      count(`requests, status ${status}`, "timbre_requests_total", { status });
    }
    count("windows answered", "timbre_windows_total");
    for (const reason of history.values("timbre_dropped_windows_total", "reason")) {
      count(`windows dropped: ${reason}`, "timbre_dropped_windows_total", { reason });
    }
    for (const kind of history.values("timbre_queue_jobs", "kind")) {
      rows.push([`${kind} jobs in the queue`, number(history.sum("timbre_queue_jobs", { kind })),
        ""], [`oldest of the ${kind} jobs`,
        milliseconds(1e3 * history.sum("timbre_queue_oldest_seconds", { kind })), ""]);
    }
    for (const process of history.values("timbre_restarts_total", "process")) {
      count(`restarts of ${process}`, "timbre_restarts_total", { process });
    }
    this.counters.replaceChildren(...rows.map(([text, now, hour]) => h("tr", {},
      h("th", { scope: "row", text }), h("td", { text: now }), h("td", { text: hour }))));
    this.histogram = history.histogram("timbre_window_age_seconds", { stage: "total" });
    this.serverAges.ariaLabel = agesInWords(this.histogram);
  }

  #ages() {
    const ages = this.app.ages.last(3600e3);
    say(this.facts.age.value, ages.length ? milliseconds(quantile(ages, 0.5)) : "–");
    say(this.facts.age.more, ages.length
      ? `99 % within ${milliseconds(quantile(ages, 0.99))}` : " ");
    say(this.agesWords, ages.length ? `${plural(ages.length, "answer")} of this page's stream, `
      + `longest ${milliseconds(Math.max(...ages))}` : "No answers yet.");
    this.counted = ages;
  }

  #draw() {
    readInk();
    drawTrips(this.trips, this.app.checks);
    drawAges(this.ages, binned(this.counted ?? []));
    drawAges(this.serverAges, this.histogram ? rebinned(this.histogram) : new Float64Array(BINS));
    drawCoverage(this.coverage, this.app.coverage);
  }
}

function quantile(values, share) {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}

function clear(canvas) {
  const context = canvas.getContext("2d", { alpha: false });
  context.fillStyle = ink.paper;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.font = `${11 * canvas.ratio}px system-ui, sans-serif`;
  context.textBaseline = "bottom";
  return context;
}

/** A bar for each question of the last hour, newest right. */
function drawTrips(canvas, checks) {
  const context = clear(canvas), { width, height, ratio } = canvas;
  const shown = checks.slice(-Math.max(1, Math.floor(width / (4 * ratio))));
  const most = Math.max(10, ...shown.map(([, ms]) => ms ?? 0));
  const tall = height - 20 * ratio;
  shown.forEach(([, ms], n) => {
    const x = width - (shown.length - n) * 4 * ratio;
    context.fillStyle = ms === null ? ink.bad : ink.accent;
    const high = ms === null ? tall : Math.max(ratio, (ms / most) * tall);
    context.fillRect(x, height - high, 3 * ratio, high);
  });
  context.fillStyle = ink.muted;
  context.fillText(milliseconds(most), 6 * ratio, 16 * ratio);
}

/** Bin of an age on the logarithmic axis. */
const binOf = (ms) => Math.min(BINS - 1, Math.floor(((Math.log(Math.max(SHORTEST_MS, ms))
  - Math.log(SHORTEST_MS)) / (Math.log(LONGEST_MS) - Math.log(SHORTEST_MS))) * BINS));

function binned(ages) {
  const bins = new Float64Array(BINS);
  for (const age of ages) bins[binOf(age)] += 1;
  return bins;
}

/** A histogram with bounds in seconds, each bucket spread over the bins it covers. */
function rebinned(histogram) {
  const bins = new Float64Array(BINS);
  let from = 0;
  for (const [bound, count] of histogram) {
    const to = Number.isFinite(bound) ? binOf(1e3 * bound) : BINS - 1;
    const last = Math.max(from, to);
    for (let n = from; n <= last; n++) bins[n] += count / (last - from + 1);
    from = Math.min(BINS - 1, last + 1);
  }
  return bins;
}

/** How many answers fell into each stretch of ages, on a logarithmic axis. */
function drawAges(canvas, bins) {
  const context = clear(canvas), { width, height, ratio } = canvas;
  const most = Math.max(1, ...bins), tall = height - 40 * ratio, each = width / BINS;
  context.fillStyle = ink.accent;
  bins.forEach((count, n) => {
    const bar = count ? Math.max(2 * ratio, (count / most) * tall) : 0;
    context.fillRect(n * each + ratio, height - 20 * ratio - bar, each - 2 * ratio, bar);
  });
  context.fillStyle = ink.muted;
  for (const mark of [1, 10, 100, 1_000, 10_000]) {
    const x = (Math.log(mark / SHORTEST_MS) / Math.log(LONGEST_MS / SHORTEST_MS)) * width;
    context.fillText(milliseconds(mark).replace(".0", ""), x, height - 2 * ratio);
  }
}

/** A bar for each minute of the day, newest right: heard, and above it what was dropped. */
function drawCoverage(canvas, coverage) {
  const context = clear(canvas), { width, height, ratio } = canvas;
  const now = Math.floor(Date.now() / 60_000), tall = height - 20 * ratio;
  for (let n = 0; n < MINUTES; n++) {
    const [heard, dropped] = coverage.at(now - MINUTES + 1 + n);
    const all = heard + dropped;
    if (!all) continue;
    const high = (Math.min(60, all) / 60) * tall, bad = (dropped / all) * high;
    const x = (n / MINUTES) * width, wide = Math.max(ratio, width / MINUTES);
    context.fillStyle = ink.accent;
    context.fillRect(x, tall - high + bad, wide, high - bad);
    context.fillStyle = ink.bad;
    context.fillRect(x, tall - high, wide, bad);
  }
  context.fillStyle = ink.muted;
  for (const hours of [24, 18, 12, 6]) {
    context.fillText(`−${hours} h`, Math.max(2 * ratio, (1 - hours / 24) * width),
      height - 2 * ratio);
  }
}

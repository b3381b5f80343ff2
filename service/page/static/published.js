// Events that other streams of the server publish, by source, as lanes on the wall clock.
import { ago, colourOf, fit, h, ink, plural, readInk, say } from "./dom.js";
import { Problem } from "./timbre.js";

const MOST_SOURCES = 12;
const MOST_LABELS = 12;
const MOST_EVENTS = 200;
/** Of one source: each connection is one. */
const MOST_STREAMS = 8;
const SPAN_S = 120;
const LANE = 20;
const UPDATE_MS = 500;
const RETRY_MS = 2_000;
const LONGEST_RETRY_MS = 30_000;
/** Seconds after which a source that says nothing is left out. */
const FORGOTTEN_S = 1800;

/** Server-sent events of a response, as {id, event, data}; comments are left out. */
export async function* serverSentEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").filter((line) => /^\w+: /.test(line))
        .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]));
      if (fields.data) yield fields;
    }
  }
}

/** What is known of the sources; fixed memory. Pure: times are given, seconds of the wall clock. */
export class PublishedSources {
  constructor() {
    this.sources = new Map();
    this.missed = 0;
  }

  /** Take one event; `at`: when it was published. */
  take({ source, model, id, label, state, start, end, peak }, at) {
    let found = this.sources.get(source);
    if (!found) {
      if (this.sources.size >= MOST_SOURCES) this.#forget();
      found = { name: source, model, labels: [], events: new Map(), zeros: new Map(), newest: 0 };
      this.sources.set(source, found);
    }
    found.model = model;
    // Second 0 of its stream by the wall clock: no event is published before it is heard.
    const stream = id.slice(0, id.lastIndexOf("-"));
    found.zeros.set(stream, Math.min(found.zeros.get(stream) ?? Infinity, at - (end ?? start)));
    if (found.zeros.size > MOST_STREAMS) found.zeros.delete(found.zeros.keys().next().value);
    found.newest = Math.max(found.newest, at);
    if (!found.labels.includes(label) && found.labels.length < MOST_LABELS) {
      found.labels.push(label);
    }
    found.events.set(id, { stream, label, start, end: state === "offset" ? end : null, peak });
    if (found.events.size > MOST_EVENTS) found.events.delete(found.events.keys().next().value);
  }

  /** Leave out what has been silent for long. */
  expire(now) {
    for (const [name, { newest }] of this.sources) {
      if (now - newest > FORGOTTEN_S) this.sources.delete(name);
    }
  }

  #forget() {
    const [oldest] = [...this.sources.values()].sort((a, b) => a.newest - b.newest);
    this.sources.delete(oldest.name);
  }
}

/** The panel in Listen; follows while it is open. */
export class Published {
  constructor(app) {
    Object.assign(this, { app, found: new PublishedSources(), rows: new Map(), last: "",
      asking: null });
    this.told = h("p", { class: "lead" });
    this.key = h("button", { type: "button", text: "Enter a key", hidden: true,
      onclick: () => app.askKey() });
    this.list = h("div", { class: "sources" });
    this.element = h("details", { class: "published", ontoggle: () => this.#toggled() },
      h("summary", { text: "Sources that others publish" }), this.told, this.key, this.list);
    app.addEventListener("key", () => this.element.open && this.#toggled());
  }

  #toggled() {
    this.asking?.abort();
    clearInterval(this.timer);
    if (!this.element.open) return;
    this.asking = new AbortController();
    this.#follow(this.asking.signal);
    this.timer = setInterval(() => this.#draw(), UPDATE_MS);
    this.#draw();
  }

  async #follow(signal) {
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        await this.#read(signal, () => { attempt = 0; });
        this.#say("The server has ended it; asking again …");
      } catch (error) {
        if (signal.aborted) return;
        this.key.hidden = ![401, 403].includes(error.status);
        if (error.status && error.status < 500) {
          return this.#say(`Not told: ${error.message}.`);
        }
        this.#say(`Not told now: ${error.message}. It is asked again.`);
      }
      await new Promise((done) => setTimeout(done,
        Math.min(LONGEST_RETRY_MS, RETRY_MS * 2 ** attempt)));
    }
  }

  async #read(signal, begun) {
    const { api } = this.app;
    const headers = { ...(api.key && { Authorization: `Bearer ${api.key}` }),
      ...(this.last && { "Last-Event-ID": this.last }) };
    const response = await fetch(new URL("/v1/events", api.url), { headers, signal })
      .catch(() => { throw new Problem("unreachable", "the server does not answer"); });
    if (!response.ok) {
      const { type, detail, title } = await response.json().catch(() => ({}));
      throw new Problem(String(type ?? ""), detail ?? title ?? `status ${response.status}`,
        { status: response.status });
    }
    begun();
    this.key.hidden = true;
    this.#say("");
    for await (const { id, event, data } of serverSentEvents(response.body)) {
      const fields = JSON.parse(data);
      if (event === "missed") {
        this.found.missed += fields.count ?? 1;
        continue;
      }
      this.last = id;
      this.found.take(fields, Number(id.slice(0, 13)) / 1e3);
    }
  }

  #say(text) { this.words = text; }

  #draw() {
    if (document.hidden || !this.element.isConnected) return;
    const now = Date.now() / 1e3, { sources, missed } = this.found;
    this.found.expire(now);
    say(this.told, this.words || [sources.size ? plural(sources.size, "source")
      : "No stream has published anything yet: streams with `publish` in their start do",
    missed && `${missed} events were missed`].filter(Boolean).join(", "));
    for (const [name, row] of this.rows) {
      if (sources.has(name)) continue;
      row.element.remove();
      this.rows.delete(name);
    }
    for (const source of sources.values()) {
      let row = this.rows.get(source.name);
      if (!row) {
        row = new PublishedSource(source.name);
        this.rows.set(source.name, row);
        this.list.append(row.element);
      }
      row.draw(source, now);
    }
  }
}

class PublishedSource {
  constructor(name) {
    this.title = h("h3", { text: name });
    this.state = h("p", { class: "lead" });
    this.plot = h("canvas", { role: "img" });
    fit(this.plot);
    this.element = h("article", { class: "source" }, this.title, this.plot, this.state);
  }

  draw({ model, labels, events, zeros, newest }, now) {
    this.plot.style.height = `${LANE * Math.max(1, labels.length)}px`;
    const lasting = [...new Set([...events.values()].filter(({ end }) => end === null)
      .map(({ label }) => label))];
    say(this.state, `${model}, ${lasting.length ? `on now: ${lasting.slice(0, 4).join(", ")}`
      : "nothing on now"}; last event ${ago(now - newest)}`);
    this.plot.ariaLabel = `Events of the last ${SPAN_S} s`;
    readInk();
    const context = this.plot.getContext("2d", { alpha: false });
    const { width, height, ratio } = this.plot;
    context.fillStyle = ink.paper;
    context.fillRect(0, 0, width, height);
    context.font = `${11 * ratio}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    const x = (seconds) => ((seconds - now + SPAN_S) / SPAN_S) * width;
    labels.forEach((label, row) => {
      const top = row * LANE * ratio;
      context.fillStyle = ink.line;
      context.fillRect(0, top + LANE * ratio - 1, width, 1);
      context.fillStyle = colourOf(row);
      for (const event of events.values()) {
        const zero = zeros.get(event.stream);
        if (event.label !== label || zero === undefined) continue;
        const left = Math.max(0, x(zero + event.start));
        const right = Math.min(width, x(event.end === null ? now : zero + event.end));
        if (right < 0 || left > width) continue;
        context.globalAlpha = 0.35 + 0.65 * event.peak;
        context.fillRect(left, top + 4 * ratio, Math.max(2 * ratio, right - left),
          (LANE - 8) * ratio);
      }
      context.globalAlpha = 1;
      context.fillStyle = ink.paper;
      context.fillRect(0, top + 4 * ratio, context.measureText(label).width + 8 * ratio,
        (LANE - 8) * ratio);
      context.fillStyle = ink.ink;
      context.fillText(label, 4 * ratio, top + (LANE * ratio) / 2);
    });
  }
}

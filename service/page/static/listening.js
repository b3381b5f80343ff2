// One source and its stream, and what was heard in the last minutes; nothing of the page.
import { Events } from "./events.js";
import { Scores } from "./lanes.js";
import { Columns, Meter } from "./signal.js";
import { microphone, soundFile, Stream } from "./timbre.js";

/** Seconds that are kept to be looked at. */
export const HISTORY_S = 180;
const SPANS = 200;
const WINDOWS = 2000;

/**
 * Listening to one source. Dispatches `changed` when its state does, `window`, `dropped`, `event`
 * ({detail: event}) and `ready`.
 */
export class Listening extends EventTarget {
  /** model: what `GET /v1/models/NAME` tells; opening: {kind, file, name, deviceId} */
  constructor(api, model, opening) {
    super();
    Object.assign(this, { api, model, opening, source: null, stream: null, columns: null });
    this.state = { kind: "opening" };
    this.scores = new Scores(model.labels, WINDOWS);
    this.events = null;
    this.spans = [];
    this.age = null;
    this.hop = 0.5;
    this.lastWindow = -Infinity;
    this.warning = null;
    this.version = model.version;
    this.samples = 0;
    this.closed = false;
    /** When its first sample was captured. */
    this.begun = new Date();
  }

  /** Seconds of sound captured. */
  get captured() { return this.source ? this.samples / this.source.sampleRate : 0; }

  async open() {
    const { kind, file, name, deviceId } = this.opening;
    try {
      const source = kind === "microphone" ? await microphone({ deviceId })
        : await soundFile(file, { name });
      // Closed while the person was asked.
      if (this.closed) return source.close();
      this.source = source;
      this.begun = new Date();
    } catch (error) {
      return this.#change({ kind: "failed", of: error.kind ?? "unreadable", text: error.message });
    }
    const { sampleRate } = this.source;
    this.columns = new Columns(sampleRate, HISTORY_S);
    this.meter = new Meter(sampleRate);
    this.source.onsamples = (samples, gap) => this.#take(samples, gap);
    this.source.onstate = (state) => this.#sourceChanged(state);
    this.#stream();
    this.#change({ kind: "listening" });
  }

  #stream() {
    const { url, key } = this.api;
    this.stream = new Stream({ url, key, model: this.model.name, hop: 0.5,
      sampleRate: this.source.sampleRate, firstSample: this.samples });
    const on = (type, handle) =>
      this.stream.addEventListener(type, ({ detail }) => this.closed || handle(detail));
    on("ready", (ready) => {
      this.hop = ready.hop;
      this.events ??= new Events(this.model.labels, { hop: ready.hop, rate: ready.sample_rate });
      this.version = ready.version;
      this.dispatchEvent(new CustomEvent("ready", { detail: ready }));
    });
    on("state", () => this.#change(this.state));
    on("window", (window) => this.#window(window));
    on("dropped", (dropped) => this.#dropped(dropped));
    on("warning", (warning) => {
      this.warning = { ...warning, at: this.captured };
      this.#change(this.state);
    });
    on("error", (problem) => this.#change({ kind: "refused", of: problem.code,
      text: problem.message }));
    on("end", () => this.#finish());
  }

  #take(samples, gap) {
    if (gap) this.#span(this.captured, this.captured + gap / this.source.sampleRate, "gap");
    this.samples += gap + samples.length;
    this.columns.feed(samples, gap);
    this.meter.feed(samples);
    this.stream.send(samples, gap);
  }

  #window(window) {
    this.lastWindow = performance.now();
    this.age = window.age_ms;
    this.version = window.version;
    this.scores.add(window, this.hop);
    for (const event of this.events.feed(window)) this.#event(event);
    this.dispatchEvent(new CustomEvent("window", { detail: window }));
  }

  #event(event) { this.dispatchEvent(new CustomEvent("event", { detail: event })); }

  #dropped({ from_sample: from, to_sample: to, reason, count }) {
    const rate = this.source.sampleRate;
    // The hops that no window counts for; neighbouring windows heard the rest.
    const middle = (from + to) / 2 / rate;
    if (reason === "overload" || reason === "late") {
      this.#span(middle - this.hop / 2, middle + this.hop / 2, reason);
    } else if (!this.spans.some(({ start, end }) => start <= middle && middle <= end)) {
      // A gap in the sound is known already, but for one that the replay has left.
      this.#span(from / rate, to / rate, reason);
    }
    for (const event of this.events.skip(to / rate)) this.#event(event);
    this.dispatchEvent(new CustomEvent("dropped", { detail: { reason, at: middle,
      seconds: count * this.hop } }));
  }

  #span(start, end, reason) {
    const last = this.spans.at(-1);
    if (last && last.reason === reason && start <= last.end + 0.01) {
      last.end = Math.max(last.end, end);
    } else this.spans.push({ start, end, reason });
    if (this.spans.length > SPANS) this.spans.shift();
  }

  #sourceChanged(state) {
    if (state === "ended" || state === "unplugged") this.stream.finish();
    if (state === "unplugged") {
      this.#change({ kind: "failed", of: "unplugged", text: "the microphone was unplugged" });
    } else this.#change(this.state);
  }

  #finish() {
    for (const event of this.events?.finish() ?? []) this.#event(event);
    if (this.state.kind === "listening") this.#change({ kind: "ended" });
    this.source.close();
  }

  #change(state) {
    this.state = state;
    if (!this.closed) this.dispatchEvent(new Event("changed"));
  }

  /** The key has been changed: try with it. */
  again() {
    this.stream?.close();
    this.#stream();
    this.#change({ kind: "listening" });
  }

  pause() { return this.source?.pause(); }

  resume() { return this.source?.resume(); }

  /** Leave the source and the stream. */
  close() {
    this.closed = true;
    this.stream?.close();
    this.source?.close();
    this.columns = null;
  }
}

// Events from scored windows, by the rules of the server, and the files that people keep them in.
// Made here, so that an event outlives a lost connection. Pure, without the page.

/** Events that are kept. */
export const MOST = 500;
const MAX_NOT_HEARD_S = 10;
/** Of a window: over how long a rise or fall of the score is measured. */
const RISE_SHARE = 0.25;

/**
 * Turns the windows of one stream, in order, into onsets and offsets; positions in samples.
 *
 * A window counts for the hop around its middle; the first also for what is before that, the last
 * for what is behind it.
 */
export class EventDetector {
  #open = new Map();
  #numbers = 0;
  #end = 0;
  #heard = 0;
  #from = 0;
  #begun = false;
  #window = 0;
  #recent = new Map();

  /** labels: [{name, threshold, events: {off, gap, min_length, rise}}]; hop: samples */
  constructor(labels, { hop, sampleRate }) {
    this.hop = hop;
    this.maxNotHeard = Math.round(MAX_NOT_HEARD_S * sampleRate);
    this.rules = new Map(labels.map(({ name, threshold, events = {} }) => [name, {
      threshold,
      off: Math.min(events.off ?? 0.8 * threshold, threshold),
      gap: Math.round((events.gap ?? 1) * sampleRate),
      shortest: Math.round((events.min_length ?? 0) * sampleRate),
      rise: events.rise ?? 0,
    }]));
  }

  /** What lasts now, those too short to be told included. */
  get open() { return this.#open; }

  /** Take one window; returns what it begins and ends. */
  feed(start, end, scores) {
    const told = this.#hearFrom(start, end), heard = this.#heard;
    for (const [label, score] of Object.entries(scores)) {
      const rule = this.rules.get(label);
      let event = this.#open.get(label);
      if (!rule || (!event && score < rule.threshold)) continue;
      if (!event) {
        const start = this.#from + this.#shift(rule, score, this.#recent.get(label)?.[0]);
        event = { label, start, end: heard, last: 0, peak: 0, total: 0, count: 0, notHeard: 0,
          since: [], notHeardSince: 0, number: 0 };
        this.#open.set(label, event);
      }
      told.push(...this.#add(rule, event, score));
    }
    this.#remember(scores);
    return told;
  }

  /** How many windows before one a rise is measured from. */
  get #steps() { return Math.max(1, Math.round((RISE_SHARE * this.#window) / this.hop)); }

  #remember(scores) {
    for (const [label, score] of Object.entries(scores)) {
      if (!this.rules.get(label)?.rise) continue;
      const recent = this.#recent.get(label) ?? [];
      this.#recent.set(label, recent);
      if (recent.push(score) > this.#steps) recent.shift();
    }
  }

  /** By how many samples a rise or fall between two scores moves onset or offset. */
  #shift(rule, high, low) {
    if (low === undefined) return 0;
    return Math.round((rule.rise * Math.max(0, high - low) ** 2 * this.#window) / 2);
  }

  #hearFrom(start, end) {
    let begin = Math.floor((start + end - this.hop) / 2), told = [];
    if (!this.#begun) begin = start;
    else if (start >= this.#end) {
      this.#reach(this.#end);
      told = this.#notHeard(start - this.#end);
      begin = start;
    } else if (begin > this.#heard) told = this.#notHeard(begin - this.#heard);
    // Rise and fall are measured between windows that overlap, with none missing.
    if (begin > this.#heard || begin === start) {
      this.#recent.clear();
      for (const event of this.#open.values()) event.last = 0;
    }
    this.#begun = true;
    this.#window = end - start;
    this.#from = begin;
    this.#end = end;
    this.#heard = Math.min(end, Math.floor((start + end + this.hop) / 2));
    return told;
  }

  #reach(end) {
    for (const event of this.#open.values()) if (event.end === this.#heard) event.end = end;
    this.#heard = end;
  }

  #notHeard(samples) {
    if (samples > this.maxNotHeard) return this.#closeAll();
    for (const event of this.#open.values()) event.notHeardSince += samples;
    return [];
  }

  /** What ends because nothing was answered up to a sample for too long. */
  skip(to) {
    return this.#begun && to - this.#end > this.maxNotHeard ? this.finish() : [];
  }

  /** What lasts until the end. */
  finish() {
    this.#reach(this.#end);
    this.#begun = false;
    return this.#closeAll();
  }

  #closeAll() { return [...this.#open.values()].flatMap((event) => this.#close(event)); }

  #add(rule, event, score) {
    event.since.push(score);
    if (score >= rule.off) {
      event.peak = Math.max(event.peak, ...event.since);
      for (const each of event.since) event.total += each;
      event.count += event.since.length;
      event.notHeard += event.notHeardSince;
      Object.assign(event, { end: this.#heard, last: score, since: [], notHeardSince: 0 });
      return this.#onset(rule, event);
    }
    return this.#heard - event.end >= rule.gap ? this.#close(event) : [];
  }

  #onset(rule, event) {
    if (event.number || Math.max(0, event.end - event.start) < rule.shortest) return [];
    event.number = ++this.#numbers;
    return [["onset", event]];
  }

  #close(event) {
    const rule = this.rules.get(event.label);
    const low = event.since.slice(0, this.#steps).at(-1);
    event.end = Math.max(event.start, event.end - this.#shift(rule, event.last, low));
    const onset = this.#onset(rule, event);
    this.#open.delete(event.label);
    return event.number ? [...onset, ["offset", event]] : [];
  }
}

/** The newest events of a stream, in seconds, as the page shows and saves them. */
export class Events {
  /** rate: hertz of the model; hop: seconds */
  constructor(labels, { hop, rate }) {
    this.rate = rate;
    this.detector = new EventDetector(labels, { hop: Math.round(hop * rate), sampleRate: rate });
    this.list = [];
    this.shown = new Map();
  }

  /** Whether any lasts now. */
  get lasting() { return this.shown.size > 0; }

  /** Take a window message; returns the events that began or ended. */
  feed({ start, end, scores }) {
    const at = (seconds) => Math.round(seconds * this.rate);
    return this.#take(this.detector.feed(at(start), at(end), scores));
  }

  /** Nothing was answered up to this second. */
  skip(seconds) { return this.#take(this.detector.skip(Math.round(seconds * this.rate))); }

  finish() { return this.#take(this.detector.finish()); }

  #take(told) {
    const changed = new Set();
    for (const [state, event] of told) {
      if (state === "onset") {
        const shown = { label: event.label, over: false };
        this.shown.set(event, shown);
        this.list.push(shown);
        if (this.list.length > MOST) this.list.shift();
      }
      const shown = this.shown.get(event);
      this.#show(event, shown);
      changed.add(shown);
      if (state === "offset") {
        shown.over = true;
        this.shown.delete(event);
      }
    }
    for (const [event, shown] of this.shown) this.#show(event, shown);
    return [...changed];
  }

  #show(event, shown) {
    Object.assign(shown, { start: event.start / this.rate, end: event.end / this.rate,
      peak: event.peak, mean: event.total / event.count, notHeard: event.notHeard / this.rate });
  }
}

const flat = (text) => text.replace(/[\t\r\n]+/g, " ");
const cell = (text) => {
  // A spreadsheet would take what begins so as a formula.
  const safe = /^[=+\-@]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};

/** By name: the ending of the file, its type, and its text for events and what is known of them. */
export const FORMATS = {
  CSV: ["csv", "text/csv", (events) => ["start,end,label,peak,mean,not_heard",
    ...events.map((e) => [e.start.toFixed(6), e.end.toFixed(6), cell(e.label), e.peak.toFixed(4),
      e.mean.toFixed(4), e.notHeard.toFixed(6)].join(","))].join("\n") + "\n"],
  JSON: ["json", "application/json", (events, about) => JSON.stringify({ ...about,
    events: events.map(({ label, start, end, peak, mean, notHeard }) =>
      ({ label, start, end, peak, mean, not_heard: notHeard })) }, null, 1) + "\n"],
  Audacity: ["txt", "text/plain", (events) => events.map((e) =>
    `${e.start.toFixed(6)}\t${e.end.toFixed(6)}\t${flat(e.label)}\n`).join("")],
  Raven: ["selections.txt", "text/plain", (events, { nyquist = 0 }) => [
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tLabel"
      + "\tScore",
    ...events.map((e, n) => [n + 1, "Spectrogram 1", 1, e.start.toFixed(6), e.end.toFixed(6), "0.0",
      nyquist.toFixed(1), flat(e.label), e.peak.toFixed(4)].join("\t"))].join("\n") + "\n"],
};

// The server's counters as Prometheus reads them, and what they grew by in the last hour. Pure.

import { milliseconds } from "./dom.js";

const EVERY_MS = 60_000;
const KEPT = 61;
const MOST_SERIES = 3_000;
const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;
const ESCAPED = { n: "\n", "\\": "\\", '"': '"' };

/** Text of /metrics as a list of {name, labels, value}; comments and other lines are left out. */
export function parseMetrics(text) {
  const found = [];
  for (const line of text.split("\n")) {
    const [, name, labels = "", value] = LINE.exec(line) ?? [];
    if (!name || Number.isNaN(Number(value)) || found.length >= MOST_SERIES) continue;
    found.push({ name, labels: Object.fromEntries([...labels.matchAll(LABEL)].map(([, key, of]) =>
      [key, of.replace(/\\(.)/g, (_, char) => ESCAPED[char] ?? char)])), value: Number(value) });
  }
  return found;
}

const keyOf = ({ name, labels }) => `${name}${JSON.stringify(labels)}`;

/** The newest numbers, and some of the last hour to take them from. */
export class MetricsHistory {
  constructor() {
    this.now = [];
    this.kept = [];
  }

  /** Take what `parseMetrics` found, at a time in milliseconds. */
  take(series, at) {
    this.now = series;
    this.at = at;
    const last = this.kept.at(-1);
    if (last && at - last.at < EVERY_MS) return;
    this.kept.push({ at, values: new Map(series.map((each) => [keyOf(each), each.value])) });
    if (this.kept.length > KEPT) this.kept.shift();
  }

  /** Minutes that `grown` is about. */
  get minutes() { return this.kept.length ? (this.at - this.kept[0].at) / 60_000 : 0; }

  /** The series of a name, as they are now. */
  all(name) { return this.now.filter((each) => each.name === name); }

  /** The sum of a name, of the series with these labels. */
  sum(name, labels = {}) { return total(this.all(name), labels, ({ value }) => value); }

  /** By how much that grew in the kept time; a counter that fell has begun anew. */
  grown(name, labels = {}) {
    const before = this.kept[0]?.values;
    return total(this.all(name), labels, (each) => {
      const then = before?.get(keyOf(each)) ?? 0;
      return each.value >= then ? each.value - then : each.value;
    });
  }

  /** The values of a label of a name. */
  values(name, label) {
    return [...new Set(this.all(name).map(({ labels }) => labels[label] ?? ""))].sort();
  }

  /** A histogram of the kept time: [[upper bound in seconds, count], ...]. */
  histogram(name, labels = {}) {
    const bounds = this.values(`${name}_bucket`, "le")
      .map((text) => [text === "+Inf" ? Infinity : Number(text), text])
      .sort(([a], [b]) => a - b);
    let below = 0;
    return bounds.map(([bound, le]) => {
      const upTo = this.grown(`${name}_bucket`, { ...labels, le }), count = upTo - below;
      below = upTo;
      return [bound, Math.max(0, count)];
    });
  }
}

function total(series, labels, value) {
  const wanted = Object.entries(labels);
  return series.filter((each) => wanted.every(([name, of]) => each.labels[name] === of))
    .reduce((sum, each) => sum + value(each), 0);
}

/** The bound below which a share of a histogram lies, Infinity past the last; null without any. */
export function quantileOf(histogram, share) {
  const count = histogram.reduce((sum, [, each]) => sum + each, 0);
  let sum = 0;
  for (const [bound, each] of histogram) {
    sum += each;
    if (count && sum >= share * count) return bound;
  }
  return null;
}

/** What a histogram of ages tells, in one sentence. Pure. */
export function agesInWords(histogram) {
  const most = quantileOf(histogram, 0.99);
  if (most === null) return "No windows in this time";
  if (most < Infinity) return `99 % of the windows were at most ${milliseconds(1e3 * most)} old`;
  const last = Math.max(...histogram.map(([bound]) => bound).filter((bound) => bound < Infinity));
  return `More than 1 % of the windows were over ${milliseconds(1e3 * last)} old`;
}

/** Seconds of sound by minute of the last day: heard, and dropped; fixed memory. Pure. */
export class Coverage {
  constructor(minutes = 1440) {
    this.minutes = minutes;
    this.heard = new Float32Array(minutes);
    this.dropped = new Float32Array(minutes);
    this.number = new Float64Array(minutes).fill(-1);
  }

  /** Add seconds of sound from a time, milliseconds of the wall clock. */
  add(kind, at, seconds) {
    const minute = Math.floor(at / 60_000), slot = minute % this.minutes;
    if (this.number[slot] > minute) return;
    if (this.number[slot] < minute) {
      this.number[slot] = minute;
      this.heard[slot] = this.dropped[slot] = 0;
    }
    this[kind][slot] += seconds;
  }

  /** [heard, dropped] of a minute, counted since 1970. */
  at(minute) {
    const slot = minute % this.minutes;
    return this.number[slot] === minute ? [this.heard[slot], this.dropped[slot]] : [0, 0];
  }
}

// Events from scored windows, and the files that people keep them in. Pure, without the page.

/** Share of the threshold below which an event ends. */
export const OFF = 0.8;
/** Events that are kept. */
export const MOST = 500;

/** Hysteresis for each label: on at the threshold, off below `OFF` of it. */
export class Events {
  /** labels: [{name, threshold}] */
  constructor(labels) {
    this.labels = labels;
    this.open = new Map();
    this.list = [];
    this.number = 0;
  }

  /**
   * Take a scored window; returns what began and what ended.
   * A window speaks for the stretch of a hop around its middle.
   */
  feed({ start, end, scores }, hop) {
    const from = Math.max(0, (start + end - hop) / 2), to = from + hop;
    const changes = [];
    for (const { name, threshold } of this.labels) {
      const score = scores[name] ?? 0;
      let event = this.open.get(name);
      // After sound that was not heard, the event before it is over.
      if (event && from - event.end > 1.5 * hop) {
        changes.push(this.#close(event));
        event = undefined;
      }
      if (event && score < OFF * threshold) {
        changes.push(this.#close(event));
      } else if (event) {
        event.end = to;
        event.peak = Math.max(event.peak, score);
        event.sum += score;
        event.windows += 1;
      } else if (score >= threshold) {
        const begun = { id: this.number++, label: name, start: from, end: to, peak: score,
          sum: score, windows: 1, over: false };
        this.open.set(name, begun);
        this.list.push(begun);
        if (this.list.length > MOST) this.list.shift();
        changes.push(begun);
      }
    }
    return changes;
  }

  /** End what is open. */
  finish() {
    return [...this.open.values()].map((event) => this.#close(event));
  }

  #close(event) {
    event.over = true;
    this.open.delete(event.label);
    return event;
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
  CSV: ["csv", "text/csv", (events) => ["start,end,label,peak,mean",
    ...events.map((e) => [e.start.toFixed(3), e.end.toFixed(3), cell(e.label), e.peak.toFixed(4),
      (e.sum / e.windows).toFixed(4)].join(","))].join("\n") + "\n"],
  JSON: ["json", "application/json", (events, about) => JSON.stringify({ ...about,
    events: events.map(({ label, start, end, peak, sum, windows }) =>
      ({ label, start, end, peak, mean: sum / windows })) }, null, 1) + "\n"],
  Audacity: ["txt", "text/plain", (events) => events.map((e) =>
    `${e.start.toFixed(6)}\t${e.end.toFixed(6)}\t${flat(e.label)}\n`).join("")],
  Raven: ["selections.txt", "text/plain", (events, { nyquist = 0 }) => [
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tLabel"
      + "\tScore",
    ...events.map((e, n) => [n + 1, "Spectrogram 1", 1, e.start.toFixed(6), e.end.toFixed(6), "0.0",
      nyquist.toFixed(1), flat(e.label), e.peak.toFixed(4)].join("\t"))].join("\n") + "\n"],
};

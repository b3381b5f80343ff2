// The sources that this page listens to at once, side by side and in small; a press shows one whole.
import { ago, clock, colourOf, fit, h, ink, say } from "./dom.js";
import { drawLanes } from "./lanes.js";
import { Spectrogram } from "./spectrogram.js";

/** Sources at once. */
export const MOST_SOURCES = 6;
const LANES = 6;
const LANE = 20;
const BEHIND_S = 0.08;
const STALE_HOPS = 3;

/** Cards of the sources; hidden while there is one at most. */
export class SourceBar {
  /** show, close: called with the session of a card. */
  constructor({ show, close }) {
    Object.assign(this, { show, close, cards: new Map() });
    this.element = h("div", { class: "sources", hidden: true, role: "group",
      ariaLabel: "Sources" });
  }

  /** Take over which sessions there are, and which of them is shown whole. */
  update(sessions, shown) {
    for (const [session, card] of this.cards) {
      if (sessions.includes(session)) continue;
      card.element.remove();
      this.cards.delete(session);
    }
    for (const session of sessions) {
      if (!this.cards.has(session)) {
        const card = new SourceCard(session, this);
        this.cards.set(session, card);
        this.element.append(card.element);
      }
      this.cards.get(session).button.ariaPressed = String(session === shown);
    }
    this.element.hidden = sessions.length < 2;
  }

  draw(settings) {
    if (this.element.hidden) return;
    for (const card of this.cards.values()) card.draw(settings);
  }

  tell() {
    if (this.element.hidden) return;
    for (const card of this.cards.values()) card.tell();
  }
}

class SourceCard {
  constructor(session, { show, close }) {
    this.session = session;
    this.rows = [];
    this.rowOf = new Map();
    this.button = h("button", { type: "button", onclick: () => show(session) });
    this.stop = h("button", { type: "button", class: "remove", text: "×",
      onclick: () => close(session) });
    this.heard = h("p", { class: "heard" });
    this.state = h("p", { class: "lead" });
    this.spectrum = h("canvas", { ariaHidden: "true" });
    this.plot = h("canvas", { ariaHidden: "true" });
    this.plot.style.height = `${LANE * Math.min(LANES, session.model.labels.length)}px`;
    this.picture = new Spectrogram(this.spectrum);
    for (const canvas of [this.spectrum, this.plot]) fit(canvas, () => { this.drawn = -1; });
    this.element = h("article", { class: "source" }, h("div", { class: "bar" }, this.button,
      h("span", { class: "push" }), this.stop), this.heard, this.spectrum, this.plot, this.state);
    this.tell();
  }

  get name() { return this.session.source?.name ?? this.session.opening.name ?? "microphone"; }

  /** Words and numbers, a few times a second. */
  tell() {
    const { session } = this, { stream, state, hop } = session;
    const since = (performance.now() - session.lastWindow) / 1e3;
    say(this.button, this.name);
    this.stop.ariaLabel = `Stop ${this.name}`;
    const live = state.kind === "listening";
    const words = live ? stream?.state === "open" || !stream ? `last window ${ago(since)}`
      : `server: ${stream.state}` : state.kind === "failed" || state.kind === "refused"
      ? state.text : state.kind;
    const { dropped = 0 } = stream?.counts ?? {};
    say(this.state, [words, live && session.age && `age ${Math.round(session.age.total)} ms`,
      dropped && `${dropped} not heard`, clock(session.captured, 0)].filter(Boolean).join(", "));
    const isOld = !live || since > STALE_HOPS * hop;
    if (isOld !== "old" in this.element.dataset) {
      isOld ? this.element.dataset.old = "" : delete this.element.dataset.old;
    }
    const on = session.last?.labels ?? [];
    say(this.heard, live && on.length ? on.slice(0, 3).join(", ") : "–");
    this.#choose();
  }

  /** Lanes for those that scored highest lately, in the order of the model. */
  #choose() {
    const { scores, model } = this.session, { labels } = model;
    const from = Math.max(scores.first, scores.count - 20);
    const most = labels.map((_, label) => {
      let high = 0;
      for (let n = from; n < scores.count; n++) high = Math.max(high, scores.score(n, label));
      return high;
    });
    const rows = labels.map((_, n) => n).sort((a, b) => most[b] - most[a] || a - b)
      .slice(0, LANES).sort((a, b) => a - b);
    if (rows.join() === this.rows.join()) return;
    this.rows = rows;
    this.rowOf = new Map(rows.map((label, row) => [labels[label].name, row]));
    this.drawn = -1;
  }

  draw({ span, scale, colours, force }) {
    const { session, picture, plot } = this;
    if (!session.columns) return;
    const end = Math.max(0, session.captured - BEHIND_S);
    // A pixel is the least that is seen; ten pictures a second are enough for a small one.
    if (!force && Math.abs(end - this.drawn) < Math.max(0.1, span / this.spectrum.width)) return;
    this.drawn = end;
    Object.assign(picture, { scale, colours });
    picture.draw(session.columns, end, span);
    const context = plot.getContext("2d", { alpha: false }), { ratio } = plot;
    drawLanes(context, { scores: session.scores, events: session.events?.list ?? [],
      spans: session.spans, end, span, top: 0, cursor: null, rows: this.rows, rowOf: this.rowOf,
      tall: LANE });
    context.font = `${11 * ratio}px system-ui, sans-serif`;
    context.textBaseline = "top";
    this.rows.forEach((label, row) => {
      const { name } = session.model.labels[label], { width } = context.measureText(name);
      context.fillStyle = ink.paper;
      context.fillRect(0, (row * LANE + 4) * ratio, width + 8 * ratio, 13 * ratio);
      context.fillStyle = colourOf(label);
      context.fillText(name, 4 * ratio, (row * LANE + 5) * ratio);
    });
  }
}

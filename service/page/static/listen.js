// The view Listen: what is heard now, what was, what stayed under, and how old it all is.
import {
  ago, clock, colourOf, download, fit, h, milliseconds, number, plural, readInk, say,
} from "./dom.js";
import * as correct from "./correct.js";
import { FORMATS } from "./events.js";
import { drawLanes, laneHeight, told } from "./lanes.js";
import { HISTORY_S, Listening } from "./listening.js";
import { Published } from "./published.js";
import { decibels } from "./signal.js";
import { MOST_SOURCES, SourceBar } from "./sources.js";
import { COLOURS, drawTimes, SCALES, Spectrogram } from "./spectrogram.js";

const SPANS = [5, 10, 20, 60, HISTORY_S];
const ROWS = 40;
const STALE_HOPS = 3;
/** Seconds that the picture is behind the sound, so that it moves evenly. */
const BEHIND_S = 0.08;
const LONGEST_FRAME_S = 0.1;
const RESUME = "timbre.resume";
const HINTS = {
  echoCancellation: "echo cancellation",
  noiseSuppression: "noise suppression",
  autoGainControl: "gain control",
};
const ADVICE = {
  insecure: "",
  refused: "Allow it in the settings of this page, beside its address, and try again.",
  "no-device": "Plug one in, or listen to a file.",
  "in-use": "Close what uses it, and try again.",
  unplugged: "Plug it in again, and start it anew.",
  blocked: "",
  unreadable: "",
};
const still = matchMedia("(prefers-reduced-motion: reduce)");

export const create = (app) => new ListenView(app);

class ListenView {
  constructor(app) {
    this.app = app;
    this.settings = { span: innerWidth < 640 ? 10 : 20, scale: "log", colours: "viridis",
      ...this.#stored() };
    /** What is listened to, and which of them is shown whole. */
    this.sessions = app.sessions = [];
    this.session = null;
    this.frozen = null;
    this.end = 0;
    this.cursor = null;
    this.rows = [];
    this.shown = false;
    this.#build();
    app.addEventListener("models", () => this.#models());
    app.addEventListener("key", () => {
      for (const each of this.sessions) if (each.state.of === "unauthorised") each.again();
    });
    app.addEventListener("reload", () => this.#keepForReload());
    addEventListener("online", () => this.sessions.forEach(({ stream }) => stream?.retry()));
    document.addEventListener("visibilitychange", () => this.#wake());
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.#devices());
    // Another view was the first one: they are known by now.
    if (app.models.length) this.#models();
  }

  show() {
    this.shown = true;
    this.#wake();
  }

  hide() { this.shown = false; }

  drop(transfer) {
    const [file] = transfer.files;
    if (file) this.open({ kind: "file", file, name: file.name });
  }

  // --- building -------------------------------------------------------------------------------

  #build() {
    const pick = () => {
      const input = h("input", { type: "file", accept: "audio/*,video/*",
        onchange: () => {
          const [file] = input.files;
          if (file) this.open({ kind: "file", file, name: file.name });
          input.value = "";
        } });
      return h("label", { class: "button" }, "A file …", input);
    };
    const sources = (main) => [
      h("button", { type: "button", class: main && "main", text: "Microphone",
        onclick: () => this.open({ kind: "microphone", deviceId: this.device.value }) }),
      h("button", { type: "button", text: "The example",
        onclick: () => this.open(this.#example()) }),
      pick()];
    this.welcome = h("div", { class: "welcome" },
      h("h2", { text: "What does it hear?" }),
      h("p", { class: "lead", text: "Sound goes to this server only. The example needs no "
        + "permission; a sound file may also be dropped here." }),
      h("div", { class: "bar" }, sources(true)));
    this.model = h("select", { onchange: () => this.#again() });
    this.device = h("select", { onchange: () => this.open({ kind: "microphone",
      deviceId: this.device.value }) });
    this.deviceField = h("label", { class: "field", hidden: true }, "Microphone", this.device);
    this.stop = h("button", { type: "button", text: "Stop", onclick: () => this.close() });
    this.top = h("div", { class: "bar", hidden: true }, sources(false), this.deviceField,
      h("label", { class: "field" }, "Model", this.model), h("span", { class: "push" }), this.stop);
    this.bannerText = h("span");
    this.bannerButton = h("button", { type: "button", onclick: () => this.bannerAction?.() });
    this.banner = h("div", { class: "banner", hidden: true }, this.bannerText, this.bannerButton);
    this.sourceBar = new SourceBar({ show: (session) => this.#show(session),
      close: (session) => this.close(session) });
    this.published = new Published(this.app);
    this.correction = correct.create(this);
    this.hearing = h("div", { class: "hearing" });
    this.body = h("div", { hidden: true }, this.hearing, this.#scope(), this.#tools(),
      this.#facts(), this.#log(), this.correction.element);
    this.element = h("section", { ariaLabel: "Listen" },
      h("h1", { class: "unseen", text: "Listen" }), this.top,
      this.sourceBar.element, this.banner, this.welcome, this.body, this.published.element);
  }

  #scope() {
    this.spectrum = h("canvas", { role: "img", ariaLabel: "Spectrogram: frequency over time" });
    this.picture = new Spectrogram(this.spectrum);
    this.hertz = h("div", { class: "hertz", ariaHidden: "true" });
    this.times = h("canvas", { ariaHidden: "true" });
    this.plot = h("canvas", { class: "plot", tabIndex: 0, role: "img",
      ariaLabel: "Scores of each label over time; arrow keys move a cursor" });
    this.names = h("ol", { class: "names" });
    this.values = h("ol", { class: "values", ariaLabel: "Scores now" });
    this.list = h("div", { class: "lanes" }, h("div", { class: "row" }, this.names, this.plot,
      this.values));
    this.list.addEventListener("scroll", () => { this.dirty = true; });
    this.title = h("span", { ariaHidden: "true" });
    this.readout = h("output", { class: "readout", text: " ", ariaLive: "off" });
    for (const canvas of [this.spectrum, this.plot]) {
      canvas.addEventListener("pointermove", (event) => this.#point(canvas, event));
      canvas.addEventListener("pointerleave", () => this.#unpoint());
      canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
      fit(canvas, () => this.#resized());
    }
    this.plot.addEventListener("keydown", (event) => this.#key(event));
    fit(this.times, () => { this.dirty = true; });
    return [h("div", { class: "scope" },
      h("div", { class: "row spectrum" }, this.hertz, this.spectrum, h("span")),
      h("div", { class: "row times" }, this.title, this.times, h("span", { text: "now" })),
      this.list), this.readout];
  }

  #tools() {
    const select = (name, values, text) => h("select", { ariaLabel: text,
      onchange: (event) => this.#set(name, event.target.value) },
    values.map((value) => h("option", { value, text: name === "span" ? `${value} s` : value,
      selected: String(value) === String(this.settings[name]) })));
    this.pauseButton = h("button", { type: "button", text: "Pause",
      onclick: () => this.#pause() });
    this.back = h("input", { type: "range", min: 0, max: 1, step: 0.01, value: 1,
      ariaLabel: "Look back", oninput: () => this.#lookBack() });
    return h("div", { class: "bar tools" }, this.pauseButton, this.back,
      h("label", { class: "field" }, "Zoom", select("span", SPANS, "Seconds shown")),
      h("label", { class: "field" }, "Hz", select("scale", SCALES, "Scale of frequencies")),
      h("label", { class: "field" }, "Colours", select("colours", COLOURS, "Colours")));
  }

  #facts() {
    const fact = (name, extra = null) => {
      const value = h("b", { text: "–" }), more = h("small", { text: " " });
      const box = h("div", { class: "fact" }, h("span", { text: name }), value, extra, more);
      return { box, value, more };
    };
    this.bar = h("i");
    this.meterBox = h("div", { class: "meter" }, this.bar);
    this.stages = ["waiting", "features", "queue", "model"].map((name) => [name, h("i")]);
    this.fact = {
      level: fact("Level", this.meterBox),
      verdict: fact("Microphone"),
      last: fact("Last window"),
      age: fact("Age of an answer", h("div", { class: "stages" }, this.stages.map(([, e]) => e))),
      windows: fact("Windows answered"),
      dropped: fact("Not heard"),
      reconnects: fact("Connection"),
    };
    return h("div", { class: "facts" }, Object.values(this.fact).map(({ box }) => box));
  }

  #log() {
    this.items = Array.from({ length: ROWS }, () => {
      const item = h("li", { hidden: true }, h("span"), h("span"), h("span"));
      return item;
    });
    this.count = h("span", { class: "lead" });
    return h("div", { class: "log" }, h("div", { class: "bar" }, h("h2", { text: "Events" }),
      this.count, h("span", { class: "push" }),
      Object.keys(FORMATS).map((name) => h("button", { type: "button", text: name,
        ariaLabel: `Save the events as ${name}`, onclick: () => this.#export(name) }))),
    h("ol", {}, this.items));
  }

  // --- source and model -----------------------------------------------------------------------

  #example() {
    const url = new URL("quartet.ogg", import.meta.url);
    return { kind: "example", file: url.pathname, name: "the example" };
  }

  #models() {
    const models = this.app.of("sound"), chosen = this.model.value || this.settings.model;
    this.model.replaceChildren(...models.map(({ name }) => h("option", { value: name, text: name,
      selected: name === chosen })));
    if (this.resumed) return;
    this.resumed = true;
    const asked = new URLSearchParams(location.search).get("source")
      ?? (this.app.session && this.app.session.getItem(RESUME));
    this.app.session?.removeItem(RESUME);
    if (asked === "microphone") this.open({ kind: "microphone" });
    if (asked === "example") this.open(this.#example());
  }

  #keepForReload() {
    if (this.session && this.session.opening.kind !== "file") {
      this.app.session?.setItem(RESUME, this.session.opening.kind);
    }
  }

  async #devices() {
    const all = await navigator.mediaDevices?.enumerateDevices().catch(() => []) ?? [];
    const found = all.filter(({ kind, label }) => kind === "audioinput" && label);
    const chosen = this.device.value;
    this.device.replaceChildren(...found.map(({ deviceId, label }) => h("option", {
      value: deviceId, text: label, selected: deviceId === chosen })));
    this.deviceField.hidden = found.length < 2;
  }

  #again() {
    this.settings.model = this.model.value;
    this.#store();
    if (this.session) this.open(this.session.opening, this.session);
  }

  /** Listen to a source: instead of another, or beside those there are. */
  async open(opening, instead = this.#same(opening)) {
    if (!instead && this.sessions.length >= MOST_SOURCES) {
      return this.#trouble("wait", `${MOST_SOURCES} sources are listened to: stop one of them to `
        + "begin another.", "All right", () => this.#changed());
    }
    const model = this.app.of("sound").find(({ name }) => name === this.model.value);
    this.welcome.hidden = true;
    this.top.hidden = false;
    if (!model) {
      await this.app.check();
      if (!this.app.of("sound").length) {
        return this.#trouble("bad", this.app.models.length ? "No model of sound is served here."
          : "The server has told no models yet.", "Try again", () => this.open(opening));
      }
      return this.open(opening);
    }
    const at = this.sessions.indexOf(instead);
    if (at >= 0) this.#leave(instead);
    const session = new Listening(this.app.api, model, opening);
    this.sessions.splice(at >= 0 ? at : this.sessions.length, 0, session);
    session.addEventListener("changed", () => this.#changed(session));
    session.addEventListener("window", ({ detail }) => this.#window(session, detail));
    session.addEventListener("event", ({ detail }) => this.#event(session, detail));
    session.addEventListener("dropped", ({ detail: { at, seconds } }) =>
      this.app.coverage.add("dropped", session.begun.getTime() + 1e3 * at, seconds));
    session.addEventListener("ready", () => this.#ready(session));
    this.#show(session);
    await session.open();
    if (opening.kind === "microphone" && this.sessions.includes(session)) this.#devices();
  }

  /** The session of a source that is listened to already: it begins anew. */
  #same({ kind, deviceId, name }) {
    const device = deviceId || "default";
    return this.sessions.find(({ opening, source }) => opening.kind === kind && (kind ===
      "microphone" ? [opening.deviceId || "default", source?.settings.deviceId].includes(device)
      : opening.name === name));
  }

  /** Show one of the sources whole; the others are listened to all the same. */
  #show(session) {
    this.session = this.app.listening = session;
    this.aging?.cancel();
    this.frozen = this.cursor = this.following = null;
    this.end = this.drawn = 0;
    this.stop.hidden = false;
    this.model.value = session.model.name;
    this.#lanes(session.model.labels);
    this.on = new Set(session.last?.labels);
    this.scores = session.last?.scores;
    this.correction.show();
    this.sourceBar.update(this.sessions, session);
    if (session.stream?.ready) this.#ready(session);
    this.#changed();
    this.#numbers();
    this.eventsChanged = this.dirty = true;
    this.#wake();
  }

  #leave(session) {
    session.close();
    this.sessions.splice(this.sessions.indexOf(session), 1);
  }

  /** Stop listening to a source; another one is shown then. */
  close(session = this.session) {
    if (!session) return;
    this.#leave(session);
    if (session !== this.session) return this.sourceBar.update(this.sessions, this.session);
    if (this.sessions.length) return this.#show(this.sessions.at(-1));
    this.aging?.cancel();
    this.session = this.app.listening = null;
    this.sourceBar.update([], null);
    this.stop.hidden = this.body.hidden = this.banner.hidden = this.top.hidden = true;
    this.welcome.hidden = false;
  }

  #lanes(labels) {
    this.labels = labels;
    this.rows = labels.map((_, n) => n);
    this.rowOf = new Map(labels.map(({ name }, n) => [name, n]));
    this.names.replaceChildren(...labels.map(({ name }) => h("li", { text: name, title: name })));
    this.values.replaceChildren(...labels.map(() => h("li", { text: "–" })));
    this.tall = laneHeight(labels.length);
    this.list.style.setProperty("--lane", `${this.tall}px`);
    this.plot.style.height = `${Math.min(labels.length * this.tall, 736, innerHeight * 0.6)}px`;
    this.on = new Set();
    this.#hear();
    for (const item of this.items) item.hidden = true;
    say(this.count, "");
  }

  #ready(session) {
    if (session !== this.session) return;
    const { hop } = session;
    // Runs beside the page's own thread: what stops being renewed turns grey by itself.
    this.aging?.cancel();
    this.aging = this.body.animate(
      [{ filter: "none" }, { filter: "grayscale(1) opacity(0.55)" }],
      { delay: 1e3 * (STALE_HOPS * hop), duration: 1, fill: "forwards" });
  }

  // --- what comes in --------------------------------------------------------------------------

  #window(session, { start, end, scores, labels, age_ms: age }) {
    this.app.ages.add(age.total);
    this.app.coverage.add("heard", session.begun.getTime() + 500 * (start + end), session.hop);
    session.last = { scores, labels };
    if (session !== this.session) return;
    if (this.aging) this.aging.currentTime = 0;
    this.dirty = true;
    this.on = new Set(labels);
    this.scores = scores;
    if (document.hidden || !this.shown) return;
    this.#numbers();
  }

  #numbers() {
    if (!this.scores) return;
    const recolour = this.recolour;
    this.recolour = false;
    this.labels.forEach(({ name }, n) => {
      say(this.values.children[n], (this.scores[name] ?? 0).toFixed(2));
      const on = this.on.has(name);
      for (const item of [this.values.children[n], this.names.children[n]]) {
        if (on !== "on" in item.dataset) on ? item.dataset.on = "" : delete item.dataset.on;
      }
      this.names.children[n].style.borderLeftColor = on ? colourOf(n) : "transparent";
    });
    this.#hear(recolour);
  }

  #hear(recolour = false) {
    const heard = this.labels.map(({ name }, n) => ({ name, n })).filter(({ name }) =>
      this.on.has(name)).slice(0, 8);
    const key = heard.map(({ name }) => name).join("\n");
    if (key !== this.heardKey || !heard.length || recolour) {
      this.heardKey = key;
      this.hearing.replaceChildren(...heard.length ? heard.map(({ name, n }) => {
        const chip = h("b", {}, name, h("small"));
        chip.style.borderLeftColor = colourOf(n);
        return chip;
      }) : [h("i", { text: this.session?.scores.count ? "nothing over its threshold"
        : "listening for the first window, 2 s of sound" })]);
    }
    heard.forEach(({ name }, at) => {
      say(this.hearing.children[at].lastChild, (this.scores?.[name] ?? 0).toFixed(2));
    });
  }

  #event(session, event) {
    if (session === this.session) this.eventsChanged = true;
    const where = this.sessions.length > 1 ? ` in ${session.source.name}` : "";
    if (!event.over) this.app.announce(`${event.label}${where} from ${clock(event.start)}`);
  }

  #events() {
    const list = this.session.events?.list ?? [];
    this.eventsChanged = false;
    say(this.count, list.length ? plural(list.length, "event") : "none yet");
    this.items.forEach((item, n) => {
      const event = list[list.length - 1 - n];
      item.hidden = !event;
      if (!event) return;
      const [label, time, peak] = item.children;
      say(label, event.label);
      label.style.borderLeftColor = colourOf(this.rowOf.get(event.label));
      say(time, `${clock(event.start)} – ${event.over ? clock(event.end) : "now"}`);
      say(peak, event.peak.toFixed(2));
      if (!event.over) item.dataset.on = "";
      else delete item.dataset.on;
    });
  }

  #export(name) {
    const { model, version, source, events } = this.session;
    const [ending, type, text] = FORMATS[name];
    const about = { model: model.name, version, source: source?.name ?? "",
      begun: this.session.begun.toISOString(), nyquist: (source?.sampleRate ?? 0) / 2 };
    const stamp = about.begun.slice(0, 19).replaceAll(":", "-");
    download(`timbre-${stamp}.${ending}`, text(events?.list ?? [], about), type);
  }

  // --- states in words ------------------------------------------------------------------------

  #trouble(kind, text, button = "", action = null) {
    this.banner.hidden = false;
    this.banner.dataset.kind = kind;
    say(this.bannerText, text);
    this.bannerButton.hidden = !button;
    say(this.bannerButton, button);
    this.bannerAction = action;
  }

  #changed(of = this.session) {
    const { session } = this;
    if (of?.stream) this.#watch(of);
    if (!session || of !== session) return;
    this.body.hidden = !session.source;
    const { state, source, opening } = session;
    const again = () => this.open(opening, session);
    if (state.kind === "opening") {
      this.#trouble("good", opening.kind === "microphone"
        ? "Waiting for the microphone: allow it in the question of the browser." : "Opening …");
    } else if (state.kind === "failed") {
      this.#trouble("bad", `${sentence(state.text)} ${ADVICE[state.of] ?? ""}`.trim(),
        "Try again", again);
    } else if (state.kind === "refused") {
      if (state.of === "unauthorised") {
        this.#trouble("bad", "The key is missing, wrong or revoked.", "Enter a key",
          () => this.app.askKey());
      } else this.#trouble("bad", sentence(state.text), "Try again", again);
    } else if (state.kind === "ended") {
      this.#trouble("good", "The sound has ended.", "Once more", again);
    } else if (session.waiting) this.#countDown();
    else if (source?.state === "interrupted") {
      this.#trouble("bad", "The sound is interrupted, by a call, another program or the browser.",
        "Go on", () => session.resume());
    } else if (source?.state === "muted") {
      this.#trouble("bad", "The microphone is muted, by its own button or by the system.");
    } else if (source?.processing.length) {
      this.#trouble("wait", "This browser may change the sound before it is heard: "
        + `${source.processing.map((name) => HINTS[name]).join(", ")} could not be turned off.`);
    } else this.banner.hidden = true;
  }

  /** The state of the stream comes with the time of its next attempt. */
  #watch(session) {
    const { stream } = session;
    if (session.watched === stream) return;
    session.watched = stream;
    session.waiting = null;
    stream.addEventListener("state", ({ detail }) => {
      session.waiting = detail.state === "waiting" ? detail
        : detail.state === "connecting" ? session.waiting : null;
      this.#changed(session);
    });
  }

  #countDown() {
    const { reason, code, retryAt } = this.session.waiting;
    const left = Math.max(0, Math.ceil((retryAt - Date.now()) / 1e3));
    const what = code === "busy" || code === "too-many-requests" ? "The server is busy"
      : code === "shutting-down" ? "The server is restarting" : "The server is gone";
    const why = reason === "the server does not answer" ? "" : `: ${reason}`;
    this.#trouble("bad", `${what}${why}. Next try ${left ? `in ${left} s` : "now"}. The last 30 s `
      + "are kept, and heard when it is back.", "Try now", () => this.session.stream.retry());
  }

  // --- looking around -------------------------------------------------------------------------

  #stored() {
    try { return JSON.parse(localStorage.getItem("timbre.listen")) ?? {}; } catch { return {}; }
  }

  #store() {
    try { localStorage.setItem("timbre.listen", JSON.stringify(this.settings)); } catch { /* no */ }
  }

  #set(name, value) {
    this.settings[name] = name === "span" ? Number(value) : value;
    this.#store();
    this.#resized();
  }

  get span() {
    const { span } = this.settings;
    return SPANS.includes(span) ? span : 20;
  }

  #resized() {
    this.dirty = true;
    this.axisFor = null;
  }

  #pause() {
    const file = this.session?.source?.element;
    if (this.frozen === null) {
      this.frozen = this.end;
      if (file) this.session.pause();
    } else {
      this.frozen = null;
      if (file && this.session.source.state === "paused") this.session.resume();
    }
    this.dirty = true;
  }

  get oldest() {
    const { captured } = this.session;
    return Math.max(0, captured - HISTORY_S) + Math.min(this.span, captured);
  }

  #lookBack() {
    const at = Number(this.back.value);
    if (at >= 0.999) this.frozen = null;
    else this.frozen = this.oldest + at * (this.session.captured - this.oldest);
    this.dirty = true;
  }

  #move(seconds) {
    if (!this.session?.source) return;
    const to = (this.frozen ?? this.end) + seconds, now = this.session.captured - BEHIND_S;
    this.frozen = to >= now ? null : Math.max(this.oldest, to);
    this.dirty = true;
  }

  #wheel(event) {
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
    if (!sideways) return;
    event.preventDefault();
    this.#move(((event.deltaX || event.deltaY) / 800) * this.span);
  }

  #key(event) {
    const { scores, hop } = this.session ?? {};
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const move = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (step || move) {
      event.preventDefault();
      if (!scores?.count) return;
      // The cursor begins at the newest answer.
      this.cursor ??= scores.middle(scores.count - 1);
      this.cursor = Math.min(this.end, Math.max(0, this.cursor + (step ?? 0) * hop));
      this.row = Math.min(this.rows.length - 1, Math.max(0, (this.row ?? 0) + (move ?? 0)));
    } else if (event.key === " ") {
      event.preventDefault();
      this.#pause();
    } else return;
    this.#read();
  }

  #point(canvas, event) {
    const box = canvas.getBoundingClientRect();
    const across = (event.clientX - box.left) / box.width;
    this.cursor = this.end - this.span + across * this.span;
    this.following = across;
    this.row = canvas === this.plot
      ? Math.floor((event.clientY - box.top + this.list.scrollTop) / this.tall) : null;
    this.height = canvas === this.spectrum ? 1 - (event.clientY - box.top) / box.height : null;
    this.#read();
  }

  #unpoint() {
    this.cursor = this.following = null;
    this.dirty = true;
    say(this.readout, " ");
  }

  #read() {
    this.dirty = true;
    const { session, cursor } = this;
    if (!session?.columns || cursor === null || cursor < 0) return say(this.readout, " ");
    if (this.row === null || this.row === undefined) {
      const nyquist = session.source.sampleRate / 2;
      const hertz = this.picture.hertzAt(this.height, nyquist);
      const level = session.columns.at(cursor, hertz);
      return say(this.readout, `${clock(cursor)}   ${number(Math.round(hertz))} Hz   `
        + (level === undefined ? "not captured" : `${level.toFixed(0)} dB`));
    }
    const label = this.rows[this.row], index = session.scores.at(cursor);
    if (label === undefined) return say(this.readout, " ");
    const span = session.spans.find(({ start, end }) => cursor >= start && cursor <= end);
    say(this.readout, `${clock(cursor)}   ${index >= 0
      ? told(this.labels[label], session.scores.score(index, label))
      : `${this.labels[label].name}: no answer`}${span ? `   not heard: ${span.reason}` : ""}`);
  }

  // --- drawing --------------------------------------------------------------------------------

  #wake() {
    if (document.hidden || !this.shown || this.looping) return;
    this.looping = true;
    this.last = performance.now();
    this.slow = 0;
    this.dirty = true;
    if (this.session) {
      this.#numbers();
      this.eventsChanged = true;
    }
    const frame = (now) => {
      if (document.hidden || !this.shown || !this.session) {
        this.looping = false;
        return;
      }
      this.#frame(now);
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  #frame(now) {
    const { session } = this;
    const passed = Math.min(LONGEST_FRAME_S, (now - this.last) / 1e3);
    this.last = now;
    // Words and numbers change four times a second.
    if (now - this.slow >= 250) {
      this.slow = now;
      if (readInk()) {
        this.dirty = this.recolour = this.eventsChanged = true;
        this.#numbers();
      }
      this.#slowly();
    }
    const { span, settings: { scale, colours } } = this;
    this.sourceBar.draw({ span, scale, colours, force: this.dirty });
    if (!session.columns) return;
    if (this.#advance(passed) || this.dirty) this.#draw();
  }

  /** Move on to what has been captured; true if that changes the picture. */
  #advance(passed) {
    if (this.frozen === null) {
      const target = Math.max(0, this.session.captured - BEHIND_S);
      const ahead = target - this.end;
      if (still.matches) {
        if (ahead >= this.session.hop || ahead < 0) this.end = target;
      } else if (Math.abs(ahead) > 0.4) this.end = target;
      else if (ahead > 0.001) this.end += Math.min(ahead, passed * (1 + ahead));
    } else this.end = this.frozen;
    if (this.following !== null && this.following !== undefined) {
      this.cursor = this.end - this.span + this.following * this.span;
    }
    // Less than a pixel is not seen, and not drawn.
    return Math.abs(this.end - this.drawn) * this.spectrum.width >= this.span;
  }

  #draw() {
    this.dirty = false;
    const { session, end, span } = this;
    this.drawn = end;
    this.picture.scale = SCALES.includes(this.settings.scale) ? this.settings.scale : "log";
    this.picture.colours = COLOURS.includes(this.settings.colours) ? this.settings.colours
      : "viridis";
    this.picture.draw(session.columns, end, span);
    if (this.cursor !== null) {
      const { context } = this.picture, { width, height } = this.spectrum;
      context.fillStyle = "#ffffffb0";
      context.fillRect(Math.round(((this.cursor - end + span) / span) * width), 0,
        this.spectrum.ratio, height);
    }
    drawTimes(this.times.getContext("2d", { alpha: false }), end, span, (at) => clock(at, 0));
    drawLanes(this.plot.getContext("2d", { alpha: false }), { scores: session.scores,
      events: session.events?.list ?? [], spans: session.spans, end, span, top: this.list.scrollTop,
      cursor: this.cursor, rows: this.rows, rowOf: this.rowOf, tall: this.tall });
    const nyquist = session.source.sampleRate / 2;
    const axis = [nyquist, this.picture.scale, this.spectrum.height].join();
    if (axis !== this.axisFor) this.#axis(axis, nyquist);
  }

  #axis(axis, nyquist) {
    this.axisFor = axis;
    const room = this.spectrum.height / this.spectrum.ratio / 20;
    this.hertz.replaceChildren(...this.picture.ticks(nyquist, room).map((hertz) => {
      const tick = h("span", { text: hertz >= 1e3 ? `${hertz / 1e3} kHz` : `${hertz} Hz` });
      tick.style.bottom = `${100 * this.picture.heightOf(hertz, nyquist)}%`;
      return tick;
    }));
  }

  #slowly() {
    const { session, fact } = this;
    this.sourceBar.tell();
    if (this.eventsChanged || session.events?.lasting) this.#events();
    if (session.waiting) this.#countDown();
    if (!session.meter) return;
    const { counts } = session.stream, { state } = session.stream;
    const level = decibels(session.meter.rms), live = session.state.kind === "listening";
    this.bar.style.transform = `scaleX(${Math.max(0, Math.min(1, (level + 70) / 70)).toFixed(3)})`;
    this.meterBox.toggleAttribute("data-loud", session.meter.peak >= 0.999);
    say(fact.level.value, `${level.toFixed(0)} dB`);
    say(fact.level.more, `peak ${decibels(session.meter.peak).toFixed(0)} dB, of full scale`);
    this.#verdict(session, fact.verdict);
    const since = (performance.now() - session.lastWindow) / 1e3;
    say(fact.last.value, ago(since));
    fact.last.box.dataset.kind = live && since > STALE_HOPS * session.hop
      && session.captured > 3 ? "bad" : "";
    say(fact.last.more, `a window every ${session.hop.toFixed(2)} s`);
    this.#age(session, fact.age);
    say(fact.windows.value, number(counts.windows));
    say(fact.windows.more, `${session.model.name} ${session.version}, ${clock(session.captured, 0)}`
      + " of sound");
    say(fact.dropped.value, plural(counts.dropped, "window"));
    fact.dropped.box.dataset.kind = counts.dropped ? "bad" : "";
    say(fact.dropped.more, session.spans.length ? `last: ${session.spans.at(-1).reason}`
      : "nothing was dropped");
    say(fact.reconnects.value, live ? state : session.state.kind);
    fact.reconnects.box.dataset.kind = live ? { open: "good", waiting: "bad" }[state] ?? "" : "";
    say(fact.reconnects.more, plural(counts.reconnects, "reconnect"));
    this.#controls(session);
  }

  #verdict(session, { box, value, more }) {
    const { kind, text } = session.meter.verdict(), { source, warning } = session;
    box.dataset.kind = { good: "good", wait: "" }[kind] ?? "bad";
    say(box.firstChild, source.track ? "Microphone" : "Source");
    say(value, text);
    const told = warning && session.captured - warning.at < 10 ? warning.detail : "";
    say(more, told || `${source.name}, ${number(source.sampleRate)} Hz`);
  }

  #age({ age }, { value, more }) {
    if (!age) return;
    say(value, milliseconds(age.total));
    const parts = this.stages.map(([name, bar]) => {
      const share = Math.min(100, (100 * (age[name] ?? 0)) / Math.max(age.total, 0.1));
      bar.style.width = `${share.toFixed(1)}%`;
      bar.title = name;
      return `${name} ${(age[name] ?? 0).toFixed(1)}`;
    });
    say(more, parts.join(", "));
  }

  #controls(session) {
    const frozen = this.frozen !== null;
    say(this.pauseButton, frozen ? session.source.state === "paused" ? "Play" : "Back to now"
      : "Pause");
    const behind = session.captured - this.end;
    say(this.title, frozen ? `−${clock(behind, 0)}` : "");
    const range = session.captured - this.oldest;
    this.back.disabled = range < 1;
    if (document.activeElement !== this.back) {
      this.back.value = frozen && range > 0 ? (this.end - this.oldest) / range : 1;
    }
    if (frozen && this.frozen < this.oldest) this.frozen = this.oldest;
  }
}

const sentence = (text) => text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

// The view Play: the person labels first, then the model answers; at the end, where they differed.
import { h, plural } from "./dom.js";
import { ask, bars, dropped, MOST, picker, thumbnail } from "./pictures.js";

const ROUNDS = 10;
const MANY = 24;
const RATE = 22_050;

export const create = (app) => new PlayView(app);

class PlayView {
  constructor(app) {
    this.app = app;
    this.model = h("select", { onchange: () => this.#begin() });
    this.stage = h("div");
    this.element = h("section", { ariaLabel: "Play" }, h("h1", { class: "unseen", text: "Play" }),
      h("div", { class: "bar" }, h("label", { class: "field" }, "Model", this.model)), this.stage);
    this.keys = (event) => this.#key(event);
    app.addEventListener("models", () => this.#models());
    this.#models();
  }

  show() { document.addEventListener("keydown", this.keys); }

  hide() {
    document.removeEventListener("keydown", this.keys);
    this.audio?.pause();
  }

  async drop(transfer) { this.#files(await dropped(transfer)); }

  get chosen() { return this.app.models.find(({ name }) => name === this.model.value); }

  #models() {
    // The example is of sound.
    const before = this.model.value || this.app.of("sound")[0]?.name;
    this.model.replaceChildren(...this.app.models.map(({ name }) => h("option", { value: name,
      text: name, selected: name === before })));
    if (!this.items || this.model.value !== this.playing) this.#begin();
  }

  #begin(trouble = "") {
    this.#leave();
    this.playing = this.model.value;
    const picture = this.chosen?.input.kind === "picture", what = picture ? "pictures" : "sounds";
    const take = (files) => this.#files(files);
    this.stage.replaceChildren(h("div", { class: "welcome" },
      h("h2", { text: "You first, then the model" }),
      h("p", { class: "lead", text: `Ten ${what}: say what each is, then see what the model says. `
        + "In a folder of labels (LABEL/file) the right answer is known, and both get a score." }),
      trouble && h("p", { class: "error", text: trouble }),
      h("div", { class: "bar" }, !picture && this.chosen && h("button", { type: "button",
        class: "main", text: "Moments of the example", onclick: () => this.#example() }),
      picker("A folder …", { webkitdirectory: true, multiple: true }, take),
      picker(picture ? "Pictures …" : "Sounds …", { multiple: true,
        accept: picture ? "image/*" : "audio/*" }, take))));
  }

  #leave() {
    this.audio?.pause();
    for (const { url } of this.items ?? []) if (url) URL.revokeObjectURL(url);
    this.items = [];
    this.round = null;
  }

  // --- what is played -------------------------------------------------------------------------

  #files(files) {
    const labels = new Set(this.chosen?.labels.map(({ name }) => name));
    const usable = files.slice(0, MOST).filter(({ path }) => !/(^|\/)\./.test(path));
    if (!usable.length || !this.chosen) return;
    const drawn = shuffled(usable).slice(0, ROUNDS);
    this.#start(drawn.map(({ file, path }) => {
      const folder = path.split("/").reverse().slice(1).find((name) => labels.has(name));
      return { file, name: path.split("/").at(-1), truth: folder ? [folder] : [] };
    }));
  }

  async #example() {
    try {
      const url = (name) => new URL(name, import.meta.url);
      const [sound, facts] = await Promise.all(["quartet.ogg", "quartet.json"].map((name) =>
        fetch(url(name))));
      const { instruments } = await facts.json();
      const audio = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(
        await sound.arrayBuffer());
      const samples = audio.getChannelData(0);
      const known = new Set(this.chosen.labels.map(({ name }) => name));
      const starts = shuffled(Array.from({ length: Math.floor(audio.duration - 2) * 2 }, (_, n) =>
        n / 2));
      const items = starts.map((start) => ({ start, truth: instruments.filter((each) =>
        known.has(each.label) && each.start <= start + 0.25 && each.end >= start + 1.75)
        .map(({ label }) => label) })).filter(({ truth }) => truth.length);
      if (!items.length) return this.#begin("This model knows none of the example's instruments.");
      this.#start(items.slice(0, ROUNDS).map(({ start, truth }) => ({ truth,
        name: `second ${start.toFixed(1)} of the example`,
        file: wav(samples.subarray(start * RATE, (start + 2) * RATE), RATE) })));
    } catch (error) {
      this.#begin(`The example could not be read: ${error.message}`);
    }
  }

  #start(items) {
    this.#leave();
    this.items = items;
    this.at = -1;
    this.#next();
  }

  // --- one round ------------------------------------------------------------------------------

  async #next() {
    this.at += 1;
    this.audio?.pause();
    if (this.at === this.items.length) return this.#end();
    const item = this.items[this.at], { labels } = this.chosen;
    this.round = { item, answered: false };
    // Asked for now, shown after the person's answer.
    item.asked = ask(this.app, this.chosen, item.file).then(
      (predictions) => { item.predictions = predictions; },
      (error) => { item.error = error.message; });
    const shown = await this.#show(item);
    if (this.round?.item !== item) return;
    this.choices = h("div", { class: "choices" }, labels.map(({ name }, n) => h("button", {
      type: "button", onclick: () => this.#answer(name), data: { name } },
    n < 9 && h("kbd", { text: n + 1 }), name)));
    const search = labels.length > MANY && h("input", { type: "search", placeholder: "find a label",
      ariaLabel: "Find a label", oninput: (event) => this.#find(event.target.value) });
    this.answer = h("div", { ariaLive: "polite" });
    this.stage.replaceChildren(h("div", { class: "stage" },
      h("p", { class: "lead", text: `${this.at + 1} of ${this.items.length}: what is it?` }),
      shown, search, this.choices, this.answer, this.#score()));
  }

  async #show(item) {
    if (this.chosen.input.kind === "picture") {
      item.url ??= await thumbnail(item.file, 800);
      return item.url ? h("img", { src: item.url, alt: "the picture to be named" })
        : h("p", { class: "error", text: "This browser cannot show it." });
    }
    item.url ??= URL.createObjectURL(item.file);
    this.audio = h("audio", { src: item.url, controls: true });
    this.audio.play().catch(() => {});
    return this.audio;
  }

  #find(text) {
    for (const button of this.choices.children) {
      button.hidden = !button.dataset.name.toLowerCase().includes(text.toLowerCase());
    }
  }

  async #answer(label) {
    const { round } = this;
    if (!round || round.answered) return;
    round.answered = true;
    const { item } = round;
    item.person = label;
    for (const button of this.choices.children) {
      button.disabled = true;
      button.ariaPressed = String(button.dataset.name === label);
    }
    await item.asked;
    if (this.round !== round) return;
    const next = h("button", { type: "button", class: "main", onclick: () => this.#next(),
      text: this.at + 1 < this.items.length ? "Next" : "See how it went" });
    this.answer.replaceChildren(this.#verdict(item), item.predictions
      ? bars(item.predictions.slice(0, 5)) : null, next);
    this.stage.querySelector(".score").replaceWith(this.#score());
    next.focus({ preventScroll: true });
  }

  #verdict(item) {
    if (item.error) return h("p", { class: "error", text: `No answer: ${item.error}` });
    const model = best(item), mark = (label) => !item.truth.length ? ""
      : item.truth.includes(label) ? "right" : "wrong";
    return h("p", {}, "You: ", h("span", { class: mark(item.person), text: item.person }),
      ". The model: ", h("span", { class: mark(model), text: model }), ". ",
      item.truth.length ? `It is ${item.truth.join(" and ")}.`
        : item.person === model ? "You agree." : "You differ.");
  }

  #score() {
    const done = this.items.filter((item) => item.person && item.predictions);
    const known = done.filter(({ truth }) => truth.length);
    const right = (of) => known.filter((item) => item.truth.includes(of(item))).length;
    const box = (value, text) => h("div", {}, h("b", { text: value }), h("span", { text }));
    if (known.length) {
      return h("div", { class: "score" }, box(`${right(({ person }) => person)} of ${known.length}`,
        "you"), box(`${right(best)} of ${known.length}`, "the model"));
    }
    const agreed = done.filter((item) => item.person === best(item)).length;
    return h("div", { class: "score" }, box(`${agreed} of ${done.length}`, "agreed"),
      box(`${this.items.length - done.length}`, "to go"));
  }

  #end() {
    this.round = null;
    const differ = this.items.filter((item) => item.predictions && item.person !== best(item));
    this.stage.replaceChildren(h("div", { class: "stage" }, h("h2", { text: "How it went" }),
      this.#score(), h("button", { type: "button", class: "main", text: "Again",
        onclick: () => this.#begin() })),
    h("h3", { text: differ.length ? `Where you differed: ${plural(differ.length, "time")}`
      : "You never differed." }),
    h("div", { class: "cards" }, differ.map((item) => h("article", { class: "card" },
      this.chosen.input.kind === "picture" ? h("div", { class: "picture" }, item.url
        && h("img", { src: item.url, alt: item.name }))
        : h("audio", { src: item.url, controls: true, preload: "none" }),
      h("div", { class: "body" }, h("div", { class: "name", text: item.name }),
        this.#verdict(item))))));
  }

  #key(event) {
    if (event.target.matches?.("input, select, textarea") || event.ctrlKey || event.metaKey) return;
    const number = Number(event.key);
    const label = number >= 1 && this.round && !this.round.answered
      ? this.chosen.labels[number - 1]?.name : null;
    if (label) this.#answer(label);
  }
}

const best = ({ predictions }) => predictions?.[0]?.label;

function shuffled(values) {
  const out = [...values];
  for (let n = out.length - 1; n > 0; n--) {
    const other = Math.floor(Math.random() * (n + 1));
    [out[n], out[other]] = [out[other], out[n]];
  }
  return out;
}

/** Samples as a WAV file of 16 bits. */
function wav(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, value) => [...value].forEach((c, n) => view.setUint8(at + n, c.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  [[16, 16, 4], [20, 1, 2], [22, 1, 2], [24, rate, 4], [28, 2 * rate, 4], [32, 2, 2], [34, 16, 2]]
    .forEach(([at, value, size]) => size === 4 ? view.setUint32(at, value, true)
      : view.setUint16(at, value, true));
  text(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((x, n) => view.setInt16(44 + 2 * n, Math.max(-1, Math.min(1, x)) * 32_767, true));
  return new Blob([view], { type: "audio/wav" });
}

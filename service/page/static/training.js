// In Teach: trainings with their progress, curves and honest score; what is served, and back again.
import { fit, h, ink, plural, readInk, say } from "./dom.js";
import { promote, versionChoice } from "./serving.js";
import { fetchFile } from "./teaching.js";

const POLL_MS = 1_000;
const RECIPES = {
  // Noise and silence without a label: a few takes of the background are not all that it can be.
  sound: (path, { quick, seconds }) => ({ recipe: "sounds", settings: { "collection.path": path,
    "windows.length": seconds, "windows.hop": seconds / 2, "collection.nothing": 1,
    ...(quick && { profile: "quick", "forest.components": 8, "forest.trees": 40 }) } }),
  pictures: (path, { quick }) => ({ recipe: "pictures", settings: { "pictures.path": path,
    ...(quick && { profile: "quick" }) } }),
};
const SCORES = {
  accuracy: "labels that are right",
  macro_f1: "F1, mean of the labels",
  top1: "best label is right",
  quiet_without_label: "background without a label",
  noise_without_label: "generated noise without a label",
};
const BASELINES = {
  accuracy_all_negative: ["accuracy", "without any label"],
  macro_f1_all_on: ["macro_f1", "with every label, always"],
  top1_majority: ["top1", "always the most frequent label"],
  majority: ["top1", "always the most frequent label"],
};
const MOVES = { queued: "waits for its turn", running: "is being trained", done: "is done",
  failed: "has failed", cancelled: "was cancelled" };

/** Where trainings are begun and looked at. `collection()` names what they learn from. */
export class TrainingPanel {
  constructor(app, collection) {
    Object.assign(this, { app, collection, shown: false, cards: new Map(), timer: 0 });
    this.name = h("input", { type: "text", spellcheck: false, autocomplete: "off",
      placeholder: "lower-case-words" });
    this.kind = h("select", {}, [["sound", "of sound"], ["pictures", "of pictures"]].map(
      ([value, text]) => h("option", { value, text })));
    this.seconds = h("select", {}, [1, 2].map((value) => h("option", { value,
      text: `${value} s`, selected: value === 2 })));
    this.quick = h("input", { type: "checkbox" });
    this.button = h("button", { type: "button", class: "main", text: "Train",
      onclick: () => this.#train() });
    this.told = h("output", { class: "readout" });
    this.list = h("div");
    this.served = h("ul", { class: "served" });
    this.element = h("div", {}, h("h2", { text: "Train" }),
      h("div", { class: "bar" }, h("label", { class: "field" }, "A model", this.kind),
        h("label", { class: "field" }, "named", this.name),
        h("label", { class: "field" }, "windows of", this.seconds),
        h("label", { class: "field" }, this.quick, "only a quick try"), this.button),
      this.told, this.list, h("h2", { text: "What is served" }), this.served);
    app.addEventListener("models", () => this.#versions());
  }

  /** A name for the model, until the person has given one. */
  suggest(text) {
    if (this.named && this.name.value !== this.named) return;
    this.named = text.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^[-0-9]+|-+$/g, "");
    this.name.value = this.named;
  }

  show() {
    this.shown = true;
    this.#poll();
    this.#versions();
  }

  hide() {
    this.shown = false;
    clearTimeout(this.timer);
  }

  async #train() {
    const path = this.collection(), { quick, seconds, name, kind } = this;
    this.button.disabled = true;
    say(this.told, "The server checks the settings …");
    try {
      const wanted = RECIPES[kind.value](path, { quick: quick.checked,
        seconds: Number(seconds.value) });
      const body = JSON.stringify({ ...wanted, name: name.value.trim() });
      await this.app.call(() => this.app.api.request("/v1/trainings", { method: "POST", body }));
      say(this.told, "");
    } catch (error) {
      say(this.told, `Not begun: ${error.message}`);
      this.app.announce(this.told.textContent);
    }
    this.button.disabled = false;
    this.#poll();
  }

  /** Ask for all of them, and for the details of those that changed or that run. */
  async #poll() {
    clearTimeout(this.timer);
    if (!this.shown) return;
    const turn = this.turn = {};
    let active = true;
    try {
      const { trainings } = await this.app.api.request("/v1/trainings");
      if (this.turn !== turn || !this.shown) return;
      active = trainings.some(({ state }) => state === "queued" || state === "running");
      await this.#draw(trainings);
    } catch (error) {
      if (error.status) active = false;
      say(this.told, error.status ? error.message
        : "The server does not answer; a training that runs goes on.");
      this.gone = true;
    }
    // Only what changes is asked for again.
    if (active && this.turn === turn && this.shown) {
      this.timer = setTimeout(() => this.#poll(), POLL_MS);
    }
  }

  async #draw(trainings) {
    if (this.gone) say(this.told, "");
    this.gone = false;
    for (const [id, card] of this.cards) {
      if (trainings.some((each) => each.id === id)) continue;
      card.element.remove();
      this.cards.delete(id);
    }
    for (const brief of trainings.slice(0, 20).reverse()) {
      let card = this.cards.get(brief.id);
      if (!card) {
        card = new TrainingCard(this, brief.id);
        this.cards.set(brief.id, card);
        this.list.prepend(card.element);
      }
      if (card.state === brief.state && brief.state !== "running") continue;
      card.draw(await this.app.api.request(`/v1/trainings/${brief.id}`));
    }
  }

  /** Let go of one, by DELETE. */
  async end(id, query = "") {
    try {
      await this.app.call(() =>
        this.app.api.request(`/v1/trainings/${id}${query}`, { method: "DELETE" }));
    } catch (error) {
      say(this.told, error.message);
    }
    this.#poll();
  }

  #versions() {
    if (!this.shown) return;
    this.served.replaceChildren(...this.app.models.map((model) => h("li", {},
      h("b", { text: model.name }), h("span", { text: `version ${model.version}` }),
      versionChoice(this.app, model))));
  }
}

class TrainingCard {
  constructor(panel, id) {
    Object.assign(this, { panel, id, state: "" });
    this.title = h("h3");
    this.bar = h("progress", { max: 1 });
    this.stage = h("p", { class: "lead" });
    this.error = h("p", { class: "error", hidden: true });
    this.lines = h("pre");
    this.log = h("details", {}, h("summary", { text: "Last lines" }), this.lines);
    this.plot = h("canvas", { hidden: true, role: "img" });
    this.scores = h("div");
    this.actions = h("div", { class: "bar" });
    this.told = h("output", { class: "readout" });
    this.element = h("article", { class: "training" }, this.title, this.bar, this.stage,
      this.error, this.plot, this.scores, this.actions, this.told, this.log);
    fit(this.plot, () => this.#curves());
  }

  draw(found) {
    const { state, recipe, name, stage, progress, error, log, curves, result } = found;
    const changed = state !== this.state;
    Object.assign(this, { state, curves: curves ?? [] });
    say(this.title, `${name ?? recipe} ${MOVES[state]}`);
    this.bar.ariaLabel = `Progress of ${name ?? recipe}`;
    const runs = state === "running" || state === "queued";
    this.bar.hidden = this.stage.hidden = !runs;
    if (progress === null) this.bar.removeAttribute("value");
    else this.bar.value = progress;
    say(this.stage, [stage, progress === null || !stage ? "" : `${Math.round(100 * progress)} %`]
      .filter(Boolean).join(", ") || "begins …");
    this.error.hidden = !error;
    say(this.error, error ?? "");
    const end = this.lines.scrollTop + this.lines.clientHeight >= this.lines.scrollHeight - 4;
    say(this.lines, log.join("\n"));
    if (end) this.lines.scrollTop = this.lines.scrollHeight;
    this.plot.hidden = this.#series().length === 0;
    this.#curves();
    if (!changed) return;
    this.panel.app.announce(this.title.textContent);
    this.scores.replaceChildren(...result ? [table(result)] : []);
    this.actions.replaceChildren(...this.#buttons(result, runs));
  }

  #buttons(result, runs) {
    const button = (text, onclick, options = {}) => h("button", { type: "button", text, onclick,
      ...options });
    if (runs) return [button("Cancel", () => this.panel.end(this.id))];
    const made = (result?.artefacts ?? []).map(({ name, version }) =>
      button(`Serve ${name}`, (event) => this.#promote(event.target, name, version),
        { class: "main" }));
    // A link sends no key: with one, the report is fetched and saved.
    const report = result?.report && (this.panel.app.api.key
      ? button("Save the report", () => this.#report(result.report))
      : h("a", { class: "button", href: result.report, target: "_blank", rel: "noopener",
        text: "Report" }));
    return [...made, report, button("Remove", () => this.panel.end(this.id, "?remove=true"))]
      .filter(Boolean);
  }

  async #promote(button, name, version) {
    button.disabled = true;
    say(this.told, "The server checks the model: same results, latency, size, noise …");
    try {
      const { app } = this.panel;
      const found = await promote(app, name, { training: this.id, version });
      const seen = app.of("picture").some((each) => each.name === name);
      const link = seen ? h("a", { href: "/app/look", text: "Look with it" })
        : h("a", { href: "/app/listen", text: "Listen to it", onclick: () => choose(app, name) });
      this.told.replaceChildren(`${name} ${found.version} is served. `, link);
      this.panel.app.announce(this.told.textContent);
    } catch (error) {
      say(this.told, `Not served: ${error.message}`);
      this.panel.app.announce(this.told.textContent);
    }
    button.disabled = false;
  }

  async #report(path) {
    try {
      const url = URL.createObjectURL(await fetchFile(this.panel.app.api, path));
      h("a", { href: url, download: `report-${this.id}.html` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
    } catch (error) {
      say(this.told, `No report: ${error.message}`);
    }
  }

  /** Curves as [name, values]: every number that the last stage wrote more than once. */
  #series() {
    const stage = this.curves?.at(-1)?.stage;
    const points = (this.curves ?? []).filter((each) => each.stage === stage);
    if (points.length < 2) return [];
    return Object.keys(points[0]).filter((name) => name !== "epoch"
      && points.every((each) => Number.isFinite(each[name])))
      .slice(0, 4).map((name) => [name, points.map((each) => each[name])]);
  }

  #curves() {
    const series = this.#series(), { plot } = this;
    if (!series.length || plot.hidden || !plot.width) return;
    readInk();
    const context = plot.getContext("2d"), { width, height, ratio } = plot;
    context.clearRect(0, 0, width, height);
    context.font = `${11 * ratio}px system-ui, sans-serif`;
    plot.ariaLabel = `Curves: ${series.map(([name, all]) => `${name} ${all.at(-1).toFixed(3)}`)}`;
    series.forEach(([name, values], n) => {
      const low = Math.min(...values), high = Math.max(...values);
      const row = height / series.length, top = n * row;
      context.strokeStyle = ink.accent;
      context.lineWidth = 1.5 * ratio;
      context.beginPath();
      values.forEach((value, at) => context.lineTo((at / (values.length - 1)) * width,
        top + row * (0.92 - 0.6 * ((value - low) / (high - low || 1)))));
      context.stroke();
      context.fillStyle = ink.muted;
      context.fillText(`${name.replaceAll("_", " ")} ${values.at(-1).toFixed(3)}`, 2 * ratio,
        top + 13 * ratio);
    });
  }
}

/** Scores on what was not trained on, each beside that of a model without any knowledge. */
function table({ scores, baseline, labels }) {
  const beside = {};
  for (const [key, value] of Object.entries(baseline)) {
    const [of, words] = BASELINES[key] ?? [];
    if (of) beside[of] = `${value.toFixed(2)} (${words})`;
  }
  const rows = Object.entries(SCORES).filter(([key]) => key in scores);
  const others = Object.entries(scores).filter(([key]) => !(key in SCORES)).slice(0, 4);
  return h("div", { class: "table" }, h("table", {},
    h("caption", { text: `${plural(labels.length, "label")}; on sources that it was not trained `
      + "on" }),
    h("thead", {}, h("tr", {}, h("th", { text: "score" }), h("th", { scope: "col",
      text: "this model" }), h("th", { class: "words", scope: "col",
      text: "without knowledge" }))),
    h("tbody", {}, [...rows, ...rows.length ? [] : others.map(([key]) => [key, key])].map(
      ([key, words]) => h("tr", {}, h("th", { scope: "row", text: words.replaceAll("_", " ") }),
        h("td", { text: scores[key].toFixed(2) }),
        h("td", { class: "words", text: beside[key] ?? "" }))))));
}

/** Make Listen hear a model. */
function choose(app, name) {
  const listen = app.views.get("listen");
  if (listen) {
    listen.model.value = name;
    listen.model.dispatchEvent(new Event("change"));
    return;
  }
  try {
    const settings = JSON.parse(localStorage.getItem("timbre.listen")) ?? {};
    localStorage.setItem("timbre.listen", JSON.stringify({ ...settings, model: name }));
  } catch { /* chosen there by hand then */ }
}

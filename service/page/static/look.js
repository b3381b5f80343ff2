// The view Look: pictures and their predictions, one or a folder of them as a contact sheet.
import { h, plural, say } from "./dom.js";
import { ask, bars, dropped, MOST, picker, thumbnail } from "./pictures.js";
import { occlusion, overlay } from "./saliency.js";

const AT_ONCE = 3;
const TOP_K = 5;

export const create = (app) => new LookView(app);

class LookView {
  constructor(app) {
    this.app = app;
    this.entries = [];
    this.waiting = [];
    this.running = 0;
    this.model = h("select", { onchange: () => this.#again() });
    this.fields = h("span", { class: "bar" });
    this.filter = h("select", { ariaLabel: "Show", onchange: () => this.#arrange() });
    this.order = h("select", { ariaLabel: "Order", onchange: () => this.#arrange() },
      ["as they came", "surest first", "least sure first"].map((text) => h("option", { text })));
    this.clear = h("button", { type: "button", text: "Clear", onclick: () => this.#clear() });
    this.count = h("p", { class: "lead", text: "" });
    this.sheet = h("div", { class: "cards" });
    const take = (files) => this.#take(files);
    const pickers = () => [picker("Pictures …", { accept: "image/*", multiple: true }, take),
      picker("Photograph", { accept: "image/*", capture: "environment" }, take),
      picker("A folder …", { webkitdirectory: true, multiple: true }, take)];
    this.welcome = h("div", { class: "welcome" }, h("h2", { text: "What does it see?" }),
      h("p", { class: "lead",
        text: "Drop pictures or a folder here; they go to this server only." }),
      h("div", { class: "bar" }, pickers()));
    this.tools = h("div", { class: "bar", hidden: true }, pickers(),
      h("span", { class: "push" }), this.filter, this.order, this.clear);
    this.none = h("p", { class: "banner", hidden: true,
      text: "No model of pictures is served here." });
    this.element = h("section", { ariaLabel: "Look" }, h("h1", { class: "unseen", text: "Look" }),
      h("div", { class: "bar" }, h("label", { class: "field" }, "Model", this.model), this.fields),
      this.none, this.welcome, this.tools, this.count, this.sheet);
    app.addEventListener("models", () => this.#models());
    this.#models();
  }

  async drop(transfer) { this.#take(await dropped(transfer)); }

  get chosen() { return this.app.of("picture").find(({ name }) => name === this.model.value); }

  #models() {
    const before = this.model.value;
    this.model.replaceChildren(...this.app.of("picture").map(({ name }) => h("option", {
      value: name, text: name, selected: name === before })));
    this.none.hidden = !this.app.models.length || Boolean(this.chosen);
    if (this.model.value !== before) this.#metadata();
  }

  /** What the model takes beside the picture. */
  #metadata() {
    this.metadata = (this.chosen?.input.metadata ?? []).map(({ name, values, required }) => {
      const select = h("select", { onchange: () => this.#again() },
        !required && h("option", { value: "", text: "–" }),
        values.map((value) => h("option", { value, text: value })));
      return { name, select };
    });
    this.fields.replaceChildren(...this.metadata.map(({ name, select }) =>
      h("label", { class: "field" }, name, select)));
  }

  #query() {
    const given = this.metadata.filter(({ select }) => select.value);
    return { top_k: Math.min(TOP_K, this.chosen.labels.length),
      ...Object.fromEntries(given.map(({ name, select }) => [name, select.value])) };
  }

  #take(files) {
    const room = MOST - this.entries.length;
    const pictures = files.filter(({ path }) => !/(^|\/)\./.test(path));
    this.left = (this.left ?? 0) + Math.max(0, pictures.length - room);
    for (const { file, path } of pictures.slice(0, room)) {
      const picture = h("div", { class: "picture" }), body = h("div", { class: "body" });
      const card = h("article", { class: "card" }, picture, body);
      const entry = { file, path, card, picture, body, url: null, predictions: null, error: "" };
      this.entries.push(entry);
      this.sheet.append(card);
      this.#fill(entry);
    }
    this.#again(this.entries.filter(({ predictions, error }) => !predictions && !error));
  }

  #fill(entry) {
    const { path, error, predictions } = entry;
    entry.body.replaceChildren(h("div", { class: "name", text: path, title: path }),
      ...error ? [h("p", { class: "error", text: error })]
        : predictions ? [bars(predictions), ...entry.url ? this.#why(entry) : []]
          : [h("p", { class: "lead", text: "waiting" })]);
  }

  /** A button that shows which part of the picture the first prediction hangs on. */
  #why(entry) {
    const told = h("p", { class: "lead", hidden: true });
    const button = h("button", { type: "button", text: "Where it looks",
      ariaLabel: `Where it looks in ${entry.path}` });
    button.addEventListener("click", async () => {
      const [{ label }] = entry.predictions, { asking } = this;
      button.disabled = true;
      told.hidden = false;
      try {
        const found = await occlusion(this.app, this.chosen, entry.file, label, {
          query: this.#query(), signal: asking?.signal,
          progress: (share) => say(told, `covering parts of it, ${Math.round(100 * share)} %`) });
        const heat = overlay(found, entry.picture.querySelector("img"));
        say(told, heat ? `Red: where it is covered, ${label} falls from ${found.base.toFixed(2)} by `
          + `up to ${found.most.toFixed(2)}.` : `No part alone decides: ${label} stays at `
          + `${found.base.toFixed(2)}.`);
        if (heat) entry.picture.replaceChildren(heat);
        entry.isCovered = Boolean(heat);
        button.hidden = true;
      } catch (error) {
        if (error.name !== "AbortError") say(told, `Not found out: ${error.message}`);
      }
      button.disabled = false;
    });
    return [button, told];
  }

  /** Ask for what is new, or for everything after a change of the model. */
  #again(entries = this.entries) {
    if (!this.chosen) return;
    if (entries === this.entries) this.asking?.abort();
    this.asking = entries === this.entries || !this.asking ? new AbortController() : this.asking;
    this.waiting = entries === this.entries ? [...entries] : [...this.waiting, ...entries];
    for (const entry of entries) {
      Object.assign(entry, { predictions: null, error: "" });
      if (entry.isCovered) this.#thumbnail(entry);
    }
    while (this.running < AT_ONCE && this.waiting.length) this.#work();
    this.#arrange();
  }

  async #work() {
    this.running += 1;
    while (this.waiting.length) {
      const entry = this.waiting.shift(), { signal } = this.asking;
      // One after the other: decoding many pictures at once takes much memory.
      if (!entry.shown) {
        entry.shown = true;
        entry.url = await thumbnail(entry.file);
        this.#thumbnail(entry);
      }
      try {
        entry.predictions = await ask(this.app, this.chosen, entry.file,
          { query: this.#query(), signal });
      } catch (error) {
        if (error.name === "AbortError") continue;
        entry.error = error.message;
      }
      this.#fill(entry);
      this.#words();
    }
    this.running -= 1;
    if (!this.running) this.#arrange();
  }

  #thumbnail(entry) {
    entry.isCovered = false;
    entry.picture.replaceChildren(entry.url ? h("img", { src: entry.url, alt: entry.path })
      : h("span", { class: "name", text: "not shown by this browser" }));
  }

  #words() {
    const { length } = this.entries, failed = this.entries.filter(({ error }) => error).length;
    const waiting = this.waiting.length + this.running;
    const parts = [plural(length, "picture"), waiting && `${waiting} to come`,
      failed && `${failed} could not be read`,
      this.left && `${this.left} more were left out: at most ${MOST} at once`];
    say(this.count, length ? parts.filter(Boolean).join(", ") : "");
  }

  #arrange() {
    const { length } = this.entries;
    this.welcome.hidden = length > 0;
    this.tools.hidden = !length;
    const counts = new Map();
    for (const { predictions } of this.entries) {
      const label = predictions?.[0]?.label;
      if (label) counts.set(label, (counts.get(label) ?? 0) + 1);
    }
    const chosen = counts.has(this.filter.value) ? this.filter.value : "";
    this.filter.replaceChildren(h("option", { value: "", text: "all labels" }),
      ...[...counts].sort((a, b) => b[1] - a[1]).map(([label, count]) => h("option", {
        value: label, text: `${label} (${count})`, selected: label === chosen })));
    const sign = this.order.selectedIndex === 1 ? -1 : 1;
    const sorted = this.order.selectedIndex
      ? [...this.entries].sort((a, b) => sign * ((a.predictions?.[0]?.score ?? 2 * -sign)
        - (b.predictions?.[0]?.score ?? 2 * -sign))) : this.entries;
    for (const { card, predictions } of sorted) {
      card.hidden = Boolean(chosen) && predictions?.[0]?.label !== chosen;
    }
    const sorts = this.order.selectedIndex > 0;
    if (sorts || this.sorted) this.sheet.append(...sorted.map(({ card }) => card));
    this.sorted = sorts;
    this.#words();
  }

  #clear() {
    this.asking?.abort();
    this.asking = null;
    this.waiting = [];
    for (const { url } of this.entries) if (url) URL.revokeObjectURL(url);
    this.entries = [];
    this.left = 0;
    this.sheet.replaceChildren();
    this.#arrange();
  }
}

// In Listen: say what the last seconds really were; the clip becomes an example to learn from.
import { h, plural, say } from "./dom.js";
import { access, NOTHING, pathOf, plain, store, today, wav } from "./teaching.js";

const LENGTHS = [4, 8, 15];
/** Below this there is nothing to learn from. */
const SHORTEST_S = 0.5;

/** The panel of a ListenView, `element`; hidden where this page may not teach. */
export const create = (view) => new Correction(view);

class Correction {
  constructor(view) {
    this.view = view;
    this.app = view.app;
    this.kept = [];
    this.length = h("select", {}, LENGTHS.map((value) => h("option", { value,
      text: `last ${value} s` })));
    this.collection = h("input", { type: "text", spellcheck: false, autocomplete: "off" });
    this.source = h("input", { type: "text", value: today(), spellcheck: false,
      autocomplete: "off" });
    this.labels = h("div", { class: "choices" });
    this.other = h("input", { type: "text", placeholder: "another label", maxLength: 100,
      ariaLabel: "Another label", onkeydown: (event) => event.key === "Enter" && this.#other() });
    this.told = h("output", { class: "readout" });
    this.undo = h("button", { type: "button", text: "Undo", hidden: true,
      onclick: () => this.#undo() });
    this.panel = h("details", { class: "correct" },
      h("summary", { text: "Something wrong? Press what it really was" }),
      h("p", { class: "lead", text: "The sound goes to this server as an example, and Teach makes "
        + "a better model of it." }),
      this.labels,
      h("div", { class: "bar" }, this.other,
        h("button", { type: "button", text: "It was this", onclick: () => this.#other() })),
      h("div", { class: "bar" }, h("label", { class: "field" }, "Keep the", this.length),
        h("label", { class: "field" }, "Collection", this.collection),
        h("label", { class: "field" }, "Source", this.source)),
      h("div", { class: "bar" }, this.told, this.undo));
    this.words = h("span");
    this.locked = h("p", { class: "lead", hidden: true }, this.words, " ",
      h("button", { type: "button", text: "Enter a key", onclick: () => this.app.askKey() }));
    this.element = h("div", { hidden: true }, this.panel, this.locked);
    this.app.addEventListener("key", () => this.#check());
    this.app.addEventListener("models", () => this.#check());
    if (this.app.models.length) this.#check();
  }

  /** Asked once, and again for another key or a server that is back. */
  async #check() {
    const { state, words } = await access(this.app.api);
    this.element.hidden = state !== "on" && state !== "key";
    this.panel.hidden = state !== "on";
    this.locked.hidden = state !== "key";
    say(this.words, `To correct what it hears: ${words}.`);
    this.show();
  }

  /** Offer the labels of the model that is heard. */
  show() {
    const { session } = this.view;
    if (!session || this.shownFor === session.model) return;
    this.shownFor = session.model;
    this.collection.value = plain(session.model.name);
    const button = (label, text) => h("button", { type: "button", text,
      onclick: () => this.#keep(label) });
    this.labels.replaceChildren(...session.model.labels.map(({ name }) => button(name, name)),
      button(NOTHING, "nothing of these"));
  }

  #other() {
    const label = this.other.value.trim();
    if (label) this.#keep(label);
  }

  async #keep(label) {
    const { session } = this.view;
    const rate = session?.source?.sampleRate, seconds = Number(this.length.value);
    if (!rate || !session.stream) return say(this.told, "Nothing is heard now.");
    // What is looked at, where a person has paused.
    const end = Math.round((this.view.frozen ?? session.captured) * rate);
    const samples = session.stream.clip(Math.max(0, end - seconds * rate), end);
    if (samples.length < SHORTEST_S * rate) {
      return say(this.told, "That sound is gone: the last 30 s are kept.");
    }
    const clip = { collection: plain(this.collection.value), label,
      source: plain(this.source.value), body: wav(samples, rate), model: session.model.name,
      version: session.version };
    try {
      const { id, label: name, collection } = await this.app.call(() =>
        store(this.app.api, clip));
      this.kept.push({ path: pathOf(collection.name, name, id), name });
      const count = collection.labels.find((each) => each.name === name)?.clips ?? 1;
      this.#tell(`${(samples.length / rate).toFixed(1)} s kept as ${name} in ${collection.name}: `
        + `${plural(count, "clip")} of it, ${number(collection)} in all.`);
    } catch (error) {
      this.#tell(`Not kept: ${error.message}.`);
    }
  }

  async #undo() {
    const last = this.kept.at(-1);
    try {
      await this.app.call(() => this.app.api.request(last.path, { method: "DELETE" }));
      this.kept.pop();
      this.#tell(`The last clip of ${last.name} is deleted.`);
    } catch (error) {
      if (error.status === 404) this.kept.pop();
      this.#tell(`Not deleted: ${error.message}.`);
    }
  }

  #tell(text) {
    say(this.told, text);
    this.app.announce(text);
    this.undo.hidden = !this.kept.length;
  }
}

const number = ({ clips }) => plural(clips, "clip");

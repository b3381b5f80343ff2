// The view Teach: record or drop examples of classes, train, and serve what has been learnt.
import { h, number, plural, say } from "./dom.js";
import { chosen, dropped, MOST, picker, thumbnail } from "./pictures.js";
import {
  access, drawSound, fetchFile, NOTHING, pathOf, plain, store, today, wav,
} from "./teaching.js";
import { microphone } from "./timbre.js";
import { TrainingPanel } from "./training.js";

const LENGTHS = [2, 3, 5, 10];
/** Clips of a class that are shown, the newest. */
const SHOWN = 24;
/** Sources of a class that make a split with a score worth reading. */
const FEW_TAKES = 6;

export const create = (app) => new TeachView(app);

class TeachView {
  constructor(app) {
    this.app = app;
    this.source = null;
    this.classes = new Map();
    this.training = new TrainingPanel(app, () => this.name);
    this.bannerText = h("span");
    this.bannerButton = h("button", { type: "button", onclick: () => this.bannerAction() });
    this.banner = h("div", { class: "banner" }, this.bannerText, this.bannerButton);
    this.body = h("div", { hidden: true }, this.#collectionBar(), this.#classesPart(),
      this.training.element);
    this.element = h("section", { ariaLabel: "Teach" }, h("h1", { text: "Teach" }),
      h("p", { class: "lead", text: "Examples of what it should know, a training on this server, "
        + "and a model that Listen or Look can use at once." }), this.banner, this.body);
    app.addEventListener("key", () => this.shown && this.#open());
  }

  show() {
    this.shown = true;
    this.#open();
  }

  hide() {
    this.shown = false;
    this.training.hide();
    this.#release();
    this.#clear();
  }

  get name() { return plain(this.collection.value) || "mine"; }

  // --- building -------------------------------------------------------------------------------

  #collectionBar() {
    this.known = h("datalist", { id: "collections" });
    this.collection = h("input", { type: "text", value: "mine", spellcheck: false,
      autocomplete: "off", onchange: () => this.#load() });
    this.collection.setAttribute("list", "collections");
    this.sourceName = h("input", { type: "text", value: today(), spellcheck: false,
      autocomplete: "off" });
    this.length = h("select", {}, LENGTHS.map((value) => h("option", { value, text: `${value} s`,
      selected: value === 5 })));
    this.counts = h("span", { class: "lead" });
    return h("div", {}, h("div", { class: "bar" },
      h("label", { class: "field" }, "Collection", this.collection), this.known,
      h("label", { class: "field" }, "Source", this.sourceName),
      h("label", { class: "field" }, "A take of", this.length), this.counts),
    h("p", { class: "lead", text: "A source is a person, a place or a day; each take is a part of "
      + "it by its number. The score is that of takes that were left out of the training, so more "
      + "takes, on other days and in other places, make it more honest." }));
  }

  #classesPart() {
    this.told = h("output", { class: "readout" });
    this.grid = h("div", { class: "classes" });
    this.newClass = h("input", { type: "text", placeholder: "such as doorbell", maxLength: 100,
      ariaLabel: "Name of a new class",
      onkeydown: (event) => event.key === "Enter" && this.#add() });
    return h("div", {}, h("h2", { text: "Examples" }), this.told, this.grid,
      h("div", { class: "bar" }, this.newClass,
        h("button", { type: "button", text: "Add a class", onclick: () => this.#add() })));
  }

  #trouble(text, button = "", action = null, kind = "bad") {
    this.banner.hidden = !text;
    this.banner.dataset.kind = kind;
    say(this.bannerText, text);
    this.bannerButton.hidden = !button;
    say(this.bannerButton, button);
    this.bannerAction = action;
  }

  // --- may it, and what is there --------------------------------------------------------------

  async #open() {
    if (this.body.hidden) this.#trouble("Asking the server …", "", null, "good");
    const { state, words } = await access(this.app.api);
    if (!this.shown) return;
    this.body.hidden = state !== "on";
    if (state === "off") this.#trouble(`This server does not teach; ${words}.`);
    else if (state === "key") {
      this.#trouble(`To teach, a key with the scope admin is needed: ${words}.`, "Enter a key",
        () => this.app.askKey());
    } else if (state === "refused") this.#trouble(`This server does not teach here; ${words}.`);
    else if (state === "gone") {
      this.#trouble(`${words}.`, "Try again", () => this.#open());
    } else {
      this.#trouble("");
      await this.#load();
      this.training.show();
    }
  }

  #clear() {
    for (const each of this.classes.values()) each.leave();
    this.classes.clear();
    this.grid.replaceChildren();
  }

  /** Show the classes of the chosen collection, the background first. */
  async #load() {
    this.collection.value = this.name;
    this.training.suggest(this.name);
    this.#clear();
    const { collections } = await this.#try(() => this.app.api.request("/v1/collections"))
      ?? { collections: [] };
    this.known.replaceChildren(...collections.map(({ name }) => h("option", { value: name })));
    this.#classOf(NOTHING);
    if (collections.some(({ name }) => name === this.name)) {
      const found = await this.#try(() => this.app.api.request(pathOf(this.name)));
      if (found) this.update(found);
    } else this.update({ labels: [], clips: 0, bytes: 0 });
  }

  /** Take over what the server says of the collection. */
  update({ labels, clips, bytes, sources = [] }) {
    for (const { name, clips: count, newest } of labels) {
      this.#classOf(name).update(count, newest);
    }
    for (const each of this.classes.values()) {
      if (!labels.some(({ name }) => name === each.name)) each.update(0);
    }
    say(this.counts, clips ? `${plural(clips, "clip")} of ${plural(sources.length, "source")}, `
      + `${(bytes / 1e6).toFixed(1)} MB` : "empty");
  }

  #classOf(name) {
    let found = this.classes.get(name);
    if (!found) {
      found = new ClassCard(this, name);
      this.classes.set(name, found);
      this.grid.append(found.element);
    }
    return found;
  }

  #add() {
    const name = this.newClass.value.trim().normalize("NFC");
    if (!name) return this.newClass.focus();
    this.newClass.value = "";
    this.#classOf(name).element.querySelector("button").focus();
  }

  /** Do what asks the API, and say what went wrong; undefined then. */
  async #try(work) {
    try {
      const found = await this.app.call(work);
      say(this.told, "");
      return found;
    } catch (error) {
      this.say(`${error.message}`);
    }
  }

  say(text) {
    say(this.told, text);
    if (text) this.app.announce(text);
  }

  /** Store one clip of a class; true if it is. */
  async add(label, body, source) {
    const api = this.app.api, collection = this.name;
    const stored = await this.#try(() => store(api, { collection, label, source, body }));
    if (!stored || collection !== this.name) return false;
    this.update(stored.collection);
    this.#classOf(stored.label).prepend({ id: stored.id, source: stored.source }, body);
    return true;
  }

  async remove(label, id) {
    const path = pathOf(this.name, label, id);
    const removed = await this.#try(() => this.app.api.request(path, { method: "DELETE" }));
    // With its last clip, a collection is gone.
    const found = removed && await this.#try(() => this.app.api.request("/v1/collections"));
    if (found) {
      this.update(found.collections.find(({ name }) => name === this.name)
        ?? { labels: [], clips: 0, bytes: 0 });
    }
    return Boolean(removed);
  }

  // --- recording ------------------------------------------------------------------------------

  /** Source of the next take: by its number, the same for all classes. */
  take(count) { return `${(plain(this.sourceName.value) || today()).slice(0, 58)}-${count + 1}`; }

  /** Sound of the next seconds as a WAV file; rejects with a SourceError. */
  async record(progress) {
    // Leaving the view ends the take wherever it waits, also for the microphone.
    const take = this.taking = new AbortController(), { signal } = take;
    const left = new Promise((_, fail) => {
      signal.onabort = () => fail(new Error("the view was left before the take was complete"));
    });
    const source = await Promise.race([left, this.#microphone(signal)]);
    await Promise.race([left, source.audio.resume()]);
    const rate = source.sampleRate, parts = [];
    const wanted = Math.round(Number(this.length.value) * rate);
    let count = 0;
    const complete = new Promise((done, fail) => {
      const broken = (state) => {
        if (["unplugged", "ended"].includes(state)) fail(new Error("the microphone is gone"));
      };
      source.onstate = broken;
      broken(source.state);
      source.onsamples = (samples) => {
        parts.push(samples);
        count += samples.length;
        progress(Math.min(1, count / wanted));
        if (count >= wanted) done();
      };
    });
    await Promise.race([left, complete]).finally(() => {
      source.onsamples = source.onstate = () => {};
    });
    if (parts.every((part) => part.every((x) => x === 0))) {
      throw new Error("the microphone gives only zeros; it is muted, or not connected");
    }
    const all = new Float32Array(count);
    parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
    return wav(all.subarray(0, wanted), rate);
  }

  /** The microphone of this view, opened at its first take; closed if it comes too late. */
  async #microphone(signal) {
    if (this.source) return this.source;
    const source = await microphone();
    if (signal.aborted) await source.close();
    else this.source = source;
    return source;
  }

  #release() {
    this.taking?.abort();
    this.source?.close();
    this.source = null;
  }

  /** The microphone is gone, or refused: the next take asks anew. */
  broken(error) {
    this.#release();
    this.say(`Not recorded: ${error.message}.`);
  }

  drop(transfer) {
    const card = [...this.classes.values()].find(({ element }) => element.matches(":hover"))
      ?? [...this.classes.values()].at(-1);
    if (card) dropped(transfer).then((files) => card.files(files));
  }
}

/** One class: its clips as pictures of their sound, and how to add and delete some. */
class ClassCard {
  constructor(view, name) {
    Object.assign(this, { view, name, count: 0, clips: new Map(), urls: new Set() });
    const isBackground = name === NOTHING;
    this.title = h("h3", { text: isBackground ? "Background" : name });
    this.counted = h("span", { class: "lead" });
    this.button = h("button", { type: "button", class: "main", text: "Record",
      ariaLabel: `Record ${isBackground ? "background" : name}`, onclick: () => this.#record() });
    this.progress = h("progress", { max: 1, value: 0, hidden: true,
      ariaLabel: `Recording ${name}` });
    this.list = h("ul", { class: "clips" });
    this.element = h("article", { class: "class" },
      h("div", { class: "bar" }, this.title, this.counted, h("span", { class: "push" }),
        this.button, picker("Files …", { multiple: true, accept: "audio/*,image/*",
          ariaLabel: `Files of ${name}` }, (files) => this.files(files))),
      isBackground && h("p", { class: "lead", text: "First: the room, voices, traffic, whatever is "
        + "heard when nothing of interest sounds. It keeps false labels away. (Pictures need "
        + "none.)" }), this.progress, this.list);
    this.#count();
  }

  leave() {
    for (const url of this.urls) URL.revokeObjectURL(url);
    this.left = true;
  }

  #count() {
    const more = FEW_TAKES - this.count;
    say(this.counted, this.count ? `${plural(this.count, "clip")}${more > 0
      ? `, ${number(more)} more would be good` : ""}` : `none yet, ${FEW_TAKES} takes are good`);
  }

  update(count, newest) {
    this.count = count;
    this.#count();
    for (const clip of newest?.slice(0, SHOWN) ?? []) this.#show(clip, null, false);
  }

  prepend(clip, body) { this.#show(clip, body, true); }

  async #record() {
    if (this.view.recording) return this.view.say("One take at a time: another is being recorded.");
    this.view.recording = true;
    this.button.disabled = true;
    this.progress.hidden = false;
    say(this.button, "Recording …");
    try {
      const sound = await this.view.record((share) => { this.progress.value = share; });
      if (!this.left) await this.view.add(this.name, sound, this.view.take(this.count));
    } catch (error) {
      this.view.broken(error);
    }
    this.view.recording = false;
    say(this.button, "Record");
    this.progress.hidden = true;
    this.button.disabled = false;
  }

  /** Store chosen or dropped files, one after the other. A folder they lie in is their source. */
  async files(files) {
    let stored = 0;
    for (const { file, path } of files.slice(0, MOST)) {
      if (this.left) return;
      const folder = plain(path.split("/").slice(0, -1).join("-"));
      stored += await this.view.add(this.name, file, folder || this.view.take(this.count));
    }
    const left = files.length - stored;
    if (left) this.view.say(`${plural(stored, "file")} stored, ${left} not: ${
      this.view.told.textContent}`);
  }

  #show(clip, body, first) {
    if (this.clips.has(clip.id)) return;
    const canvas = h("canvas", { width: 192, height: 72 });
    const play = h("button", { type: "button", class: "clip", title: `Play; from ${clip.source}`,
      ariaLabel: `Play clip from ${clip.source}`, onclick: () => this.#play(item) }, canvas);
    const remove = h("button", { type: "button", class: "remove", text: "×",
      ariaLabel: `Delete clip from ${clip.source}`, onclick: () => this.#remove(item, remove) });
    const item = { ...clip, body, play, element: h("li", {}, play, remove) };
    this.clips.set(clip.id, item);
    if (first) this.list.prepend(item.element);
    else this.list.append(item.element);
    while (this.list.children.length > SHOWN) {
      const last = [...this.clips.values()].find(({ element }) =>
        element === this.list.lastElementChild);
      this.#forget(last);
    }
    this.#draw(item, canvas);
  }

  #forget(item) {
    this.clips.delete(item.id);
    item.element.remove();
    if (item.url) URL.revokeObjectURL(item.url);
    this.urls.delete(item.url);
  }

  async #draw(item, canvas) {
    try {
      item.body ??= await fetchFile(this.view.app.api, pathOf(this.view.name, this.name, item.id));
      if (this.left) return;
      const small = await thumbnail(item.body, 192);
      if (small) {
        item.url = small;
        this.urls.add(small);
        item.isPicture = true;
        item.play.replaceChildren(h("img", { src: small, alt: `Picture from ${item.source}` }));
      } else await drawSound(canvas, item.body);
    } catch {
      item.play.replaceChildren("no preview");
    }
  }

  #play(item) {
    if (!item.body || item.isPicture) return;
    const url = URL.createObjectURL(item.body), audio = new Audio(url);
    const done = () => URL.revokeObjectURL(url);
    audio.onended = audio.onerror = done;
    audio.play().catch(done);
  }

  async #remove(item, button) {
    button.disabled = true;
    if (await this.view.remove(this.name, item.id)) {
      const next = item.element.nextElementSibling ?? item.element.previousElementSibling;
      this.#forget(item);
      (next?.querySelector(".remove") ?? this.button).focus();
    } else button.disabled = false;
  }
}

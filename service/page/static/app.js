// The page: its views, the key, the models, and whether the server is there.
import { h, say } from "./dom.js";
import * as listen from "./listen.js";
import { Coverage } from "./metrics.js";
import { Api, Problem } from "./timbre.js";

const VIEWS = {
  listen: async () => listen,
  look: () => import("./look.js"),
  play: () => import("./play.js"),
  teach: () => import("./teach.js"),
  models: () => import("./models.js"),
  status: () => import("./status.js"),
};
const KEY = "timbre.key";
/** Part of this module's own URL: the version of the page. */
const VERSION = new URL(import.meta.url).pathname.split("/").at(-2);
const CHECK_MS = 5_000;
const MOST_CHECKS = 720;

/** Reads and writes of storage fail where a browser forbids it; the page works without. */
export const stored = {
  get(name, store = localStorage) {
    try { return store.getItem(name); } catch { return null; }
  },
  set(name, value, store = localStorage) {
    try { store.setItem(name, value); } catch { /* not kept then */ }
  },
};

/** Numbers with their time, the newest of them. */
class Recent {
  constructor(capacity) {
    this.capacity = capacity;
    this.values = new Float32Array(capacity);
    this.times = new Float64Array(capacity);
    this.count = 0;
  }

  add(value) {
    this.values[this.count % this.capacity] = value;
    this.times[this.count % this.capacity] = Date.now();
    this.count += 1;
  }

  /** Those of the last milliseconds, in no order. */
  last(milliseconds) {
    const since = Date.now() - milliseconds;
    return this.values.subarray(0, Math.min(this.count, this.capacity))
      .filter((_, n) => this.times[n] >= since);
  }
}

class App extends EventTarget {
  constructor() {
    super();
    let session = null;
    try { session = sessionStorage; } catch { /* a key is asked for anew then */ }
    this.session = session;
    this.api = new Api({ key: (session && stored.get(KEY, session)) ?? "" });
    this.main = document.getElementById("main");
    this.live = document.getElementById("live");
    this.pill = document.getElementById("server");
    this.pill.addEventListener("click", () => this.#pressed());
    this.models = [];
    /** Answers of the server to the page's own question: [time, milliseconds or null, words]. */
    this.checks = [];
    /** Milliseconds, of the answers to this page's streams. */
    this.ages = new Recent(36_000);
    this.coverage = new Coverage();
    this.views = new Map();
    this.asking = null;
    /** The person did not want to give a key: only what they press asks again. */
    this.declined = false;
  }

  async start() {
    document.addEventListener("click", (event) => this.#follow(event));
    addEventListener("popstate", () => this.show(location.pathname));
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", (event) => this.#drop(event));
    addEventListener("online", () => this.check());
    document.addEventListener("visibilitychange", () => document.hidden || this.check());
    await this.show(location.pathname);
    await this.check();
    setInterval(() => document.hidden || this.check(), CHECK_MS);
  }

  /** Show the view of a path. */
  async show(path) {
    const name = path.split("/")[2] || "listen", turn = this.turn = {};
    this.current?.hide?.();
    this.current = null;
    for (const link of document.querySelectorAll("nav a")) {
      if (link.pathname === `/app/${name}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = `${name[0].toUpperCase()}${name.slice(1)} · Timbre`;
    if (!this.views.has(name)) {
      const module = await VIEWS[name]().catch(() => null);
      if (!module) return this.reloadOnce();
      // Another view was asked for while this one was loaded.
      if (this.turn !== turn) return;
      this.views.set(name, module.create(this));
    }
    this.current = this.views.get(name);
    this.main.replaceChildren(this.current.element);
    this.current.show?.();
  }

  #follow(event) {
    const link = event.target.closest?.("a");
    if (!link || event.defaultPrevented || event.metaKey || event.ctrlKey || event.shiftKey) return;
    if (link.origin !== location.origin || !VIEWS[link.pathname.split("/")[2]]) return;
    event.preventDefault();
    if (link.pathname !== location.pathname) history.pushState(null, "", link.pathname);
    this.show(link.pathname);
    this.main.focus({ preventScroll: true });
  }

  async #drop(event) {
    event.preventDefault();
    this.current?.drop?.(event.dataTransfer);
  }

  /** Say something to people who listen to the page. */
  announce(text) { say(this.live, text); }

  /**
   * Do what asks the API, and ask for a key where it answers 401.
   * @param {() => Promise} work done again with the new key
   */
  async call(work) {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof Problem) || error.status !== 401) throw error;
        const trouble = this.api.key ? "The key is wrong, or was revoked." : "";
        if (!(await this.askKey(trouble))) throw error;
      }
    }
  }

  /** Ask for a key, once for all that wait for one. */
  askKey(trouble = "") {
    this.asking ??= this.#ask(trouble).finally(() => { this.asking = null; });
    return this.asking;
  }

  #ask(trouble) {
    return new Promise((resolve) => {
      const input = h("input", { type: "password", id: "key", autocomplete: "off",
        spellcheck: false, placeholder: "timbre_…" });
      const done = (given) => {
        const key = input.value.trim();
        dialog.close();
        dialog.remove();
        if (given && key) {
          this.api.key = key;
          if (this.session) stored.set(KEY, key, this.session);
          this.dispatchEvent(new Event("key"));
        }
        this.declined = !(given && key);
        resolve(!this.declined);
      };
      const enter = h("button", { class: "main", type: "button", text: "Use it",
        onclick: () => done(true) });
      input.addEventListener("keydown", (event) => event.key === "Enter" && done(true));
      const dialog = h("dialog", { ariaLabel: "API key", oncancel: () => done(false) },
        h("h2", { text: "This server needs an API key" }),
        trouble && h("p", { class: "error", text: trouble }),
        h("p", { text: "It is kept until this tab is closed, and sent to this server only." }),
        h("label", { htmlFor: "key", text: "Key" }), input,
        h("div", { class: "bar" }, enter,
          h("button", { type: "button", text: "Not now", onclick: () => done(false) })));
      document.body.append(dialog);
      dialog.showModal();
    });
  }

  /** Ask the server whether it is ready, what page it has, and the first time its models. */
  async check() {
    const begin = performance.now();
    let words = "ready", kind = "good", ms = null;
    try {
      await this.api.request("/readyz");
      ms = performance.now() - begin;
      if (this.away) await this.#checkVersion();
      if (!this.models.length || this.away) await this.loadModels();
      this.away = false;
    } catch (error) {
      kind = error.status ? "wait" : "bad";
      words = error.status === 401 ? "needs a key" : error.status ? error.message
        : "server gone";
      this.away = true;
    }
    this.checks.push([Date.now(), ms, words]);
    if (this.checks.length > MOST_CHECKS) this.checks.shift();
    this.pill.dataset.kind = kind;
    say(this.pill, words);
    this.dispatchEvent(new Event("checked"));
  }

  async loadModels() {
    if (this.asking) return;
    const load = () => this.api.models();
    this.models = await (this.declined ? load() : this.call(load));
    this.dispatchEvent(new Event("models"));
  }

  /** The state of the server was pressed: ask it again, and for a key where one is needed. */
  #pressed() {
    this.declined = false;
    this.check();
  }

  /** Models of one medium: sound or picture. */
  of(medium) {
    return this.models.filter(({ input }) => (input.kind === "picture") === (medium === "picture"));
  }

  async #checkVersion() {
    const answer = await fetch("/", { method: "HEAD", cache: "no-cache" });
    const tag = (answer.headers.get("ETag") ?? "").replace(/^W\/|"/g, "");
    if (answer.ok && tag && tag !== VERSION) this.reloadOnce(tag);
  }

  /** Another version of the page is served: load it, but never twice for the same reason. */
  reloadOnce(tag = "missing") {
    if (!this.session || stored.get("timbre.reloaded", this.session) === tag) return;
    stored.set("timbre.reloaded", tag, this.session);
    this.dispatchEvent(new Event("reload"));
    location.reload();
  }
}

export const app = new App();
app.start();

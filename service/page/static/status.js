// The view Status: whether the server answers, how fast, and what this page's own stream gets.
import { ago, clock, fit, h, ink, milliseconds, number, plural, readInk, say } from "./dom.js";

const UPDATE_MS = 500;

export const create = (app) => new StatusView(app);

class StatusView {
  constructor(app) {
    this.app = app;
    const fact = (name) => {
      const value = h("b", { text: "–" }), more = h("small", { text: " " });
      const box = h("div", { class: "fact" }, h("span", { text: name }), value, more);
      return { value, more, box };
    };
    this.facts = { server: fact("Server"), trip: fact("Round trip"),
      stream: fact("This page's stream"), windows: fact("Windows answered"),
      dropped: fact("Not heard"),
      age: fact("Age of answers, last hour") };
    this.trips = h("canvas", { role: "img", ariaLabel: "Round trip to the server over time" });
    this.ages = h("canvas", { role: "img", ariaLabel: "How many answers had which age" });
    this.agesWords = h("p", { class: "lead" });
    this.models = h("tbody");
    for (const canvas of [this.trips, this.ages]) fit(canvas, () => this.#draw());
    this.element = h("section", { ariaLabel: "Status" }, h("h1", { text: "Status" }),
      h("div", { class: "facts" }, Object.values(this.facts).map(({ box }) => box)),
      h("h2", { text: "Round trip to the server" }),
      h("p", { class: "lead", text: "Asked every five seconds while this page is looked at; red "
        + "where no answer came." }),
      h("div", { class: "history" }, this.trips),
      h("h2", { text: "Age of the answers of the last hour" }), this.agesWords,
      h("div", { class: "history" }, this.ages),
      h("h2", { text: "Models" }),
      h("div", { class: "table" }, h("table", {}, h("thead", {}, h("tr", {}, ["model", "version",
        "labels", "runs on", "not served"].map((text, n) => h("th", { text, scope: "col",
        class: n > 2 && "words" })))),
      this.models)));
    app.addEventListener("checked", () => this.#update());
    app.addEventListener("models", () => this.#models());
    this.#models();
  }

  show() {
    clearInterval(this.timer);
    this.timer = setInterval(() => document.hidden || this.#update(), UPDATE_MS);
    this.#update();
  }

  hide() { clearInterval(this.timer); }

  #models() {
    this.models.replaceChildren(...this.app.models.map((model) => h("tr", {},
      h("td", { text: model.name }), h("td", { text: model.version }),
      h("td", { text: model.labels.length }), h("td", { class: "words", text: model.provider }),
      h("td", { class: "words", text: Object.keys(model.refused).join(", ") || "–" }))));
  }

  #update() {
    if (!this.element.isConnected) return;
    const { facts, app } = this, last = app.checks.at(-1), session = app.listening;
    if (last) {
      const [at, ms, words] = last, since = (Date.now() - at) / 1e3;
      say(facts.server.value, words);
      facts.server.box.dataset.kind = since > 15 ? "" : ms === null ? "bad" : "good";
      say(facts.server.more, `asked ${ago(since)}`);
      const trips = app.checks.map(([, each]) => each).filter((each) => each !== null);
      say(facts.trip.value, ms === null ? "–" : milliseconds(ms));
      say(facts.trip.more, trips.length ? `median ${milliseconds(quantile(trips, 0.5))}, longest `
        + milliseconds(Math.max(...trips)) : "no answer yet");
    }
    const counts = session?.stream?.counts;
    say(facts.stream.value, session ? session.stream?.state ?? session.state.kind : "none");
    facts.stream.box.dataset.kind = session?.stream?.state === "open" ? "good" : "";
    say(facts.stream.more, session ? `${session.source?.name ?? session.opening.kind}, `
      + `${plural(counts?.reconnects ?? 0, "reconnect")}` : "open one in Listen");
    say(facts.windows.value, number(counts?.windows ?? 0));
    const since = session ? (performance.now() - session.lastWindow) / 1e3 : 0;
    say(facts.windows.more, session ? `last ${ago(since)}, ${clock(session.captured, 0)} of sound`
      : "–");
    say(facts.dropped.value, plural(counts?.dropped ?? 0, "window"));
    facts.dropped.box.dataset.kind = counts?.dropped ? "bad" : "";
    this.#ages();
    this.#draw();
  }

  #ages() {
    const ages = this.app.ages.last(3600e3);
    say(this.facts.age.value, ages.length ? milliseconds(quantile(ages, 0.5)) : "–");
    say(this.facts.age.more, ages.length
      ? `99 % within ${milliseconds(quantile(ages, 0.99))}` : " ");
    say(this.agesWords, ages.length ? `${plural(ages.length, "answer")} of this page's stream, `
      + `longest ${milliseconds(Math.max(...ages))}` : "No answers yet.");
    this.counted = ages;
  }

  #draw() {
    readInk();
    drawTrips(this.trips, this.app.checks);
    drawAges(this.ages, this.counted ?? []);
  }
}

function quantile(values, share) {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}

function clear(canvas) {
  const context = canvas.getContext("2d", { alpha: false });
  context.fillStyle = ink.paper;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.font = `${11 * canvas.ratio}px system-ui, sans-serif`;
  context.textBaseline = "bottom";
  return context;
}

/** A bar for each question of the last hour, newest right. */
function drawTrips(canvas, checks) {
  const context = clear(canvas), { width, height, ratio } = canvas;
  const shown = checks.slice(-Math.max(1, Math.floor(width / (4 * ratio))));
  const most = Math.max(10, ...shown.map(([, ms]) => ms ?? 0));
  const tall = height - 20 * ratio;
  shown.forEach(([, ms], n) => {
    const x = width - (shown.length - n) * 4 * ratio;
    context.fillStyle = ms === null ? ink.bad : ink.accent;
    const high = ms === null ? tall : Math.max(ratio, (ms / most) * tall);
    context.fillRect(x, height - high, 3 * ratio, high);
  });
  context.fillStyle = ink.muted;
  context.fillText(milliseconds(most), 6 * ratio, 16 * ratio);
}

/** How many answers fell into each stretch of ages, on a logarithmic axis. */
function drawAges(canvas, ages) {
  const context = clear(canvas), { width, height, ratio } = canvas;
  const low = Math.log(0.5), high = Math.log(20_000), bins = new Uint32Array(48);
  for (const age of ages) {
    const at = (Math.log(Math.max(0.5, age)) - low) / (high - low);
    bins[Math.min(47, Math.floor(at * 48))] += 1;
  }
  const most = Math.max(1, ...bins), tall = height - 40 * ratio, each = width / 48;
  context.fillStyle = ink.accent;
  bins.forEach((count, n) => {
    const bar = count ? Math.max(2 * ratio, (count / most) * tall) : 0;
    context.fillRect(n * each + ratio, height - 20 * ratio - bar, each - 2 * ratio, bar);
  });
  context.fillStyle = ink.muted;
  for (const mark of [1, 10, 100, 1_000, 10_000]) {
    const x = ((Math.log(mark) - low) / (high - low)) * width;
    context.fillText(milliseconds(mark).replace(".0", ""), x, height - 2 * ratio);
  }
}

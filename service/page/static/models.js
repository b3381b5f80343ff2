// The view Models: what is served, how good it is, where it comes from, what was refused, and why;
// another version is served from here.
import { h, say } from "./dom.js";
import { versionChoice } from "./serving.js";
import { fetchFile } from "./teaching.js";

const scalar = (value) => value === null || typeof value !== "object";
const shown = (value) => value === null ? "–" : typeof value === "number"
  ? Number.isInteger(value) ? value.toLocaleString("en") : value.toFixed(3)
  : typeof value === "boolean" ? (value ? "yes" : "no") : String(value);
/** Labels that are shown at once. */
const MOST_SHOWN = 60;
const words = (name) => name.replaceAll("_", " ");

export const create = (app) => new ModelsView(app);

class ModelsView {
  constructor(app) {
    this.list = h("div");
    this.trouble = h("div", { class: "banner", hidden: true });
    this.element = h("section", { ariaLabel: "Models" }, h("h1", { text: "Models" }), this.trouble,
      this.list, h("p", { class: "lead" }, "What has been trained on this server is served from ",
        h("a", { href: "/app/teach", text: "Teach" }), "."));
    this.app = app;
    app.addEventListener("models", () => this.#draw());
    this.#draw();
  }

  async show() {
    try {
      await this.app.loadModels();
      this.trouble.hidden = true;
    } catch (error) {
      this.trouble.hidden = false;
      this.trouble.textContent = error.message;
    }
  }

  #draw() {
    const text = JSON.stringify(this.app.models);
    if (text === this.drawn) return;
    this.drawn = text;
    this.list.replaceChildren(...this.app.models.map((model) => article(this.app, model)));
  }
}

function article(app, model) {
  const { name, version, refused, task, labels, input, provider, metrics, provenance, created,
    provider_refused: notUsed = {} } = model;
  const { kind, shape, sample_rate: rate, window } = input;
  const licences = [...new Set(provenance.map(({ licence }) => licence))].join("; ");
  const title = h("h3", { text: `${labels.length} label${labels.length === 1 ? "" : "s"}, with `
    + "the threshold of each" });
  return h("article", { class: "model" },
    h("h2", { text: name }),
    h("dl", {},
      pair("version", version),
      pair("made", created.replace("T", " ").replace(/:\d\d(\+00:00|Z)$/, " UTC")),
      pair("task", task),
      pair("input", [kind.replaceAll("_", " "), shape.join(" × "), rate && `${rate} Hz`,
        window && `windows of ${window} s`].filter(Boolean).join(", ")),
      pair("runs on", provider),
      pair("licences", licences)),
    h("div", { class: "bar" }, versionChoice(app, model)),
    Object.entries(refused).map(([number, why]) =>
      h("p", { class: "error", text: `Version ${number} is not served: ${why}` })),
    Object.entries(notUsed).map(([name, why]) =>
      h("p", { class: "lead", text: `${name} is not used: ${why}` })),
    labels.length <= MOST_SHOWN ? [title, chips(labels)]
      : h("details", {}, h("summary", {}, title.textContent), chips(labels)),
    h("details", {}, h("summary", { text: "How good it is" }), tree(metrics)),
    h("details", {}, h("summary", { text: "Where it comes from, and under which licences" }),
      tree(provenance)),
    report(app, model));
}

const chips = (labels) => h("ul", { class: "chips" },
  labels.map(({ name, threshold, links = {} }) => h("li", {}, name, " ",
    h("small", { text: threshold.toFixed(2) }), Object.entries(links).map(([site, url]) => [" ",
      h("a", { href: url, target: "_blank", rel: "noopener noreferrer", text: site,
        ariaLabel: `${name} at ${site}` })]))));

/** The report of the served version, fetched when it is opened. */
function report(app, { name, version }) {
  const text = h("pre", { tabIndex: 0, text: "…" });
  const path = `/v1/models/${encodeURIComponent(name)}/report?version=${version}`;
  const open = async () => {
    if (text.dataset.there) return;
    try {
      const file = await app.call(() => fetchFile(app.api, path));
      say(text, await file.text());
      text.dataset.there = "";
    } catch (error) {
      say(text, `No report: ${error.message}`);
    }
  };
  return h("details", { ontoggle: ({ target }) => target.open && open() },
    h("summary", { text: "Report of its training" }), text);
}

const pair = (name, value) => value ? [h("dt", { text: name }), h("dd", { text: value })] : null;

/** Any JSON as lists and tables, whatever a recipe wrote. */
function tree(value, depth = 0) {
  if (scalar(value)) return h("p", { text: shown(value) });
  const entries = Object.entries(value);
  if (!entries.length) return h("p", { class: "lead", text: "nothing is told" });
  if (Array.isArray(value)) {
    return value.every(scalar) ? h("p", { text: value.map(shown).join(", ") })
      : table(value.map((row) => ["", row]), false);
  }
  const nested = entries.filter(([, each]) => !scalar(each));
  const flat = entries.filter(([, each]) => scalar(each));
  const parts = [];
  if (flat.length) {
    parts.push(h("dl", {}, flat.map(([name, each]) => pair(words(name), shown(each)))));
  }
  const isTable = nested.length > 1 && depth < 2
    && nested.every(([, each]) => !Array.isArray(each) && Object.values(each).some(scalar));
  if (isTable) parts.push(table(nested, true));
  for (const [name, each] of isTable ? [] : nested) {
    parts.push(h("h3", { text: words(name) }), tree(each, depth + 1));
  }
  return h("div", {}, parts);
}

function table(rows, named) {
  const columns = [...new Set(rows.flatMap(([, row]) => scalar(row) ? [] : Object.keys(row)))]
    .filter((column) => rows.some(([, row]) => row[column] !== undefined
      && scalar(row[column]))).slice(0, 14);
  const isText = (column) => rows.some(([, row]) => typeof row[column] === "string");
  return h("div", { class: "table", tabIndex: 0, role: "group", ariaLabel: "Table" }, h("table", {},
    h("thead", {}, h("tr", {}, named && h("th", { text: "" }),
      columns.map((column) => h("th", { class: isText(column) && "words", scope: "col",
        text: words(column) })))),
    h("tbody", {}, rows.map(([name, row]) => h("tr", {}, named && h("th", { scope: "row",
      text: words(name) }), columns.map((column) => h("td", { class: isText(column) && "words",
      text: row[column] === undefined || !scalar(row[column]) ? "" : shown(row[column]) })))))));
}

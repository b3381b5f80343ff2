"use strict";

const KINDS = {
  equal: ["Equal files", "Files with the same bytes. One of each set is enough: F keeps the current one."],
  near: ["Near-duplicates", "The same picture in another size, quality or colour, cropped a little, or mirrored. "
    + "A split keeps such a set together."],
  blank: ["Blank", "Pictures of nearly one colour."],
  unreadable: ["Unreadable", "Files that cannot be read as a picture."],
  label: ["Suspect labels", "A small classifier, trained without the picture, predicts another class. "
    + "The least likely first."],
  all: ["All pictures", "All pictures by class."],
};
const MANY = 60; // sets on a page
const PICTURES = 120; // cards on a page of single pictures
const token = location.pathname.split("/")[1];
const $ = (id) => document.getElementById(id);
const view = { kind: "equal", label: "", page: 0, chosen: new Set() };
let state, kept, focused = null;

async function ask(what, body) {
  const answer = await fetch(what, body && {
    method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json", "X-Timbre-Token": token },
  }).catch(() => null);
  const data = answer ? await answer.json().catch(() => ({})) : { error: "timbre data clean has stopped" };
  if (!answer || !answer.ok) throw new Error(data.error || answer.statusText);
  return data;
}

const gone = (n) => state.label[n] === "";
const moved = (n) => state.paths[n] !== state.first[n];
const decided = (n) => gone(n) || moved(n) || kept.has(n);
const isSet = (finding) => finding.pictures.length > 1;

function isOpen(finding) {
  const left = finding.pictures.filter((n) => !gone(n));
  return isSet(finding) ? left.length > 1 && left.some((n) => !decided(n)) : !decided(finding.pictures[0]);
}

function shown(kind, label = view.label) {
  if (kind === "all") {
    return state.paths.map((_, n) => n).filter((n) => !gone(n) && (!label || state.label[n] === label))
      .sort((a, b) => state.label[a].localeCompare(state.label[b]) || a - b).map((n) => ({ kind, pictures: [n], why: "" }));
  }
  return state.findings.filter((finding) =>
    finding.kind === kind && isOpen(finding) && (!label || finding.pictures.some((n) => state.label[n] === label)));
}

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function card(n, finding) {
  const name = state.paths[n].split("/").pop();
  const image = element("img", { src: `picture/${n}/160`, alt: "", loading: "lazy" });
  image.onerror = () => { image.classList.add("broken"); image.alt = "cannot be shown"; };
  const made = element("button", { className: "card", title: state.paths[n] }, image, element("b", { textContent: state.label[n] }),
    element("small", { textContent: name }));
  if (!isSet(finding) && finding.why) made.append(element("small", { className: "why", textContent: finding.why }));
  if (kept.has(n)) { made.classList.add("kept"); made.append(element("span", { className: "tag", textContent: "kept" })); }
  made.dataset.number = n;
  made.setAttribute("aria-pressed", view.chosen.has(n));
  made.setAttribute("aria-label", `${state.label[n]}, ${name}${finding.why ? ", " + finding.why : ""}`);
  made.onclick = () => { focused = n; toggle(n); };
  made.ondblclick = () => { focused = n; showPicture(); };
  made.onfocus = () => { focused = n; bar(); };
  made.finding = finding;
  return made;
}

function navigation() {
  $("kinds").replaceChildren(...Object.entries(KINDS).map(([kind, [title]]) => entry(title, shown(kind).length, view.kind === kind,
    () => go({ kind }))));
  const counts = new Map();
  for (const label of state.label) if (label) counts.set(label, (counts.get(label) || 0) + 1);
  const wanted = $("filter").value.toLowerCase();
  const labels = [...counts.keys()].sort((a, b) => a.localeCompare(b)).filter((label) => label.toLowerCase().includes(wanted));
  $("labels").replaceChildren(entry("All classes", state.label.filter(Boolean).length, !view.label, () => go({ label: "" })),
    ...labels.slice(0, 500).map((label) => entry(label, counts.get(label), view.label === label, () => go({ label }))));
}

function entry(name, count, current, onclick) {
  const button = element("button", { onclick, title: name, className: count ? "" : "done" }, element("span", { textContent: name }),
    element("span", { textContent: count.toLocaleString("en") }));
  button.setAttribute("aria-current", current);
  return element("li", {}, button);
}

function go(change) {
  Object.assign(view, { page: 0 }, change);
  view.chosen.clear();
  focused = null;
  render();
  $("sets").querySelector(".card")?.focus();
}

function render() {
  const [title, about] = KINDS[view.kind];
  $("title").textContent = title + (view.label ? ` in ${view.label}` : "");
  const right = view.kind === "label" && state.accuracy !== null ? ` It is right on ${Math.round(state.accuracy * 100)} % of the pictures.` : "";
  $("about").textContent = about + right;
  const findings = shown(view.kind);
  const size = ["equal", "near"].includes(view.kind) ? MANY : PICTURES;
  const pages = Math.max(1, Math.ceil(findings.length / size));
  view.page = Math.min(view.page, pages - 1);
  const some = findings.slice(view.page * size, (view.page + 1) * size);
  $("sets").className = some.length && isSet(some[0]) ? "flow" : "";
  $("sets").replaceChildren(...(some.length ? sets(some) : [emptyMessage()]));
  $("pager").replaceChildren(...(pages > 1 ? pager(pages) : []));
  navigation();
  const total = state.findings.length, open = state.findings.filter(isOpen).length;
  $("progress").textContent = `${(total - open).toLocaleString("en")} of ${total.toLocaleString("en")} findings decided`;
  $("undo").disabled = !state.undo;
  bar();
}

function sets(findings) {
  if (isSet(findings[0])) {
    return findings.map((finding) => {
      const left = finding.pictures.filter((n) => !gone(n));
      const mixed = new Set(left.map((n) => state.label[n])).size > 1;
      return element("section", { className: mixed ? "set mixed" : "set", title: mixed ? "In several classes" : "" },
        element("div", { className: "grid" }, ...left.map((n) => card(n, finding))));
    });
  }
  return [element("div", { className: "grid" }, ...findings.map((finding) => card(finding.pictures[0], finding)))];
}

function emptyMessage() {
  const had = state.findings.some((finding) => finding.kind === view.kind);
  return element("div", { className: "empty" }, element("strong", { textContent: had ? "All decided" : "Nothing of this kind" }),
    view.label ? `in ${view.label}` : "");
}

function pager(pages) {
  const turn = (by) => () => { view.page += by; view.chosen.clear(); render(); document.querySelector("main").scrollTop = 0; };
  return [element("button", { textContent: "Previous", onclick: turn(-1), disabled: !view.page }), `page ${view.page + 1} of ${pages}`,
    element("button", { textContent: "Next", onclick: turn(1), disabled: view.page === pages - 1 })];
}

function cards() { return [...document.querySelectorAll(".card")]; }
function current() { return cards().find((one) => Number(one.dataset.number) === focused); }
function targets() { return view.chosen.size ? [...view.chosen] : current() ? [focused] : []; }

function bar() {
  const numbers = targets();
  $("chosen").textContent = view.chosen.size ? `${view.chosen.size} selected` : numbers.length ? state.paths[focused] : "No picture selected";
  const finding = current()?.finding;
  for (const button of $("actions").querySelectorAll("button")) button.disabled = !numbers.length;
  $("actions").querySelector("[data-action=first]").disabled = !finding || !isSet(finding);
}

function chooseSet() {
  const numbers = current()?.finding.pictures.filter((n) => !gone(n)) ?? [];
  const all = numbers.every((n) => view.chosen.has(n));
  for (const n of numbers) if (view.chosen.has(n) === all) toggle(n);
}

function toggle(n) {
  if (!view.chosen.delete(n)) view.chosen.add(n);
  cards().find((one) => Number(one.dataset.number) === n)?.setAttribute("aria-pressed", view.chosen.has(n));
  bar();
}

async function change(what, body, message) {
  const place = cards().indexOf(current());
  try {
    const answer = await ask(what, body);
    for (const { number, path, label, kept: keep } of answer.pictures) {
      state.paths[number] = path;
      state.label[number] = label;
      keep ? kept.add(number) : kept.delete(number);
    }
    state.undo = answer.undo;
    view.chosen.clear();
    toast(message(answer.pictures.length));
  } catch (error) {
    toast(error.message, true);
  }
  render();
  const left = cards();
  (current() ?? left[Math.min(Math.max(place, 0), left.length - 1)])?.focus();
}

const pictures = (n) => (n === 1 ? "1 picture" : `${n} pictures`);

function act(action) {
  const numbers = targets();
  if (!numbers.length) return;
  if (action === "move") return openMover(numbers);
  if (action === "first") {
    const finding = current()?.finding;
    if (!finding || !isSet(finding)) return;
    const others = finding.pictures.filter((n) => n !== focused && !gone(n));
    return change("act", { action: "delete", numbers: others }, (n) => `Kept one, deleted ${pictures(n)}`);
  }
  const verb = { keep: "Kept", delete: "Deleted" }[action];
  return change("act", { action, numbers }, (n) => `${verb} ${pictures(n)}`);
}

function openMover(numbers) {
  const suggested = current()?.finding.suggested || "";
  $("targets").replaceChildren(...[...new Set(state.label)].filter(Boolean).sort().map((value) => element("option", { value })));
  $("target").value = suggested;
  $("mover").returnValue = "";
  $("mover").onclose = () => {
    const label = $("target").value.trim();
    if ($("mover").returnValue === "move" && label) {
      change("act", { action: "move", numbers, label }, (n) => `Moved ${pictures(n)} to ${label}`);
    }
  };
  $("mover").showModal();
  $("target").select();
}

function showPicture() {
  if (!current()) return;
  const [image, line] = $("closer").children;
  image.src = `picture/${focused}/640`;
  line.textContent = `${state.paths[focused]}  ${current().finding.why}`;
  $("closer").showModal();
}

function toast(text, bad = false) {
  $("toast").textContent = text;
  $("toast").className = bad ? "shown bad" : "shown";
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => { $("toast").className = ""; }, bad ? 6000 : 2500);
}

function step(by) {
  const all = cards(), at = all.indexOf(current());
  all[Math.min(Math.max(at + by, 0), all.length - 1)]?.focus();
}

function stepRow(by) {
  const here = current()?.getBoundingClientRect();
  if (!here) return step(1);
  const rows = cards().filter((one) => (one.getBoundingClientRect().top - here.top) * by > 4);
  const near = (one) => {
    const box = one.getBoundingClientRect();
    return Math.abs(box.top - here.top) * 10 + Math.abs(box.left - here.left);
  };
  rows.sort((a, b) => near(a) - near(b))[0]?.focus();
}

const undo = () => change("undo", {}, (n) => (n ? `Undone: ${pictures(n)}` : "Nothing to undo"));
const keys = {
  ArrowRight: () => step(1), ArrowLeft: () => step(-1), ArrowDown: () => stepRow(1), ArrowUp: () => stepRow(-1),
  " ": () => current() && toggle(focused), a: chooseSet, Enter: showPicture, k: () => act("keep"), f: () => act("first"), m: () => act("move"),
  d: () => act("delete"), Delete: () => act("delete"), u: undo, "?": () => $("keys").showModal(),
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input") || document.querySelector("dialog[open]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const onButton = event.target.matches("button:not(.card)") && [" ", "Enter"].includes(event.key);
  const kind = Object.keys(KINDS)[Number(event.key) - 1];
  const work = keys[event.key] ?? keys[event.key.toLowerCase()] ?? (kind && event.key !== " " && (() => go({ kind })));
  if (!work || onButton) return;
  event.preventDefault();
  work();
});

$("undo").onclick = undo;
$("help").onclick = () => $("keys").showModal();
$("filter").oninput = navigation;
$("closer").onclick = () => $("closer").close();
for (const button of $("actions").querySelectorAll("button")) button.onclick = () => act(button.dataset.action);

ask("state").then((answer) => {
  state = answer;
  state.first = [...state.paths];
  kept = new Set(state.kept);
  $("root").textContent = $("root").parentElement.title = state.root;
  go({ kind: Object.keys(KINDS).find((kind) => shown(kind).length) });
}).catch((error) => toast(error.message, true));

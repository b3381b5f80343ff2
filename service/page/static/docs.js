// The page /docs: copies lines, and tries requests out. The page is whole without it.
import { h } from "./dom.js";

const KEY = "timbre.key", LONGEST = 20000;
const key = document.querySelector("#key");
const origin = location.origin, written = "http://127.0.0.1:8000";

try { key.value = sessionStorage.getItem(KEY) ?? ""; } catch { /* it is given anew then */ }

for (const code of document.querySelectorAll(".copied code")) {
  code.textContent = code.textContent.replaceAll(written, origin)
    .replaceAll(written.replace("http", "ws"), origin.replace("http", "ws"));
}

for (const button of document.querySelectorAll(".copy")) {
  if (!navigator.clipboard) break;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}

for (const form of document.querySelectorAll(".try")) {
  form.hidden = false;
  form.addEventListener("submit", (event) => { event.preventDefault(); send(form); });
}

/** Open what the address names. */
function open() {
  const found = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
  if (!found) return;
  if (found.matches("details")) found.open = true;
  found.scrollIntoView();
}
addEventListener("hashchange", open);
open();

async function send(form) {
  const button = form.querySelector("button");
  const { path, method } = form.dataset, query = new URLSearchParams();
  let url = path, body;
  for (const input of form.querySelectorAll("[data-in]")) {
    if (input.dataset.in === "body") body = input.files[0];
    else if (input.dataset.in === "path") {
      url = url.replace(`{${input.name}}`, encodeURIComponent(input.value));
    } else if (input.value) query.set(input.name, input.value);
  }
  if (query.size) url += `?${query}`;
  const headers = key.value ? { Authorization: `Bearer ${key.value.trim()}` } : {};
  button.disabled = true;
  form.nextElementSibling.replaceChildren();
  const begin = performance.now();
  try {
    const response = await fetch(url, { method: method.toUpperCase(), headers, body });
    const text = await response.text(), ms = performance.now() - begin;
    show(form, response.ok, `${response.status} ${response.statusText} in ${ms.toFixed(0)} ms`,
      pretty(text));
  } catch (error) {
    show(form, false, `No answer: ${error.message}`, "");
  } finally {
    button.disabled = false;
  }
}

function show(form, good, words, text) {
  const cut = text.length > LONGEST ? `${text.slice(0, LONGEST)}\n…` : text;
  const ariaLabel = `Response: ${form.ariaLabel}`;
  form.nextElementSibling.replaceChildren(
    h("p", { class: "status", data: { kind: good ? "good" : "bad" }, text: words }),
    cut && h("pre", { tabIndex: 0, role: "region", ariaLabel, text: cut }));
}

function pretty(text) {
  try { return JSON.stringify(JSON.parse(text), null, 1); } catch { return text; }
}

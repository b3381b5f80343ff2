"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const chosen = {};

/** One event as a row: what became of it, where it is, and its sound if the page has it. */
function row(kind, [place, start, end, peak, clip, at]) {
  const line = document.createElement("div");
  line.className = "change";
  const word = document.createElement("span");
  word.className = `kind ${kind === "more" ? "won" : "lost"}`;
  word.textContent = kind === "more" ? "more" : "no more";
  const where = document.createElement("small");
  where.textContent = `${data.places[place]}, ${start.toFixed(1)} to ${end.toFixed(1)} s, ${peak.toFixed(2)}`;
  line.append(word, where);
  if (clip !== null) {
    const sound = document.createElement("audio");
    sound.controls = true;
    sound.preload = "none";
    load(sound, clip, at);
    line.append(sound);
  }
  return line;
}

/** Clips are shared by events near each other: each begins at its own second. */
function load(sound, clip, at) {
  sound.src = data.clips[clip];
  sound.addEventListener("loadedmetadata", () => { sound.currentTime = at; }, { once: true });
}

for (const sound of document.querySelectorAll("audio[data-clip]"))
  load(sound, sound.dataset.clip, Number(sound.dataset.at));

/** What the position of a slider would have told: index 0 of `steps` is the lowest threshold. */
function show(box, name) {
  const label = data.labels[name];
  const [threshold, count, more, less] = label.steps[Number(box.querySelector("input").value)];
  const list = box.querySelector(".rows");
  box.querySelector("code").textContent = threshold.toFixed(2);
  list.replaceChildren(...more.map((each) => row("more", each)), ...less.map((each) => row("less", each)));
  let text = `at ${label.threshold.toFixed(2)}, as it is, you have ${label.count} events`;
  if (threshold === label.threshold) {
    delete chosen[name];
  } else {
    chosen[name] = threshold;
    const parts = [];
    if (more.length) parts.push(`${more.length} more`);
    if (less.length) parts.push(`${less.length} no more`);
    text += `, at ${threshold.toFixed(2)} ${count}: ${parts.join(", ") || "the same ones"}`;
  }
  box.querySelector("output").textContent = text;
  command();
}

function command() {
  const quoted = JSON.stringify(chosen).replaceAll("'", "'\\''");
  document.getElementById("command").textContent = Object.keys(chosen).length
    ? `${data.command} --set '${quoted}'`
    : "nothing is chosen: move a slider";
}

for (const box of document.querySelectorAll(".slider")) {
  const name = box.dataset.label;
  box.querySelector("input").addEventListener("input", () => show(box, name));
  show(box, name);
}

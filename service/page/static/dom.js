// Elements, numbers and times as text. Text is only ever text: nothing here parses markup.

/** Make an element; `on...` are listeners, `data` its data attributes, false leaves out. */
export function h(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (value === false || value === undefined || value === null) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "text") element.textContent = value;
    else if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(9).filter((child) => child !== null && child !== undefined
    && child !== false));
  return element;
}

/** Set text only where it changed: the browser lays out nothing then. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** 75.25 as 1:15.3 */
export function clock(seconds, digits = 1) {
  const scale = 10 ** digits;
  const whole = Math.max(0, Math.round(seconds * scale) / scale);
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  const rest = (whole % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** How long ago, in words of one unit. */
export function ago(seconds) {
  if (!(seconds < Infinity)) return "never";
  if (seconds < 9.95) return `${Math.max(0, seconds).toFixed(1)} s ago`;
  if (seconds < 120) return `${Math.round(seconds)} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  return `${Math.round(seconds / 3600)} h ago`;
}

export const number = (value) => value.toLocaleString("en");
export const milliseconds = (value) => value >= 1e4 ? `${(value / 1e3).toFixed(0)} s`
  : value >= 1e3 ? `${(value / 1e3).toFixed(1)} s` : value >= 99.5 ? `${value.toFixed(0)} ms`
    : `${value.toFixed(1)} ms`;
export const plural = (count, word) => `${number(count)} ${word}${count === 1 ? "" : "s"}`;

/** Give a file to the person. */
export function download(name, text, type = "text/plain") {
  const url = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

const dark = matchMedia("(prefers-color-scheme: dark)");

/** Colour of the label with this number, readable on the paper of the day or the night. */
export function colourOf(index) {
  const hue = (145 + index * 137.5) % 360;
  return `oklch(${dark.matches ? 0.78 : 0.58} 0.14 ${hue.toFixed(1)})`;
}

/** Values of CSS variables, for canvases. */
export const ink = {};
let inkOf = null;

/** Read them anew where day became night; true if so. */
export function readInk() {
  if (inkOf === dark.matches) return false;
  inkOf = dark.matches;
  const style = getComputedStyle(document.documentElement);
  for (const name of ["paper", "raised", "ink", "muted", "line", "accent", "bad"]) {
    ink[name] = style.getPropertyValue(`--${name}`).trim();
  }
  return true;
}

/** Keep a canvas at the pixels of the device, `canvas.ratio` to a CSS pixel; tells of changes. */
export function fit(canvas, resized = () => {}) {
  const most = 8192;
  canvas.ratio = 1;
  const observer = new ResizeObserver(([entry]) => {
    const { width, height } = entry.contentRect, box = entry.devicePixelContentBoxSize?.[0];
    if (!width || !height) return;
    // Whole pixels where the browser tells them, and means those of this display.
    const exact = box && Math.abs(box.inlineSize - width * devicePixelRatio) < 2;
    canvas.width = Math.min(most, Math.round(exact ? box.inlineSize : width * devicePixelRatio));
    canvas.height = Math.min(most, Math.round(exact ? box.blockSize : height * devicePixelRatio));
    canvas.ratio = canvas.width / width;
    resized();
  });
  try {
    observer.observe(canvas, { box: "device-pixel-content-box" });
  } catch {
    observer.observe(canvas);
  }
}

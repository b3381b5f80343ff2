// Files that people choose or drop: folders, too; small copies of pictures; answers as bars.
import { h } from "./dom.js";

/** Files at once: a page with more is slow. */
export const MOST = 1000;
const SIDE = 320;

/** Files of a drop, those in folders with their path; at most `MOST` and one more. */
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const found = [];
  const walk = async (entry, path) => {
    if (found.length > MOST) return;
    if (entry.isFile) {
      const file = await new Promise((done, fail) => entry.file(done, fail));
      found.push({ file, path: path + file.name });
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((done, fail) => reader.readEntries(done, fail));
      if (!some.length) return;
      for (const each of some) await walk(each, `${path}${entry.name}/`);
    }
  };
  for (const entry of entries) await walk(entry, "");
  return found;
}

/** Files of an input, with their path below the folder that was chosen. */
export const chosen = (input) => [...input.files].map((file) =>
  ({ file, path: file.webkitRelativePath || file.name }));

/** A button that opens the question for files. */
export function picker(text, options, take) {
  const input = h("input", { type: "file", ...options, onchange: () => {
    const files = chosen(input);
    input.value = "";
    if (files.length) take(files);
  } });
  return h("label", { class: "button" }, text, input);
}

/** URL of a small copy; null for what this browser cannot show. The caller revokes it. */
export async function thumbnail(file, side = SIDE) {
  try {
    const bitmap = await createImageBitmap(file);
    const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
    const canvas = h("canvas", { width: Math.max(1, Math.round(bitmap.width * scale)),
      height: Math.max(1, Math.round(bitmap.height * scale)) });
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    const small = await new Promise((done) => canvas.toBlob(done, "image/webp", 0.85));
    return URL.createObjectURL(small);
  } catch {
    return null;
  }
}

/** Predictions as bars, best first. */
export const bars = (predictions) => h("ol", { class: "bars" },
  predictions.map(({ label, score }) => h("li", {}, h("span", { text: label, title: label }),
    h("span", { text: score.toFixed(2) }),
    h("progress", { max: 1, value: score, ariaLabel: `score of ${label}` }))));

/** Ask for a file's labels; wait and ask again where the server is busy. Best first. */
export async function ask(app, model, file, { query = {}, signal } = {}) {
  for (let attempt = 0; ; attempt++) {
    try {
      const answer = await app.call(() => app.api.classify(model.name, file, { query, signal }));
      return answer.predictions ?? means(answer.windows);
    } catch (error) {
      if (attempt === 5 || (error.status !== 503 && error.status !== 429)) throw error;
      await new Promise((done) => setTimeout(done, 1e3 * Math.min(5, error.retryAfter || 1)));
    }
  }
}

/** Mean score of each label over the windows of a sound. */
function means(windows) {
  const sums = new Map();
  for (const { scores } of windows) {
    for (const [label, score] of Object.entries(scores)) {
      sums.set(label, (sums.get(label) ?? 0) + score / windows.length);
    }
  }
  return [...sums].map(([label, score]) => ({ label, score })).sort((a, b) => b.score - a.score);
}

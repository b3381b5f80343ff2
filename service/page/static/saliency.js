// Which part of a picture a score hangs on: parts are covered one after the other, and it is asked
// again. Works for any model of pictures; costs some fifty requests.
import { h } from "./dom.js";
import { ask } from "./pictures.js";

const SIDE = 256;
const CELLS = 8;
/** Cells of a side that are covered together. */
const PATCH = 2;
const AT_ONCE = 3;
/** A smaller loss is that of any noise. */
const LEAST = 0.02;

/**
 * By how much the score of a label falls where a part is covered: {base, heat, most}, heat row by
 * row of CELLS x CELLS, negative where it rises. Rejects with a Problem or an AbortError.
 */
export async function occlusion(app, model, file, label, { query = {}, signal, progress }) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
  const width = Math.max(CELLS, Math.round(bitmap.width * scale));
  const height = Math.max(CELLS, Math.round(bitmap.height * scale));
  const score = async (patch) => {
    const canvas = h("canvas", { width, height }), context = canvas.getContext("2d");
    context.fillStyle = "#ffffff";
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0, width, height);
    if (patch) {
      context.fillStyle = "#808080";
      context.fillRect(...patch);
    }
    const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
    const found = await ask(app, model, blob,
      { query: { ...query, top_k: model.labels.length }, signal });
    return found.find((each) => each.label === label)?.score ?? 0;
  };
  const base = await score(null);
  const places = [];
  for (let y = 0; y + PATCH <= CELLS; y++) {
    for (let x = 0; x + PATCH <= CELLS; x++) places.push([x, y]);
  }
  const heat = new Float32Array(CELLS * CELLS), times = new Uint8Array(CELLS * CELLS);
  const total = places.length;
  const work = async () => {
    for (let place = places.pop(); place; place = places.pop()) {
      const [x, y] = place;
      const loss = base - await score([(x * width) / CELLS, (y * height) / CELLS,
        (PATCH * width) / CELLS, (PATCH * height) / CELLS]);
      for (let row = y; row < y + PATCH; row++) {
        for (let column = x; column < x + PATCH; column++) {
          heat[row * CELLS + column] += loss;
          times[row * CELLS + column] += 1;
        }
      }
      progress?.(1 - places.length / total);
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  } finally {
    places.length = 0;
    bitmap.close();
  }
  heat.forEach((sum, n) => { heat[n] = sum / times[n]; });
  return { base, heat, most: Math.max(...heat) };
}

/** A picture with red over the parts whose loss counts most; null where no part does. */
export function overlay({ heat, most }, picture) {
  if (most < LEAST) return null;
  const small = h("canvas", { width: CELLS, height: CELLS }), image = new ImageData(CELLS, CELLS);
  heat.forEach((loss, n) => image.data.set([220, 20, 40, 190 * Math.max(0, loss / most)], 4 * n));
  small.getContext("2d").putImageData(image, 0, 0);
  const { naturalWidth: width, naturalHeight: height, alt } = picture;
  const canvas = h("canvas", { width, height, class: "heat", role: "img",
    ariaLabel: `${alt}, red over what counts` });
  const context = canvas.getContext("2d");
  for (const each of [picture, small]) context.drawImage(each, 0, 0, width, height);
  return canvas;
}

// Draws columns of a spectrum, newest right, in pixels of the device.
import { ink } from "./dom.js";
import { COLUMNS_PER_S } from "./signal.js";

const STOPS = {
  // Viridis and its kin keep their order for the colour-blind and in grey.
  viridis: ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58",
    "#b5de2b", "#fde725"],
  magma: ["#000004", "#180f3d", "#440f76", "#721f81", "#9e2f7f", "#cd4071", "#f1605d", "#fd9668",
    "#feca8d", "#fcfdbf"],
  grey: ["#000000", "#ffffff"],
  "grey, on white": ["#ffffff", "#000000"],
};
export const COLOURS = Object.keys(STOPS);
export const SCALES = ["log", "linear"];
const LOWEST = 40;
const WIDEST = 2400;

/** 256 colours of a map, as the words of image data. */
function palette(name) {
  const channel = (hex, at) => parseInt(hex.slice(at, at + 2), 16);
  const stops = STOPS[name].map((hex) => [1, 3, 5].map((at) => channel(hex, at)));
  return Uint32Array.from({ length: 256 }, (_, value) => {
    const at = (value / 255) * (stops.length - 1), low = Math.min(stops.length - 2, Math.floor(at));
    const [r, g, b] = stops[low].map((from, n) =>
      Math.round(from + (stops[low + 1][n] - from) * (at - low)));
    return (0xff000000 | (b << 16) | (g << 8) | r) >>> 0;
  });
}

/** The picture of a spectrogram: `draw` paints only the columns that are new. */
export class Spectrogram {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.texture = document.createElement("canvas");
    this.scale = "log";
    this.colours = "viridis";
    this.painted = null;
  }

  /** Paint everything anew at the next `draw`. */
  reset() { this.painted = null; }

  /** Hertz at a height, 0 at the bottom and 1 at the top. */
  hertzAt(height, nyquist) {
    return this.scale === "log" ? LOWEST * (nyquist / LOWEST) ** height : height * nyquist;
  }

  heightOf(hertz, nyquist) {
    return this.scale === "log" ? Math.log(hertz / LOWEST) / Math.log(nyquist / LOWEST)
      : hertz / nyquist;
  }

  /** Frequencies to write at the axis. */
  ticks(nyquist, room) {
    const all = this.scale === "log" ? [50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 9e4]
      : Array.from({ length: 12 }, (_, n) => (n + 1) * (nyquist > 3e4 ? 1e4 : nyquist > 9e3 ? 4e3
        : nyquist > 5e3 ? 2e3 : 1e3));
    let last = -1;
    return all.filter((hertz) => {
      const height = this.heightOf(hertz, nyquist);
      if (height > 1 - 0.5 / room || height < 0 || height - last < 1 / room) return false;
      last = height;
      return true;
    });
  }

  /** Draw the `span` seconds that end at `end`. */
  draw(columns, end, span) {
    const { canvas, context } = this;
    const { width, height } = canvas;
    if (!width || !height) return;
    const every = Math.max(1, Math.ceil((span * COLUMNS_PER_S) / WIDEST));
    const count = Math.ceil((span * COLUMNS_PER_S) / every) + 2;
    const key = [columns.sampleRate, every, count, height, this.scale, this.colours].join();
    if (this.key !== key) this.#prepare(key, columns, every, count, height);
    const first = ((end - span) * COLUMNS_PER_S) / every;
    const from = Math.floor(first), to = from + count;
    this.#paint(columns, from, Math.min(to, Math.floor(columns.end / every)), every);
    context.fillStyle = ink.raised;
    context.fillRect(0, 0, width, height);
    const known = Math.max(from, Math.ceil(columns.start / every), 0);
    const last = Math.min(to, Math.floor(columns.end / every));
    const pixels = (width * every) / (span * COLUMNS_PER_S);
    for (let at = known; at < last;) {
      const slot = at % count, run = Math.min(count - slot, last - at);
      const x = Math.round((at - first) * pixels), right = Math.round((at + run - first) * pixels);
      context.drawImage(this.texture, slot, 0, run, this.texture.height, x, 0, right - x, height);
      at += run;
    }
  }

  #prepare(key, columns, every, count, height) {
    this.key = key;
    this.painted = null;
    this.texture.width = count;
    this.texture.height = Math.min(height, columns.rows);
    this.brush = this.texture.getContext("2d", { alpha: false });
    this.words = palette(this.colours);
    const nyquist = columns.sampleRate / 2, rows = this.texture.height;
    // The rows of the spectrum that each row of pixels shows, brightest first.
    this.bins = Array.from({ length: rows }, (_, y) => {
      const bin = (at) => (this.hertzAt(at, nyquist) / nyquist) * columns.rows;
      const low = Math.floor(bin((rows - 1 - y) / rows)), high = Math.ceil(bin((rows - y) / rows));
      return [Math.min(low, columns.rows - 1), Math.max(low + 1, Math.min(high, columns.rows))];
    });
  }

  #paint(columns, from, to, every) {
    const [a, b] = this.painted ?? [0, 0];
    // What is painted is one stretch; only what is missing at its ends is added.
    if (!this.painted || from > b || to < a) this.#columns(columns, from, to, every);
    else {
      if (from < a) this.#columns(columns, from, a, every);
      if (to > b) this.#columns(columns, b, to, every);
    }
    if (to > from) this.painted = [from, to];
  }

  #columns(columns, from, to, every) {
    const { width: count, height: rows } = this.texture;
    from = Math.max(from, 0, Math.ceil(columns.start / every));
    while (from < to) {
      const slot = from % count, run = Math.min(to - from, count - slot, 64);
      const image = this.brush.createImageData(run, rows);
      const words = new Uint32Array(image.data.buffer);
      for (let n = 0; n < run; n++) this.#column(columns, from + n, every, words, n, run);
      this.brush.putImageData(image, slot, 0);
      from += run;
    }
  }

  #column(columns, number, every, words, x, stride) {
    const rows = this.texture.height, sources = [];
    let missing = false;
    for (let c = number * every; c < (number + 1) * every; c++) {
      missing ||= c < columns.start || columns.gap[c % columns.capacity];
      sources.push((c % columns.capacity) * columns.rows);
    }
    for (let y = 0; y < rows; y++) {
      let most = 0;
      if (missing) {
        words[y * stride + x] = (y + 3 * number) % 12 < 4 ? 0xff808080 : 0xff5a5a5a;
        continue;
      }
      const [low, high] = this.bins[y];
      for (const source of sources) {
        for (let row = low; row < high; row++) {
          const value = columns.data[source + row];
          if (value > most) most = value;
        }
      }
      words[y * stride + x] = this.words[most];
    }
  }
}

/** Draw the axis of times: a line every few seconds. */
export function drawTimes(context, end, span, label) {
  const { width, height } = context.canvas, scale = context.canvas.ratio;
  context.fillStyle = ink.paper;
  context.fillRect(0, 0, width, height);
  const room = Math.max(2, width / (70 * scale));
  const step = [1, 2, 5, 10, 15, 30, 60].find((each) => span / each <= room) ?? 60;
  context.font = `${11 * scale}px system-ui, sans-serif`;
  context.textBaseline = "bottom";
  context.textAlign = "center";
  for (let at = Math.ceil((end - span) / step) * step; at <= end; at += step) {
    if (at < 0) continue;
    const x = Math.round(((at - end + span) / span) * width);
    context.fillStyle = ink.line;
    context.fillRect(x, 0, scale, 4 * scale);
    context.fillStyle = ink.muted;
    context.fillText(label(at), Math.min(width - 14 * scale, Math.max(14 * scale, x)), height);
  }
}

// Numbers of sound: spectrum, level, and what is wrong with a microphone. Pure, without the page.

/** Columns of the spectrogram in a second. */
export const COLUMNS_PER_S = 40;
export const ROWS = 1024;
/** Decibels at the darkest and at the brightest. */
export const RANGE = [-110, -20];

/** Power spectrum of real samples, by a complex FFT in place. */
export class Fft {
  constructor(size) {
    this.size = size;
    this.re = new Float32Array(size);
    this.im = new Float32Array(size);
    this.window = Float32Array.from({ length: size },
      (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / size));
    const half = (wave) =>
      Float32Array.from({ length: size / 2 }, (_, n) => wave((2 * Math.PI * n) / size));
    this.cos = half(Math.cos);
    this.sin = half(Math.sin);
    const bits = Math.log2(size);
    this.reversed = Uint32Array.from({ length: size }, (_, n) => {
      let out = 0;
      for (let bit = 0; bit < bits; bit++) out |= ((n >> bit) & 1) << (bits - 1 - bit);
      return out;
    });
  }

  /** Leave the transform of windowed samples in `re` and `im`. */
  run(samples) {
    const { size, re, im, window, cos, sin, reversed } = this;
    for (let n = 0; n < size; n++) re[reversed[n]] = samples[n] * window[n];
    im.fill(0);
    for (let half = 1; half < size; half *= 2) {
      const stride = size / (2 * half);
      for (let start = 0; start < size; start += 2 * half) {
        for (let k = 0; k < half; k++) {
          const a = start + k, b = a + half, wr = cos[k * stride], wi = -sin[k * stride];
          const xr = re[b] * wr - im[b] * wi, xi = re[b] * wi + im[b] * wr;
          re[b] = re[a] - xr;
          im[b] = im[a] - xi;
          re[a] += xr;
          im[a] += xi;
        }
      }
    }
  }
}

/** Spectrogram columns of the last `seconds`, by number; column c ends at sample (c + 1) * step. */
export class Columns {
  constructor(sampleRate, seconds) {
    this.sampleRate = sampleRate;
    this.step = sampleRate / COLUMNS_PER_S;
    this.capacity = Math.round(seconds * COLUMNS_PER_S);
    this.rows = ROWS;
    this.data = new Uint8Array(this.capacity * ROWS);
    this.gap = new Uint8Array(this.capacity);
    this.end = 0;
    // Twice as fine for twice the rate, so that a row is never more than 24 Hz at usual rates.
    this.fft = new Fft(2048 * 2 ** Math.max(0, Math.ceil(Math.log2(sampleRate / 48_000))));
    this.frame = new Float32Array(this.fft.size);
    this.samples = 0;
  }

  get start() { return Math.max(0, this.end - this.capacity); }

  feed(samples, gap = 0) {
    if (gap) this.#skip(gap);
    for (let at = 0; at < samples.length;) {
      const due = Math.round((this.end + 1) * this.step) - this.samples;
      const part = samples.subarray(at, at + Math.min(due, this.frame.length));
      this.frame.copyWithin(0, part.length);
      this.frame.set(part, this.frame.length - part.length);
      at += part.length;
      this.samples += part.length;
      if (part.length === due) this.#column();
    }
  }

  #skip(gap) {
    this.samples += gap;
    this.frame.fill(0);
    const end = Math.floor(this.samples / this.step);
    for (let c = Math.max(this.end, end - this.capacity); c < end; c++) {
      this.gap[c % this.capacity] = 1;
      this.data.fill(0, (c % this.capacity) * ROWS, (c % this.capacity + 1) * ROWS);
    }
    this.end = Math.max(this.end, end);
  }

  #column() {
    this.fft.run(this.frame);
    const { re, im, size } = this.fft;
    const slot = this.end % this.capacity, each = size / 2 / ROWS;
    const scale = 255 / (RANGE[1] - RANGE[0]), full = 20 * Math.log10(size / 4);
    for (let row = 0; row < ROWS; row++) {
      let most = 1e-30;
      for (let bin = row * each; bin < (row + 1) * each; bin++) {
        most = Math.max(most, re[bin] * re[bin] + im[bin] * im[bin]);
      }
      const value = (10 * Math.log10(most) - full - RANGE[0]) * scale;
      this.data[slot * ROWS + row] = value < 0 ? 0 : value > 255 ? 255 : value;
    }
    this.gap[slot] = 0;
    this.end += 1;
  }

  /** Decibels at a time and a frequency; undefined where there is nothing. */
  at(seconds, hertz) {
    const c = Math.floor(seconds * COLUMNS_PER_S);
    const row = Math.floor((hertz / (this.sampleRate / 2)) * ROWS);
    if (c < this.start || c >= this.end || row < 0 || row >= ROWS) return undefined;
    if (this.gap[c % this.capacity]) return undefined;
    const value = this.data[(c % this.capacity) * ROWS + row];
    return RANGE[0] + (value * (RANGE[1] - RANGE[0])) / 255;
  }
}

/** Level of the last moment, and a verdict over the last seconds. */
export class Meter {
  constructor(sampleRate) {
    this.sampleRate = sampleRate;
    this.rms = this.peak = 0;
    this.past = [];
    this.#begin();
  }

  #begin() {
    Object.assign(this, { count: 0, sum: 0, square: 0, full: 0, zero: 0 });
    this.hum = [50, 60].map((hertz) => [hertz, 2 * hertz].map((each) => ({
      hertz: each, factor: 2 * Math.cos((2 * Math.PI * each) / this.sampleRate), a: 0, b: 0 })));
  }

  feed(samples) {
    let square = 0, peak = 0;
    for (let n = 0; n < samples.length; n++) {
      const x = samples[n], size = Math.abs(x);
      square += x * x;
      this.sum += x;
      if (size > peak) peak = size;
      if (size >= 0.999) this.full += 1;
      if (x === 0) this.zero += 1;
    }
    for (const tones of this.hum) {
      for (const tone of tones) {
        const { factor } = tone;
        let { a, b } = tone;
        for (let n = 0; n < samples.length; n++) {
          const next = samples[n] + factor * a - b;
          b = a;
          a = next;
        }
        tone.a = a;
        tone.b = b;
      }
    }
    this.rms = Math.sqrt(square / samples.length);
    this.peak = Math.max(peak, this.peak * 0.9);
    this.square += square;
    this.count += samples.length;
    if (this.count >= this.sampleRate) this.#second();
  }

  #second() {
    const { count } = this;
    const power = this.square / count;
    const share = (tones) => tones.reduce((all, { factor, a, b }) =>
      all + (2 * (a * a + b * b - factor * a * b)) / (count * count), 0) / (power || 1);
    const hums = this.hum.map(share);
    this.past.push({ power, dc: this.sum / count, full: this.full / count, zero: this.zero / count,
      hum: Math.max(...hums), hertz: hums[0] >= hums[1] ? 50 : 60 });
    if (this.past.length > 5) this.past.shift();
    this.#begin();
  }

  /** What a person should know: {kind, text}; kind: wait, dead, loud, offset, quiet, hum, good. */
  verdict() {
    const { past } = this;
    if (past.length < 2) return { kind: "wait", text: "checking the sound" };
    const mean = (name) => past.reduce((sum, each) => sum + each[name], 0) / past.length;
    const level = decibels(Math.sqrt(mean("power")));
    if (mean("zero") === 1) return { kind: "dead", text: "only zeros: muted, or not connected" };
    if (mean("full") > 1e-3) {
      return { kind: "loud", text: `too loud: ${(100 * mean("full")).toFixed(1)} % at full scale` };
    }
    if (Math.abs(mean("dc")) > 0.05) return { kind: "offset", text: "off centre: a DC offset" };
    if (level < -60) return { kind: "quiet", text: `very quiet, ${level.toFixed(0)} dB` };
    if (mean("hum") > 0.5) return { kind: "hum", text: `mostly hum of ${past.at(-1).hertz} Hz` };
    return { kind: "good", text: "good" };
  }
}

export const decibels = (value) => 20 * Math.log10(Math.max(value, 1e-6));

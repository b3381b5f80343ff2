/**
 * timbre.js: live sound from a browser to a Timbre server, and its answers back.
 *
 * One ES module without dependencies; capture.js, its AudioWorklet, lies beside it. `microphone`
 * and `soundFile` open a Source, `Stream` sends it, `Api` is the rest of the server.
 */

/** Seconds of sound kept to be sent again after a lost connection. */
export const RING_S = 30;
/** Hertz, lowest and highest that a server takes. */
export const RATES = [8_000, 192_000];
const FRAME_S = 0.25;
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 10_000;
const OPEN_TIMEOUT_MS = 10_000;
/** Bytes in the socket past which sound stays in the ring. */
const BUFFERED = 262_144;
/** Seconds of sound without any answer after which a connection counts as lost. */
const SILENT_S = 5;
/** Windows in flight while a replay catches up: with more, the server would drop some. */
const REPLAY_AHEAD = 6;
/** Seconds by which the clock may run ahead of the samples before that counts as a gap. */
const GAP_S = 1;
const PRE_ROLL_S = 0.1;
const RETRIED = ["busy", "shutting-down", "deadline-passed", "too-many-requests", "internal-error",
  "work-failed"];
const PROCESSING = ["echoCancellation", "noiseSuppression", "autoGainControl"];

/** An error answer of the server: `code` as in PROTOCOL.md, `status`, and `message` for people. */
export class Problem extends Error {
  constructor(code, message, { status = 0, retryAfter = 0 } = {}) {
    super(message);
    this.name = "Problem";
    Object.assign(this, { code, status, retryAfter });
  }
}

/** Why there is no sound: `kind` is insecure, refused, no-device, in-use, unreadable or blocked. */
export class SourceError extends Error {
  constructor(kind, message, cause) {
    super(message, { cause });
    this.name = "SourceError";
    this.kind = kind;
  }
}

/** The REST side of a server. Every method rejects with a Problem; `unreachable` without answer. */
export class Api {
  /** @param {{url?: string|URL, key?: string}} options url: of the server; key: an API key */
  constructor({ url = location.origin, key = "" } = {}) {
    this.url = new URL(url);
    this.key = key;
  }

  /** @returns {Promise<object[]>} what `GET /v1/models` lists */
  async models(options) { return (await this.request("/v1/models", options)).models; }

  /** @returns {Promise<object>} what `GET /v1/models/{name}` tells */
  model(name, options) { return this.request(`/v1/models/${encodeURIComponent(name)}`, options); }

  /**
   * Classify a sound or a picture.
   * @param {string} name of the model
   * @param {Blob} blob the file
   * @param {{query?: object, signal?: AbortSignal}} options query: such as {top_k: 3}
   */
  classify(name, blob, { query = {}, signal } = {}) {
    const path = `/v1/models/${encodeURIComponent(name)}/classify?${new URLSearchParams(query)}`;
    // A type that the browser guessed is no help: the server looks at the bytes.
    const body = blob.slice(0, blob.size, "application/octet-stream");
    return this.request(path, { method: "POST", body, signal });
  }

  /** Send a request, and return the JSON of its answer. */
  async request(path, { method = "GET", body, signal } = {}) {
    const headers = this.key ? { Authorization: `Bearer ${this.key}` } : {};
    let response;
    try {
      response = await fetch(new URL(path, this.url), { method, body, headers, signal });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem("unreachable", "the server does not answer");
    }
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    throw new Problem(
      String(answer.type ?? "").split(":").pop() || `http-${response.status}`,
      answer.detail || answer.title || `the server answered ${response.status}`,
      { status: response.status, retryAfter: Number(response.headers.get("Retry-After")) || 0 });
  }
}

/** Sound by sample index, the newest `capacity` samples; what was never captured is a gap. */
export class Ring {
  constructor(capacity, start = 0) {
    this.start = this.end = start;
    this.gaps = [];
    this.data = new Float32Array(capacity);
  }

  append(samples) {
    const capacity = this.data.length;
    if (samples.length > capacity) {
      this.skip(samples.length - capacity);
      samples = samples.subarray(samples.length - capacity);
    }
    const at = this.end % capacity;
    const first = Math.min(samples.length, capacity - at);
    this.data.set(samples.subarray(0, first), at);
    this.data.set(samples.subarray(first), 0);
    this.advance(samples.length);
  }

  /** Leave out `count` samples. */
  skip(count) {
    if (count <= 0) return;
    this.gaps.push([this.end, this.end + count]);
    this.advance(count);
  }

  advance(count) {
    this.end += count;
    this.start = Math.max(this.start, this.end - this.data.length);
    while (this.gaps.length && this.gaps[0][1] <= this.start) this.gaps.shift();
  }

  /** Return at most `limit` samples from index `position` on, and the index of the first. */
  read(position, limit) {
    let first = Math.max(position, this.start), end = Math.min(this.end, first + limit);
    for (const [from, to] of this.gaps) {
      if (first >= from && first < to) [first, end] = [to, Math.min(this.end, to + limit)];
      else if (from > first) end = Math.min(end, from);
    }
    const samples = new Float32Array(Math.max(0, end - first));
    for (let at = 0; at < samples.length;) {
      const from = (first + at) % this.data.length;
      const part = this.data.subarray(from, Math.min(this.data.length, from + samples.length - at));
      samples.set(part, at);
      at += part.length;
    }
    return { first, samples };
  }
}

/** Which windows have had their one result, and where a replay must begin. Positions in samples. */
export class AnsweredWindows {
  constructor({ hop, window, sampleRate, modelRate }) {
    Object.assign(this, { hop, window, next: 0, ahead: new Set() });
    // Only indices on whole samples of the model's rate give its resampler the same phase.
    this.step = sampleRate / gcd(sampleRate, modelRate);
    this.preRoll = sampleRate === modelRate ? 0 : Math.ceil(PRE_ROLL_S * sampleRate);
  }

  start(index) { return Math.round(index * this.hop); }

  /** Record a result; false if the window had one. */
  answer(startSample) {
    const index = Math.round(startSample / this.hop);
    if (index < this.next || this.ahead.has(index)) return false;
    this.ahead.add(index);
    this.advance();
    return true;
  }

  /** Record all windows within a range as dropped; return how many had no result. */
  drop(fromSample, toSample, whole = false) {
    // A gap also takes the windows that only touch it.
    const reach = whole ? this.window - 1 : 0;
    const first = Math.max(this.next, Math.ceil((fromSample - reach - 2) / this.hop));
    const last = Math.floor((toSample + reach + 2 - this.window) / this.hop);
    if (last < first) return 0;
    let count = last - first + 1;
    for (const index of this.ahead) if (index >= first && index <= last) count -= 1;
    if (first === this.next) this.skipTo(last + 1);
    else for (let index = first; index <= last; index++) this.ahead.add(index);
    return count;
  }

  /** First sample from which a replay gives the windows that are missing. */
  needed() {
    return Math.max(0, Math.floor((this.start(this.next) - this.preRoll) / this.step) * this.step);
  }

  /** Give up what needs sound before sample `available`; return how many windows that were. */
  giveUp(available) {
    if (this.needed() >= available) return 0;
    const first = Math.ceil(available / this.step) * this.step;
    const usable = Math.ceil((first + this.preRoll) / this.hop);
    let lost = usable - this.next;
    for (const index of this.ahead) if (index < usable) lost -= 1;
    this.skipTo(usable);
    return lost;
  }

  skipTo(index) {
    this.next = index;
    for (const each of this.ahead) if (each < index) this.ahead.delete(each);
    this.advance();
  }

  advance() {
    while (this.ahead.delete(this.next)) this.next += 1;
  }
}

/**
 * A live stream that outlives its connections.
 *
 * Dispatches CustomEvents, the message in `detail`: `ready`, `window`, `dropped`, `warning`,
 * `event`, `end` as in PROTOCOL.md, each window once; `state`: {state, reason, retryAt, attempt},
 * where state is connecting, open, waiting (until retryAt, milliseconds of Date.now), idle (nothing
 * was sent for long; the next sound reconnects) or closed; and `error`: a Problem, the last event.
 */
export class Stream extends EventTarget {
  #socket = null;
  #ring;
  #first;
  #answered = null;
  #position = 0;
  #replaying = false;
  #unanswered = 0;
  #finishing = false;
  #timer = 0;
  #pumping = 0;
  #heardEnd = null;

  /**
   * @param {object} options
   * @param {string} options.model name of the model
   * @param {number} options.sampleRate hertz, of what `send` is given
   * @param {string|URL} [options.url] of the server; this page's own without
   * @param {string} [options.version] of the model; the newest without
   * @param {number} [options.hop] seconds between windows
   * @param {string} [options.key] API key, sent as a subprotocol
   * @param {number} [options.firstSample] index of the first sample to come
   * @param {boolean} [options.events] ask for `event` messages
   * @param {string} [options.source] name of the source
   * @param {boolean} [options.publish] show the events to others, too, where the server can
   */
  constructor({ url = location.origin, key = "", firstSample = 0, ...options }) {
    super();
    this.options = options;
    this.#first = firstSample;
    this.api = new Api({ url, key });
    this.state = "connecting";
    this.ready = null;
    /** What came of the stream until now. */
    this.counts = { windows: 0, dropped: 0, reconnects: 0, samples: 0 };
    this.attempt = 0;
    this.#ring = new Ring(Math.round(RING_S * options.sampleRate), firstSample);
    this.#connect();
  }

  /** Send samples in [-1, 1]; `gap`: samples that were not captured before them. */
  send(samples, gap = 0) {
    if (this.state === "closed" || this.#finishing) return;
    this.#ring.skip(Math.round(gap));
    this.#ring.append(samples);
    this.counts.samples = this.#ring.end - this.#first;
    if (this.state === "idle") this.#connect();
    const silent = SILENT_S + (this.ready?.window ?? 2) + (this.ready?.hop ?? 1);
    if (this.state === "open" && this.#unanswered > silent * this.options.sampleRate) {
      this.#lost(this.#socket, "no answer comes any more");
    }
    this.#pump();
  }

  /** Sound of the last 30 s from sample `from` to `to`. */
  clip(from, to) { return this.#ring.read(from, to - from).samples; }

  /** No more sound: what is pending is answered, then `end` comes. */
  finish() {
    this.#finishing = true;
    this.#pump();
  }

  /** Try now instead of at the end of the wait. */
  retry() {
    if (this.state === "waiting") this.#connect();
  }

  /** Leave at once. */
  close() {
    if (this.state === "closed") return;
    const socket = this.#release();
    socket?.close(1000);
    this.#change("closed");
  }

  #emit(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }

  #change(state, detail = {}) {
    this.state = state;
    this.#emit("state", { state, attempt: this.attempt, ...detail });
  }

  #release() {
    clearTimeout(this.#timer);
    clearTimeout(this.#pumping);
    this.#timer = this.#pumping = 0;
    const socket = this.#socket;
    this.#socket = null;
    if (socket) socket.onopen = socket.onmessage = socket.onclose = null;
    return socket;
  }

  #connect() {
    this.#release();
    this.#heardEnd = null;
    this.#unanswered = 0;
    const { model, version } = this.options;
    const url = new URL(`/v1/models/${encodeURIComponent(model)}/stream`, this.api.url);
    url.protocol = url.protocol.replace("http", "ws");
    if (version) url.searchParams.set("version", version);
    const protocols = ["timbre"];
    if (this.api.key) protocols.push(`timbre.key.${this.api.key}`);
    this.#change("connecting");
    const socket = this.#socket = new WebSocket(url, protocols);
    this.#timer = setTimeout(() => this.#lost(socket, "the server does not answer"),
      OPEN_TIMEOUT_MS);
    socket.onopen = () => socket.send(JSON.stringify(this.#start()));
    socket.onmessage = ({ data }) => this.#receive(socket, JSON.parse(data));
    socket.onclose = (event) => this.#closed(socket, event);
  }

  /** The first message; afterwards it is known from where on sound is sent. */
  #start() {
    let first = this.#first;
    if (this.#answered) {
      // While the ring is full every new sample drops the oldest: keep a second of margin.
      const full = this.#ring.end - this.#ring.start === this.#ring.data.length;
      const margin = full ? this.options.sampleRate : 0;
      const from = this.#answered.start(this.#answered.next);
      const lost = this.#answered.giveUp(this.#ring.start + margin);
      if (lost) this.#tellDropped(lost, from, this.#answered.start(this.#answered.next), "client");
      first = this.#answered.needed();
    }
    this.#position = first;
    this.#replaying = first < this.#ring.end;
    const { sampleRate, hop, events, source, publish } = this.options;
    // Undefined fields are left out.
    return { type: "start", sample_rate: sampleRate, encoding: "pcm_f32le", numbered: true,
      first_sample: first, hop, events, source, publish };
  }

  #tellDropped(count, fromSample, toSample, reason) {
    this.counts.dropped += count;
    this.#emit("dropped",
      { type: "dropped", from_sample: fromSample, to_sample: toSample, reason, count });
  }

  #receive(socket, message) {
    this.#unanswered = 0;
    if (message.type === "ready") return this.#opened(message);
    if (message.type === "error") {
      return this.#reject(new Problem(message.code, message.detail || message.title));
    }
    if (message.type === "window") {
      if (!this.#answered.answer(message.start_sample)) return;
      this.counts.windows += 1;
      this.attempt = 0;
    } else if (message.type === "dropped") {
      const { from_sample: from, to_sample: to, reason } = message;
      const count = this.#answered.drop(from, to, reason === "gap");
      if (!count && reason !== "gap") return;
      this.#tellDropped(count, from, to, reason);
      return this.#pump();
    } else if (message.type === "end") {
      this.#heardEnd = message.reason;
      if (message.reason !== "client ended") return;
      this.#release();
      socket.close(1000);
      this.#emit("end", message);
      return this.#change("closed");
    }
    this.#emit(message.type, message);
    this.#pump();
  }

  #opened(ready) {
    clearTimeout(this.#timer);
    if (this.ready) this.counts.reconnects += 1;
    this.ready = ready;
    const ratio = this.options.sampleRate / ready.sample_rate;
    if (!this.#answered) {
      this.#answered = new AnsweredWindows({
        // Whole numbers at the model's rate; their seconds may have been rounded.
        hop: Math.round(ready.hop * ready.sample_rate) * ratio,
        window: Math.round(ready.window * ready.sample_rate) * ratio,
        sampleRate: this.options.sampleRate,
        modelRate: ready.sample_rate,
      });
      this.#answered.giveUp(this.#first);
    }
    this.#emit("ready", ready);
    this.#change("open");
    this.#pump();
  }

  #pump() {
    const socket = this.#socket;
    if (this.state !== "open" || socket?.readyState !== WebSocket.OPEN) return;
    clearTimeout(this.#pumping);
    const { end } = this.#ring;
    while (this.#position < end && socket.bufferedAmount < BUFFERED) {
      const { first, samples } = this.#ring.read(this.#position, this.#allowed());
      if (!samples.length) break;
      const frame = new ArrayBuffer(8 + 4 * samples.length);
      new DataView(frame).setBigUint64(0, BigInt(first), true);
      new Float32Array(frame, 8).set(samples);
      socket.send(frame);
      this.#position = first + samples.length;
      this.#unanswered += samples.length;
    }
    if (this.#position >= end) {
      this.#replaying = false;
      if (this.#finishing) {
        this.#finishing = false;
        socket.send('{"type":"end"}');
      }
    } else if (socket.bufferedAmount >= BUFFERED) {
      this.#pumping = setTimeout(() => this.#pump(), 50);
    }
  }

  #allowed() {
    const limit = Math.round(FRAME_S * this.options.sampleRate);
    if (!this.#replaying) return limit;
    const { next, window } = this.#answered;
    const reach = this.#answered.start(next + REPLAY_AHEAD) + Math.ceil(window) - this.#position;
    return Math.max(0, Math.min(limit, reach));
  }

  async #closed(socket, { code }) {
    if (socket !== this.#socket) return;
    if (this.#heardEnd === "idle") {
      this.#release();
      return this.#change("idle");
    }
    if (this.state !== "connecting") {
      const leaves = code === 1001 || this.#heardEnd === "server leaves";
      return this.#lost(socket, leaves ? "the server leaves" : "the connection was lost");
    }
    // Browsers do not tell why a socket was refused: the same question over HTTP does.
    const error = await this.api.model(this.options.model).then(() => null, (each) => each);
    if (socket !== this.#socket) return;
    this.#reject(error ?? new Problem("busy", "the server opens no stream now"));
  }

  #reject(problem) {
    if (problem.code === "unreachable" || RETRIED.includes(problem.code)) {
      return this.#lost(this.#socket, problem.message, problem);
    }
    this.#release()?.close(1000);
    this.#change("closed", { reason: problem.message, code: problem.code });
    this.#emit("error", problem);
  }

  #lost(socket, reason, { code = "unreachable", retryAfter = 0 } = {}) {
    if (socket !== this.#socket) return;
    this.#release()?.close();
    const doubled = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.attempt);
    const wait = Math.max(doubled * (0.5 + Math.random() / 2), 1e3 * retryAfter);
    this.attempt += 1;
    this.#timer = setTimeout(() => this.#connect(), wait);
    this.#change("waiting", { reason, code, retryAt: Date.now() + wait });
  }
}

/**
 * Sound as it is captured: `onsamples(samples, gap)` gets Float32Arrays of one channel.
 *
 * `onstate(state)`: running, paused, muted, interrupted, unplugged or ended. `processing`: what the
 * browser does to the sound although it was asked not to, or does not tell ("echoCancellation",
 * "noiseSuppression", "autoGainControl").
 */
export class Source {
  #captured = 0;
  #anchor = Infinity;

  constructor(name, audio, { processing = [], settings = {}, element = null, track = null } = {}) {
    Object.assign(this, { name, audio, processing, settings, element, track });
    this.sampleRate = audio.sampleRate;
    this.state = "running";
    this.onsamples = this.onstate = () => {};
  }

  /** Take sound from an audio node. */
  async connect(node) {
    await this.audio.audioWorklet.addModule(new URL("capture.js", import.meta.url));
    this.capture = new AudioWorkletNode(this.audio, "timbre-capture", {
      numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    this.capture.port.onmessage = ({ data }) => this.#take(data);
    node.connect(this.capture);
    this.audio.onstatechange = () => {
      if (["suspended", "interrupted"].includes(this.audio.state) && this.state === "running") {
        this.change("interrupted");
      } else if (this.audio.state === "running" && this.state === "interrupted") {
        this.change("running");
      }
    };
  }

  #take({ samples, time }) {
    if (this.state === "paused" || this.state === "ended") return;
    if (this.element && !this.element.played.length) return;
    let gap = 0;
    this.#captured += samples.length;
    const ahead = time - (1e3 * this.#captured) / this.sampleRate;
    if (this.track && ahead - this.#anchor > 1e3 * GAP_S) {
      gap = Math.round(((ahead - this.#anchor) / 1e3) * this.sampleRate);
      this.#captured += gap;
    } else {
      // Clocks drift: the smallest difference is forgotten by a thousandth of the time.
      this.#anchor = Math.min(ahead, this.#anchor + samples.length / this.sampleRate);
    }
    this.onsamples(samples, gap);
  }

  change(state) {
    if (state === this.state || this.state === "ended") return;
    this.state = state;
    this.onstate(state);
  }

  async pause() {
    this.change("paused");
    this.element?.pause();
    await this.audio.suspend();
  }

  async resume() {
    await this.audio.resume();
    this.#anchor = Infinity;
    await this.element?.play();
    this.change("running");
  }

  /** Give the device back. */
  async close() {
    this.onsamples = this.onstate = () => {};
    this.state = "ended";
    this.track?.stop();
    if (this.element) {
      this.element.pause();
      URL.revokeObjectURL(this.element.src);
      this.element.removeAttribute("src");
    }
    if (this.audio.state !== "closed") await this.audio.close();
  }
}

/**
 * Open a microphone, as raw as the browser gives it, at the rate of the device.
 * @param {{deviceId?: string}} options deviceId: as of `enumerateDevices`; the default one without
 * @returns {Promise<Source>} rejects with a SourceError
 */
export async function microphone({ deviceId } = {}) {
  if (!navigator.mediaDevices?.getUserMedia || !globalThis.AudioWorkletNode) {
    throw new SourceError(isSecureContext ? "unreadable" : "insecure", isSecureContext
      ? "this browser gives pages no microphone"
      : "browsers give the microphone to secure pages only: open this page as https:// or, on the "
        + "machine itself, as http://127.0.0.1");
  }
  // Plain booleans: with `exact`, a device that cannot do without would be refused.
  const audio = Object.fromEntries(PROCESSING.map((name) => [name, false]));
  if (deviceId) audio.deviceId = { exact: deviceId };
  const media = await navigator.mediaDevices.getUserMedia({ audio }).catch((error) => {
    throw new SourceError(...(REFUSALS[error.name] ?? ["unreadable", String(error)]), error);
  });
  const [track] = media.getAudioTracks();
  const settings = track.getSettings();
  const rate = settings.sampleRate
    ? { sampleRate: Math.min(RATES[1], Math.max(RATES[0], settings.sampleRate)) } : {};
  const context = new AudioContext(rate);
  const processing = PROCESSING.filter((name) => settings[name] !== false);
  const source = new Source(track.label || "microphone", context, { processing, settings, track });
  track.onended = () => source.change("unplugged");
  track.onmute = () => source.change("muted");
  track.onunmute = () => source.change("running");
  return started(source, context.createMediaStreamSource(media));
}

const REFUSALS = {
  NotAllowedError: ["refused", "the browser or the person refused the microphone"],
  SecurityError: ["refused", "the browser refused the microphone"],
  NotFoundError: ["no-device", "there is no microphone"],
  OverconstrainedError: ["no-device", "that microphone is not there any more"],
  NotReadableError: ["in-use", "the microphone cannot be opened; another program may use it"],
  AbortError: ["in-use", "the microphone could not be started"],
};

/**
 * Play a sound file, and take its sound in step.
 * @param {Blob|string} file or the URL of one
 * @param {{name?: string, audible?: boolean}} options
 * @returns {Promise<Source>} rejects with a SourceError where the browser cannot decode it
 */
export async function soundFile(file, { name = file.name ?? "sound", audible = true } = {}) {
  const element = new Audio();
  element.src = typeof file === "string" ? file : URL.createObjectURL(file);
  const context = new AudioContext();
  const source = new Source(name, context, { element });
  const failed = new Promise((_, reject) => {
    element.onerror = () => reject(new SourceError("unreadable",
      `the browser cannot play ${name}; the command "timbre listen" reads more kinds of files`));
  });
  const node = context.createMediaElementSource(element);
  if (audible) node.connect(context.destination);
  // Its last block is still on its way.
  element.onended = () => setTimeout(() => source.change("ended"), 200);
  try {
    await Promise.race([started(source, node), failed]);
    await Promise.race([element.play(), failed]);
  } catch (error) {
    await source.close();
    if (error instanceof SourceError) throw error;
    if (error.name !== "NotAllowedError") return failed;
    throw new SourceError("blocked", "browsers play sound only after a press of a button", error);
  }
  element.onerror = () => source.change("ended");
  return source;
}

async function started(source, node) {
  try {
    await source.connect(node);
    // Without a gesture of the person this waits; sound that does not come shows it.
    source.audio.resume().catch(() => {});
  } catch (error) {
    await source.close();
    throw new SourceError("unreadable", `the sound cannot be captured: ${error.message}`, error);
  }
  return source;
}

function gcd(a, b) { return b ? gcd(b, a % b) : a; }

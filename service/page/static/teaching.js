// What Teach and Listen share: may this page teach, sound as WAV, clips to a collection and back.
import { readInk } from "./dom.js";
import { Columns } from "./signal.js";
import { Spectrogram } from "./spectrogram.js";
import { Problem } from "./timbre.js";

/** Label of clips on which nothing of interest sounds. */
export const NOTHING = "nothing";
const SHOWN_S = 10;

/**
 * May this page teach? {state, words}; state: on, off (no folder for it), key (one with the scope
 * is needed), refused (by the server, whatever the key) or gone.
 */
export async function access(api) {
  try {
    await api.request("/v1/collections");
    return { state: "on", words: "" };
  } catch ({ status, message }) {
    if (status === 404) return { state: "off", words: message };
    if (status === 401 || (status === 403 && api.key)) return { state: "key", words: message };
    return { state: status === 403 ? "refused" : "gone", words: message };
  }
}

/** Path of a collection, of a label in it, of a clip of that. */
export const pathOf = (...names) =>
  ["/v1/collections", ...names.map(encodeURIComponent)].join("/");

/** Store a clip; returns {id, label, source, collection}. Bounds and refusals are Problems. */
export function store(api, { collection, label, source, body, model, version }) {
  const query = new URLSearchParams({ source });
  if (model) query.set("model", model);
  if (version) query.set("version", version);
  return api.request(`${pathOf(collection, label)}?${query}`, { method: "POST",
    body: body.slice(0, body.size, "application/octet-stream") });
}

/** A file of the API, with its type. */
export async function fetchFile(api, path, { signal } = {}) {
  const headers = api.key ? { Authorization: `Bearer ${api.key}` } : {};
  const response = await fetch(new URL(path, api.url), { headers, signal });
  if (!response.ok) throw new Problem(`http-${response.status}`, "it is not there any more");
  return response.blob();
}

/** Samples in [-1, 1] of one channel as a WAV file of 16 bits. */
export function wav(samples, sampleRate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, word) => [...word].forEach((c, n) => view.setUint8(at + n, c.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, 2 * sampleRate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((x, n) => view.setInt16(44 + 2 * n,
    Math.round(32767 * Math.max(-1, Math.min(1, x))), true));
  return new Blob([view.buffer], { type: "audio/wav" });
}

/** Draw all of a sound file, its first seconds at least; rejects where it cannot be decoded. */
export async function drawSound(canvas, blob) {
  readInk();
  const decoder = new OfflineAudioContext(1, 1, 22_050);
  const sound = await decoder.decodeAudioData(await blob.arrayBuffer());
  const samples = sound.getChannelData(0).subarray(0, SHOWN_S * sound.sampleRate);
  const seconds = samples.length / sound.sampleRate;
  const columns = new Columns(sound.sampleRate, Math.max(1, Math.ceil(seconds)));
  columns.feed(samples);
  new Spectrogram(canvas).draw(columns, seconds, seconds);
  return sound.duration;
}

/** A name as collections and sources take it. */
export const plain = (text) => text.trim().normalize("NFKD").replace(/[^\w.-]+/g, "-")
  .replace(/^[-.]+|[-.]+$/g, "").slice(0, 64);

/** Today as the source of what is heard by this page. */
export const today = () => `page-${new Date().toISOString().slice(0, 10)}`;

// Draws one lane for each label: its scores, its threshold, its events, and what was not heard.
import { colourOf, ink } from "./dom.js";

/** Height of a lane in CSS pixels: few lanes are taller. */
export const laneHeight = (count) => Math.max(30, Math.min(72, Math.floor(330 / count)));

/** Scores of the last windows, in fixed memory. */
export class Scores {
  constructor(labels, capacity) {
    this.labels = labels;
    this.capacity = capacity;
    this.scores = new Float32Array(capacity * labels.length);
    this.middles = new Float64Array(capacity);
    this.count = 0;
    this.hop = 0.5;
  }

  get first() { return Math.max(0, this.count - this.capacity); }

  add({ start, end, scores }, hop) {
    const slot = this.count % this.capacity;
    this.hop = hop;
    this.middles[slot] = (start + end) / 2;
    this.labels.forEach(({ name }, n) => {
      this.scores[slot * this.labels.length + n] = scores[name] ?? 0;
    });
    this.count += 1;
  }

  middle(index) { return this.middles[index % this.capacity]; }

  score(index, label) { return this.scores[(index % this.capacity) * this.labels.length + label]; }

  /** Number of the first window whose middle is not before a time. Windows come in order. */
  from(seconds) {
    let low = this.first, high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.middle(middle) < seconds) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Number of the window that counts for a time; -1 without one. */
  at(seconds) {
    const index = this.from(seconds - this.hop / 2);
    const near = index < this.count && Math.abs(this.middle(index) - seconds) <= this.hop;
    return near ? index : -1;
  }
}

/** What one lane tells at a time: the score, and by how much it is over or under. */
export function told({ name, threshold }, score) {
  const by = Math.abs(score - threshold).toFixed(2);
  const side = score >= threshold ? `${by} over` : `${by} under`;
  return `${name} ${score.toFixed(2)}, ${side} its threshold ${threshold.toFixed(2)}`;
}

/** Draw the lanes between `top` and the height of the canvas (CSS pixels of the whole list). */
export function drawLanes(context, { scores, events, spans, end, span, top, cursor, rows,
  rowOf, tall }) {
  const { width, height } = context.canvas, scale = context.canvas.ratio, lane = tall * scale;
  context.fillStyle = ink.paper;
  context.fillRect(0, 0, width, height);
  const x = (seconds) => ((seconds - end + span) / span) * width;
  const from = scores.from(end - span - scores.hop), to = scores.count;
  const firstRow = Math.max(0, Math.floor(top / tall));
  const lastRow = Math.min(rows.length - 1, Math.floor((top + height / scale) / tall));
  for (let row = firstRow; row <= lastRow; row++) {
    const y = row * lane - top * scale, label = rows[row];
    drawLane(context, { scores, label, from, to, x, y, lane, scale, width, end });
  }
  drawSpans(context, { spans, x, height, scale });
  for (const event of events) {
    if (event.end < end - span || event.start > end) continue;
    const row = rowOf.get(event.label);
    if (row < firstRow || row > lastRow) continue;
    const left = x(event.start), right = Math.min(x(event.end), width);
    context.fillStyle = colourOf(rows[row]);
    context.fillRect(left, row * lane - top * scale + 3 * scale, Math.max(scale, right - left),
      3 * scale);
  }
  if (cursor !== null) {
    context.fillStyle = ink.ink;
    context.fillRect(Math.round(x(cursor)), 0, scale, height);
  }
}

function drawLane(context, { scores, label, from, to, x, y, lane, scale, width, end }) {
  const { threshold } = scores.labels[label];
  const floor = y + lane - 3 * scale, tall = lane - 11 * scale;
  context.fillStyle = ink.line;
  context.fillRect(0, Math.round(y + lane - scale), width, scale);
  const over = new Path2D(), under = new Path2D();
  for (let index = from; index < to; index++) {
    const middle = scores.middle(index);
    if (middle - scores.hop > end) break;
    const left = x(middle - scores.hop / 2), right = x(middle + scores.hop / 2);
    const score = scores.score(index, label);
    const high = Math.max(score > 0.005 ? scale : 0, score * tall);
    (score >= threshold ? over : under).rect(left, floor - high, right - left + 0.5, high);
  }
  context.fillStyle = colourOf(label);
  context.globalAlpha = 0.3;
  context.fill(under);
  context.globalAlpha = 1;
  context.fill(over);
  context.strokeStyle = ink.muted;
  context.lineWidth = scale;
  context.setLineDash([3 * scale, 3 * scale]);
  context.beginPath();
  const line = Math.round(floor - threshold * tall) + 0.5;
  context.moveTo(0, line);
  context.lineTo(width, line);
  context.stroke();
  context.setLineDash([]);
}

/** Hatch what was dropped or never captured, over all lanes. */
function drawSpans(context, { spans, x, height, scale }) {
  for (const { start, end } of spans) {
    const left = x(start), right = x(end);
    if (right < 0 || left > context.canvas.width) continue;
    context.save();
    context.beginPath();
    context.rect(left, 0, Math.max(scale, right - left), height);
    context.clip();
    context.fillStyle = ink.raised;
    context.globalAlpha = 0.8;
    context.fill();
    context.globalAlpha = 1;
    context.strokeStyle = ink.muted;
    context.lineWidth = scale;
    context.beginPath();
    const begin = Math.max(left, 0) - height, stop = Math.min(right, context.canvas.width);
    for (let at = begin; at < stop; at += 8 * scale) {
      context.moveTo(at, height);
      context.lineTo(at + height, 0);
    }
    context.stroke();
    context.restore();
  }
}

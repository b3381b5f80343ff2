// Runs in the audio thread: gathers what comes in, and passes it on with the time.
class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.size = 128 * Math.ceil((0.04 * sampleRate) / 128);
    this.block = new Float32Array(this.size);
    this.filled = 0;
  }

  process([[samples]]) {
    if (!samples) return true;
    this.block.set(samples, this.filled);
    this.filled += samples.length;
    if (this.filled === this.size) {
      // The time is taken here, where nothing of the page can delay it.
      this.port.postMessage({ samples: this.block, time: Date.now() }, [this.block.buffer]);
      this.block = new Float32Array(this.size);
      this.filled = 0;
    }
    return true;
  }
}

registerProcessor("timbre-capture", Capture);

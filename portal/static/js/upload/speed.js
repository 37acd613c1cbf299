// How fast bytes go, over the last seconds.

const WINDOW_MS = 8000;
const STEP_MS = 200;
/** Earlier than this nothing is said: the first bytes only fill buffers. */
const SETTLED_MS = 1500;
/** After so long a pause it begins anew. */
const PAUSE_MS = 3000;

export class Speed {
  #samples = [];
  #total = 0;

  /** Note that `bytes` more have gone. */
  moved(bytes) {
    const now = performance.now();
    this.#total += bytes;
    let last = this.#samples.at(-1);
    if (last && now - last.at > PAUSE_MS) {
      this.#samples = [];
      last = null;
    }
    if (!last || now - last.at >= STEP_MS) this.#samples.push({ at: now, total: this.#total });
    while (this.#samples.length > 2 && now - this.#samples[0].at > WINDOW_MS) this.#samples.shift();
  }

  /** Bytes a second; 0 while that is not known, or nothing moves. */
  get perSecond() {
    const first = this.#samples[0];
    const passed = first ? performance.now() - first.at : 0;
    return passed < SETTLED_MS ? 0 : ((this.#total - first.total) / passed) * 1000;
  }
}

// What to do while the connection, the server or the sign-in is away: wait, look, go on.

import { check } from "./session.js";

const SHORTEST_SECONDS = 1;
const LONGEST_SECONDS = 10;

/** Seconds to wait before the next look: longer each time, never the same for two browsers. */
function pause(tries) {
  const most = Math.min(LONGEST_SECONDS, SHORTEST_SECONDS * 2 ** (tries - 1));
  return most * (0.5 + Math.random() / 2);
}

/** Waits out what is in the way of all uploads; `changed()` tells that it came or went. */
export class Hold {
  /** "", or what is in the way: "lost", "busy", "token", "signed-out", "somebody-else". */
  reason = "";
  #tries = 0;
  #timer = 0;
  #looking = false;
  #changed;

  constructor(changed) {
    this.#changed = changed;
    const look = () => this.reason && this.reason !== "busy" && this.#look();
    addEventListener("online", look);
    addEventListener("focus", look);
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && look());
  }

  /** Something failed for `reason`; look again after a pause, at least of `seconds`. */
  struck(reason, seconds = 0) {
    // What was under way when it began fails a little later: once is enough.
    if (this.#timer || this.#looking) return;
    this.#tries += 1;
    this.reason = reason;
    const wait = reason === "token" && this.#tries === 1 ? 0 : Math.max(pause(this.#tries), seconds);
    this.#timer = setTimeout(() => this.#look(), wait * 1000);
    this.#changed();
  }

  /** Something worked: the next failure is a first one again. */
  worked() {
    if (!this.reason) this.#tries = 0;
  }

  async #look() {
    if (this.#looking) return;
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#looking = true;
    const found = await check();
    this.#looking = false;
    if (found !== "ok") return this.struck(found);
    this.reason = "";
    this.#changed();
  }
}

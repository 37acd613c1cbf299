// The order of things: which file goes when, and what becomes of it.
//
// waiting -> sending -> done, failed or skipped; on the way also paused, or asking (its name is
// taken, and its person has to say what is wanted).

import { Hold } from "./retry.js";
import { Speed } from "./speed.js";
import { SMALL, carry, startOver } from "./transfer.js";
import { Stopped, terminate } from "./tus.js";

// Browsers open six connections to a server without HTTP/2. One is left for the page itself.
const AT_ONCE = 5;
const LARGE_AT_ONCE = 2;

/** Files chosen or dropped together, and where they go. */
export class Batch {
  constructor({ owner = "", folder = "", note = "", document = "", mostBytes = Infinity, rules = "" }) {
    /** `document` is the one that gets a new version; then the others say nothing. */
    Object.assign(this, { owner, folder, note, document, mostBytes, rules });
    /** What was decided for the rest: about documents that were there, and about each other. */
    this.answers = { there: "", twin: "" };
    /** The documents it has become, and how many of its files have which name. */
    this.documents = new Set();
    this.names = new Map();
  }
}

class Task {
  state = "waiting";
  loaded = 0;
  why = "";
  isFinal = false;
  /** Where its upload is, once it was announced; and by which number it is remembered. */
  address = "";
  key = "";
  release = null;
  /** What the server is to do if the name is taken. */
  sameName = "refuse";
  about = "there";
  /** Whether it may be there already, because an answer was lost. */
  isUncertain = false;
  tries = 0;
  speed = null;

  constructor(batch, file, path) {
    Object.assign(this, { batch, file, path, name: file.name, size: file.size });
    // The versions of a document come one after the other, whatever the files are called.
    const way = batch.document ? [batch.document] : [batch.owner, batch.folder, path, file.name.normalize("NFC")];
    this.place = JSON.stringify(way);
  }

  get isLarge() {
    return this.size > SMALL;
  }

  get isUnfinished() {
    return !["done", "failed", "skipped"].includes(this.state);
  }
}

/** Every file to be seen, in the order of its coming. */
export const tasks = new Set();
export const speed = new Speed();
export const hold = new Hold(() => {
  notify(null);
  next();
});

const counts = { waiting: 0, sending: 0, paused: 0, asking: 0, done: 0, failed: 0, skipped: 0 };
const bytes = { all: 0, loaded: 0 };
const lanes = new Set();
let latest = null;
let small = [];
let large = [];
/** By place: the file that goes there now, and those that wait for it. */
const places = new Map();
const watchers = [];

/** Be told of every change, with the task concerned or null. */
export function watch(told) {
  watchers.push(told);
}

function notify(task) {
  for (const told of watchers) told(task);
}

export const totals = () => ({ ...counts, going: going(), bytes: bytes.all, loaded: bytes.loaded });

export const going = () => counts.waiting + counts.sending + counts.paused + counts.asking;

// -- What people do ------------------------------------------------------------------------

/** Take files, each `{ file, path }`, on their way; may be called again for the same batch. */
export function add(batch, files) {
  if (batch !== latest && !going()) clear(["done", "skipped"]);
  latest = batch;
  for (const { file, path, why } of files) {
    const task = new Task(batch, file, path);
    tasks.add(task);
    account(task, 1);
    batch.names.set(task.place, (batch.names.get(task.place) ?? 0) + 1);
    if (why) become(task, "failed", { why, isFinal: true });
    else if (file.size > batch.mostBytes) {
      become(task, "failed", { why: `This file is too large. ${batch.rules}`, isFinal: true });
    } else put(task);
    notify(task);
  }
  next();
}

export function pause(which) {
  for (const task of which) {
    if (task.state !== "waiting" && task.state !== "sending") continue;
    become(task, "paused");
    task.stopper?.abort();
  }
}

export function resume(which) {
  for (const task of [...which].reverse()) if (task.state === "paused") put(task, true);
  next();
}

export function retry(task) {
  if (task.state !== "failed") return;
  task.tries = 0;
  put(task);
  next();
}

/** Give up what is unfinished; of nothing that was not stored anything stays. */
export function cancel(which) {
  for (const task of which) {
    if (!task.isUnfinished) continue;
    remove(task);
    task.state = "cancelled";
    task.stopper?.abort();
    if (!lanes.has(task)) giveUp(task);
    settle(task);
  }
  next();
}

/** Take lines away whose file needs nothing any more. */
export function clear(states) {
  for (const task of tasks) if (states.includes(task.state)) dismiss(task);
}

export function dismiss(task) {
  if (task.isUnfinished) return;
  remove(task);
  if (task.state === "failed") giveUp(task);
}

/** Say what becomes of a file whose name is taken: "new-version", "keep-both" or "skip". */
export function decide(task, choice, isForRest) {
  const { batch, about } = task;
  if (isForRest) batch.answers[about] = choice;
  for (const other of isForRest ? [...tasks] : [task]) {
    if (other.state === "asking" && other.batch === batch && other.about === about) apply(other, choice);
  }
  next();
}

// -- What happens by itself ----------------------------------------------------------------

function put(task, isFirst = false) {
  become(task, "waiting", { why: "" });
  const line = task.isLarge ? large : small;
  if (isFirst) line.unshift(task);
  else line.push(task);
}

function next() {
  while (!hold.reason && lanes.size < AT_ONCE) {
    const task = pick();
    if (!task) return;
    run(task);
  }
}

function pick() {
  let largeNow = 0;
  for (const task of lanes) largeNow += task.isLarge;
  return (largeNow < LARGE_AT_ONCE && from(large)) || from(small);
}

/** The first that may go now. One that has been paused or cancelled meanwhile is passed over. */
function from(line) {
  while (line.length) {
    const task = line.shift();
    if (task.state !== "waiting" || !tasks.has(task) || lanes.has(task)) continue;
    const there = places.get(task.place);
    if (there && there.first !== task) {
      // Two of the same name at once could not know of each other.
      there.after.push(task);
      continue;
    }
    if (!there) places.set(task.place, { first: task, after: [] });
    return task;
  }
  return null;
}

async function run(task) {
  lanes.add(task);
  task.stopper = new AbortController();
  if (task.isLarge) task.speed ??= new Speed();
  task.sameName = wish(task);
  become(task, "sending");
  let outcome = { kind: "stopped" };
  try {
    outcome = await carry(task, task.stopper.signal, {
      at: (offset) => moved(task, offset),
      sent: (loaded) => {
        measure(task, loaded - task.loaded);
        moved(task, loaded);
      },
      landed: (offset) => {
        hold.worked();
        moved(task, offset);
      },
    });
  } catch (error) {
    if (!(error instanceof Stopped)) {
      outcome = { kind: "refused", why: "This browser could not send the file. Try again in a moment." };
      reportError(error);
    }
  }
  lanes.delete(task);
  if (task.state === "sending") conclude(task, outcome);
  else if (task.state === "cancelled") giveUp(task);
  else if (task.state === "waiting") put(task, true); // stopped, and resumed before it had ended
  next();
}

/** What was decided about the name. For two of one name, each has to be asked about. */
function wish(task) {
  if (task.sameName !== "refuse") return task.sameName;
  const { answers, names } = task.batch;
  const isAlone = names.get(task.place) === 1;
  return isAlone && answers.there && answers.there !== "skip" ? answers.there : "refuse";
}

function conclude(task, { kind, document = "", taken = "", why = "", isFinal = false, seconds = 0 }) {
  if (kind === "stored") {
    hold.worked();
    task.batch.documents.add(document);
    become(task, "done", { loaded: task.size, document });
    settle(task);
  } else if (kind === "same-name") {
    hold.worked();
    task.about = task.batch.documents.has(taken) ? "twin" : "there";
    const choice = task.batch.answers[task.about];
    if (choice) apply(task, choice);
    else become(task, "asking", { loaded: 0 });
  } else if (kind === "refused") {
    hold.worked();
    become(task, "failed", { why, isFinal, loaded: 0 });
    if (isFinal) giveUp(task);
    settle(task);
  } else {
    put(task, true);
    hold.struck(kind, seconds);
  }
}

function apply(task, choice) {
  if (choice === "skip") {
    become(task, "skipped");
    settle(task);
  } else {
    task.sameName = choice;
    put(task, true);
  }
}

/** It needs its place no more, nor does this tab its file. */
function settle(task) {
  task.release?.();
  task.release = null;
  const there = places.get(task.place);
  if (there?.first !== task) return;
  places.delete(task.place);
  for (const other of there.after) (other.isLarge ? large : small).unshift(other);
}

function remove(task) {
  account(task, -1);
  tasks.delete(task);
  notify(task);
}

function giveUp(task) {
  const { address } = task;
  startOver(task);
  if (address) discard(address);
}

/** Take an upload off the server; what cannot be told now, the server forgets by itself. */
async function discard(address) {
  for (let tries = 1; tries <= 5; tries += 1) {
    try {
      const { status } = await terminate(address);
      // A request that is still dying may hold it for a moment.
      if (status < 500 && status !== 409 && status !== 423) return;
    } catch {
      // Again in a moment.
    }
    await new Promise((resolve) => {
      setTimeout(resolve, tries * 1000);
    });
  }
}

// -- Counting ------------------------------------------------------------------------------

function moved(task, loaded) {
  if (task.state !== "sending") return;
  account(task, -1);
  task.loaded = loaded;
  account(task, 1);
  notify(task);
}

function measure(task, more) {
  if (more <= 0) return;
  speed.moved(more);
  task.speed?.moved(more);
}

function become(task, state, facts = {}) {
  account(task, -1);
  Object.assign(task, facts, { state });
  account(task, 1);
  notify(task);
}

function account(task, sign) {
  counts[task.state] += sign;
  if (task.state === "failed" || task.state === "skipped") return;
  bytes.all += sign * task.size;
  bytes.loaded += sign * task.loaded;
}

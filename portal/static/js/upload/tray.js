// What is seen of uploads: a tray with a line for each file, and the whole in its title.
//
// However many files there are: a line is filled when it comes into sight, and what has changed is
// drawn once a frame.

import { announce } from "../enhance.js";
import { count, filesize, timeLeft } from "../words.js";
import { el, iconButton, name, wordButton } from "./nodes.js";
import * as queue from "./queue.js";

/** Figures that change too often cannot be read. */
const FIGURES_MS = 500;
/** What is said to a screen reader is said at most so often, and progress much less. */
const SAY_MS = 1000;
const PROGRESS_MS = 20_000;

const IN_THE_WAY = {
  lost: "Waiting for the connection. It goes on by itself.",
  busy: "The portal is busy. It goes on by itself.",
  token: "One moment.",
  "signed-out": "You are signed out. Sign in again in another tab, and it goes on.",
  "somebody-else": "Somebody else is signed in here now. Sign in as yourself in another tab to go on.",
};

const lines = new Map();
const changed = new Set();
let parts;
let isDue = false;
let figuresAt = 0;
/** Lines that stand in the wrong place. */
const displaced = new Set();
let decideLater = () => {};

/** Show what the queue does; `again(task)` asks a question anew that was put off. */
export function show(again) {
  decideLater = again;
  queue.watch(changes);
}

function changes(task) {
  if (task) changed.add(task);
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(drawChanged);
}

function drawChanged() {
  isDue = false;
  if (!parts) build();
  const hadFocus = parts.node.contains(document.activeElement);
  const fresh = [];
  for (const task of changed) {
    const line = lines.get(task);
    if (!queue.tasks.has(task)) {
      line?.remove();
      lines.delete(task);
    } else if (line) draw(task);
    else fresh.push(addLine(task));
  }
  changed.clear();
  parts.list.append(...fresh);
  if (displaced.size) reorder();
  drawWhole();
  // A tray that goes while the keyboard is in it must not leave the focus nowhere.
  if (hadFocus && parts.node.hidden) document.getElementById("content")?.focus();
}

// -- The tray ------------------------------------------------------------------------------

let sight;

function build() {
  const fold = iconButton("chevron-down", "Fold the list of uploads", () => {
    const isFolded = node.toggleAttribute("data-folded");
    fold.setAttribute("aria-expanded", String(!isFolded));
  });
  fold.setAttribute("aria-expanded", "true");
  fold.classList.add("tray-fold");
  const close = iconButton("x-lg", "Close the list of uploads", () => queue.clear(["done", "failed", "skipped"]));
  const title = el("strong");
  const detail = el("span");
  const whole = el("progress", "tray-whole");
  whole.max = 1;
  whole.setAttribute("aria-label", "All uploads");
  const pause = wordButton("Pause all", "btn-quiet btn-small", () => toggleAll(queue.pause));
  const resume = wordButton("Resume all", "btn-quiet btn-small", () => toggleAll(queue.resume));
  const cancel = wordButton("Cancel all", "btn-quiet btn-small", cancelAll);
  const all = el("div", "tray-all", pause, resume, cancel);
  const list = el("ul", "tray-list");
  // The list scrolls, so the keyboard must be able to reach it.
  list.tabIndex = 0;
  list.setAttribute("aria-label", "Files");
  const head = el("div", "tray-head", el("div", "tray-title", title, detail), fold, close);
  const node = el("section", "tray", head, whole, all, list);
  node.setAttribute("aria-label", "Uploads");
  list.addEventListener("pointerleave", () => changes());
  list.addEventListener("focusout", () => changes());
  // Before the content, so that the keyboard need not pass through a long list to come here.
  document.querySelector(".frame").before(node);
  sight = new IntersectionObserver(seen, { root: list, rootMargin: "200px" });
  parts = { node, title, detail, whole, all, pause, resume, cancel, list, close };
}

function toggleAll(act) {
  act(queue.tasks);
  drawWhole();
  (parts.pause.hidden ? parts.resume : parts.pause).focus();
}

function cancelAll() {
  const going = queue.going();
  queue.cancel(queue.tasks);
  say(`${count(going, "upload was", "uploads were")} cancelled.`);
}

function drawWhole() {
  const totals = queue.totals();
  const { going } = totals;
  const isEmpty = queue.tasks.size === 0;
  parts.node.hidden = isEmpty;
  document.body.classList.toggle("has-tray", !isEmpty);
  parts.close.hidden = going > 0;
  parts.whole.hidden = going === totals.asking;
  parts.all.hidden = going < 2;
  parts.pause.hidden = totals.waiting + totals.sending === 0;
  parts.resume.hidden = totals.paused === 0;
  parts.title.textContent = heading(totals);
  parts.whole.value = totals.bytes ? totals.loaded / totals.bytes : 0;
  drawFigures(totals);
  narrate(totals);
}

function heading(totals) {
  const { going, paused, asking } = totals;
  if (!going) return summary(totals);
  if (paused === going) return `${count(paused, "file", "files")} paused`;
  if (paused + asking === going) return `${count(asking, "file needs", "files need")} a decision`;
  return `Uploading ${count(going, "file", "files")}`;
}

function drawFigures({ going, waiting, sending, asking, bytes, loaded }) {
  parts.detail.hidden = going === asking;
  if (going === asking) return;
  const { reason } = queue.hold;
  const now = performance.now();
  parts.detail.classList.toggle("is-trouble", Boolean(reason));
  if (reason) parts.detail.textContent = IN_THE_WAY[reason];
  else if (now - figuresAt > FIGURES_MS || !parts.detail.textContent) {
    figuresAt = now;
    const words = [`${filesize(loaded)} of ${filesize(bytes)}`];
    const perSecond = waiting + sending ? queue.speed.perSecond : 0;
    if (perSecond) words.push(`${filesize(Math.round(perSecond))}/s`, timeLeft((bytes - loaded) / perSecond));
    parts.detail.textContent = words.join(" · ");
  }
  if (reason) figuresAt = 0;
}

function summary({ done, failed, skipped }) {
  if (done && failed) return `${done} uploaded, ${failed} not`;
  if (failed) return `${count(failed, "file was", "files were")} not uploaded`;
  if (skipped && !done) return `${count(skipped, "file", "files")} skipped`;
  if (skipped) return `${done} uploaded, ${skipped} skipped`;
  return `${count(done, "file", "files")} uploaded`;
}

// -- A line --------------------------------------------------------------------------------

/** A line not yet in sight: only its place and its name. */
function addLine(task) {
  const line = el("li", "", task.name);
  line.task = task;
  lines.set(task, line);
  sight.observe(line);
  if (RANK[task.state] !== undefined) displaced.add(line);
  return line;
}

function seen(entries) {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    sight.unobserve(target);
    fill(target);
  }
}

function fill(line) {
  const { task } = line;
  const title = el("div", "tray-name", el("bdi", "", task.name));
  title.title = task.path ? `${task.path}/${task.name}` : task.name;
  if (task.path) title.append(el("span", "tray-path", task.path));
  const bar = el("progress");
  bar.max = 1;
  bar.setAttribute("aria-label", `Upload of ${task.name}`);
  line.filled = {
    text: el("div", "tray-state"),
    bar,
    decide: wordButton("Decide", "btn-quiet btn-small", () => decideLater(task)),
    pause: iconButton("pause-fill", `Pause ${task.name}`, () => toggle(task, queue.pause)),
    resume: iconButton("play-fill", `Resume ${task.name}`, () => toggle(task, queue.resume)),
    again: iconButton("arrow-clockwise", `Try ${task.name} again`, () => queue.retry(task)),
    stop: iconButton("x-lg", `Cancel ${task.name}`, () => stop(task)),
  };
  const { text, decide, pause, resume, again, stop: cancel } = line.filled;
  const actions = el("div", "tray-act", decide, pause, resume, again, cancel);
  line.replaceChildren(el("div", "tray-words", title, text), bar, actions);
  draw(task);
}

/** Pause or resume, and keep the keyboard where it is: on the button that undoes it. */
function toggle(task, act) {
  act([task]);
  draw(task);
  const { pause, resume } = lines.get(task).filled;
  (pause.hidden ? resume : pause).focus();
}

function stop(task) {
  const line = lines.get(task);
  const neighbour = line.nextElementSibling ?? line.previousElementSibling;
  if (task.isUnfinished) {
    queue.cancel([task]);
    say(`${task.name} was cancelled.`);
  } else queue.dismiss(task);
  neighbour?.filled?.stop.focus();
}

const LOOKS = { done: "is-done", skipped: "is-skipped", failed: "is-wrong", asking: "is-asking" };
const RANK = { failed: 0, asking: 0, done: 2, skipped: 2 };

function draw(task) {
  const line = lines.get(task);
  const { state } = task;
  if (line.state !== state) {
    if (RANK[state] !== RANK[line.state]) displaced.add(line);
    line.state = state;
    line.className = LOOKS[state] ?? "";
  }
  if (!line.filled) return;
  const { text, bar, decide, pause, resume, again, stop: cancel } = line.filled;
  decide.hidden = state !== "asking";
  pause.hidden = state !== "sending" && state !== "waiting";
  resume.hidden = state !== "paused";
  again.hidden = state !== "failed" || task.isFinal;
  cancel.hidden = state === "done";
  name(cancel, `${task.isUnfinished ? "Cancel" : "Remove"} ${task.name}`);
  bar.hidden = state !== "sending" && !(task.isUnfinished && task.loaded > 0);
  bar.value = task.size ? task.loaded / task.size : 0;
  text.textContent = stateOf(task);
}

function stateOf(task) {
  const size = filesize(task.size);
  const some = task.loaded ? `${filesize(task.loaded)} of ${size}` : size;
  switch (task.state) {
    case "waiting":
      return task.loaded ? `Waiting · ${some}` : `Waiting · ${size}`;
    case "sending":
      return task.loaded >= task.size ? "Finishing" : [some, left(task)].filter(Boolean).join(" · ");
    case "paused":
      return `Paused · ${some}`;
    case "asking":
      return "This name is already there";
    case "done":
      return `Uploaded · ${size}`;
    case "skipped":
      return "Skipped, the name was already there";
    default:
      return task.why;
  }
}

function left(task) {
  const perSecond = task.speed?.perSecond ?? 0;
  return perSecond ? timeLeft((task.size - task.loaded) / perSecond) : "";
}

/**
 * What needs somebody stands first, what is done last; so what moves is at the top. But nothing
 * moves away under a pointer or from under the keyboard.
 */
function reorder() {
  const { list } = parts;
  if (list.matches(":hover") || (list !== document.activeElement && list.contains(document.activeElement))) return;
  for (const line of displaced) {
    const rank = RANK[line.task.state] ?? 1;
    const before = rank === 2 ? null : list.querySelector(rank ? ".is-done, .is-skipped" : "li:not(.is-wrong, .is-asking)");
    if (line.isConnected) list.insertBefore(line, before);
  }
  displaced.clear();
}

// -- Saying it ------------------------------------------------------------------------------

const told = { going: 0, failed: 0, asking: 0, reason: "", quarter: 0, progressAt: 0 };
let sayTimer = 0;
let toSay = [];

/** Say it politely, together with whatever else there is to say at this moment. */
function say(words) {
  toSay.push(words);
  sayTimer ||= setTimeout(() => {
    announce(toSay.slice(-3).join(" "));
    toSay = [];
    sayTimer = 0;
  }, SAY_MS);
}

/** Tell a screen reader what matters: the beginning, the quarters of something long, the end. */
function narrate(totals) {
  const { going, failed, asking, bytes, loaded } = totals;
  const { reason } = queue.hold;
  const now = performance.now();
  if (going && !told.going) {
    Object.assign(told, { quarter: 0, progressAt: now });
    say(`Uploading ${count(going, "file", "files")}.`);
  }
  if (failed > told.failed) sayFailed(failed - told.failed);
  if (asking > told.asking) say(`${count(asking, "file needs", "files need")} a decision: the name is already there.`);
  if (reason !== told.reason && going) say(reason ? IN_THE_WAY[reason] : "Uploading goes on.");
  const quarter = bytes ? Math.floor((4 * loaded) / bytes) : 0;
  if (going && quarter > told.quarter && quarter < 4 && now - told.progressAt > PROGRESS_MS) {
    Object.assign(told, { quarter, progressAt: now });
    say(`${quarter * 25} % is uploaded.`);
  }
  if (!going && told.going && queue.tasks.size) say(`${summary(totals)}.`);
  Object.assign(told, { going, failed, asking, reason });
}

function sayFailed(number) {
  const wrong = [...queue.tasks].filter((task) => task.state === "failed");
  if (number === 1) say(`${wrong.at(-1).name}: ${wrong.at(-1).why}`);
  else say(`${count(number, "file was", "files were")} not uploaded.`);
}

// Uploading: the whole page takes drops, a tray shows each file, two go at a time.
// Without this script the same form is sent by the browser as it stands.

import { announce, enhance } from "./enhance.js";
import { count, filesize, timeLeft } from "./words.js";

const AT_ONCE = 2;
const SPRITE = new URL("../icons.svg", import.meta.url).pathname;

// waiting -> sending -> done | failed | cancelled; a failed one may go back to waiting.
const tasks = [];
const samples = [];
let tray;
let overlay;

const form = () => document.querySelector("form[data-upload]");
const fileInput = (of) => of.querySelector("input[type=file]");
const active = () => tasks.filter((task) => task.state === "waiting" || task.state === "sending");

if (form()) {
  document.addEventListener("click", choose);
  document.addEventListener("change", chosen);
  document.addEventListener("submit", submitted);
  listenForDrops();
  addEventListener("beforeunload", (event) => {
    if (active().length) event.preventDefault();
  });
  addEventListener("online", () => {
    for (const task of tasks) if (task.lost) retry(task);
  });
}

// -- Choosing --------------------------------------------------------------------------------

function choose(event) {
  const menu = event.target.closest("summary")?.parentElement;
  if (!menu?.matches("[data-upload-menu]")) return;
  event.preventDefault();
  fileInput(menu).click();
}

function chosen(event) {
  const from = event.target.form;
  if (event.target.type !== "file" || !from?.matches("[data-upload]:not([data-on-submit])")) return;
  take([...event.target.files], from);
  event.target.value = "";
}

function submitted(event) {
  if (!event.target.matches("[data-upload]")) return;
  event.preventDefault();
  const input = fileInput(event.target);
  take([...input.files], event.target);
  input.value = "";
}

function listenForDrops() {
  // Entering a child comes before leaving its parent, so only the depth tells the way out.
  let depth = 0;
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth += 1;
    showOverlay(true);
  });
  addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    depth = Math.max(0, depth - 1);
    if (depth === 0) showOverlay(false);
  });
  addEventListener("drop", async (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    showOverlay(false);
    const to = form();
    take(await dropped(event.dataTransfer), to);
  });
}

/** Every dropped file; a dropped folder gives the files in it. */
async function dropped(transfer) {
  // The entries must be asked for before the first pause; afterwards the list is empty.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files];
  const files = [];
  for (const entry of entries) await walk(entry, files);
  return files;
}

async function walk(entry, files) {
  if (entry.isFile) {
    const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
    if (file) files.push(file);
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!some.length) return;
    for (const inner of some) await walk(inner, files);
  }
}

function showOverlay(shown) {
  if (!overlay) {
    const words = el("div", "", icon("cloud-arrow-up"), el("strong"), el("span", "", "Let go anywhere on this page."));
    overlay = el("div", "drop", words);
    overlay.setAttribute("aria-hidden", "true");
    document.body.append(overlay);
  }
  overlay.querySelector("strong").textContent = `Add to ${form()?.dataset.destination ?? "your documents"}`;
  overlay.hidden = !shown;
}

// -- The queue -------------------------------------------------------------------------------

function take(files, from) {
  if (!files.length || !from) return;
  // A finished batch makes room for the next one; what went wrong stays to be seen.
  if (!active().length) {
    for (const task of tasks.filter((old) => old.state !== "failed")) drop(task);
  }
  const fields = [...new FormData(from)].filter(([, value]) => typeof value === "string");
  const most = Number(from.dataset.maxBytes) || Infinity;
  for (const file of files) {
    const task = { file, fields, action: from.action, field: fileInput(from).name, state: "waiting", loaded: 0, tries: 0 };
    tasks.push(task);
    addLine(task);
    if (file.size > most) fail(task, `This file is too large. ${from.dataset.rules}`);
    else draw(task);
  }
  announce(`Uploading ${count(active().length, "file", "files")}.`);
  next();
}

function next() {
  while (tasks.filter((task) => task.state === "sending").length < AT_ONCE) {
    const task = tasks.find((one) => one.state === "waiting" && !one.notBefore);
    if (!task) break;
    send(task);
  }
  drawWhole();
}

function send(task) {
  const body = new FormData();
  for (const [name, value] of task.fields) body.append(name, value);
  body.append(task.field, task.file, task.file.name);
  const request = new XMLHttpRequest();
  task.request = request;
  task.state = "sending";
  task.loaded = 0;
  task.lost = false;
  request.open("POST", task.action);
  request.setRequestHeader("Accept", "application/json");
  const token = document.querySelector('meta[name="csrf-token"]')?.content;
  if (token) request.setRequestHeader("X-CSRFToken", token);
  request.upload.addEventListener("progress", (event) => {
    // What is counted includes the frame around the file; the file's own size is what people know.
    task.loaded = Math.min(task.file.size, Math.round((event.loaded / event.total) * task.file.size));
    draw(task);
    drawWhole();
  });
  request.addEventListener("load", () => answered(task, request));
  request.addEventListener("error", () => {
    task.lost = true;
    fail(task, "The connection was lost.");
  });
  request.send(body);
  draw(task);
}

function answered(task, request) {
  const answer = parsed(request);
  if (request.status === 201 && answer?.documents?.length) {
    task.state = "done";
    task.loaded = task.file.size;
    draw(task);
    settled();
  } else if ((request.status === 429 || request.status === 503) && task.tries < 3) {
    waitAndRetry(task, Number(request.getResponseHeader("Retry-After")) || 5);
  } else {
    task.refused = request.status === 400 || isSignedOut(request);
    fail(task, reason(request, answer));
  }
}

function reason(request, answer) {
  const refused = answer?.rejected?.[0];
  if (refused) return refused.detail || refused.reason;
  if (isSignedOut(request)) {
    return "You are signed out. Sign in again in another tab, then retry.";
  }
  return answer?.detail || answer?.title || "The portal could not take this file. Try again in a moment.";
}

function isSignedOut(request) {
  return request.status === 401 || new URL(request.responseURL || location.href).pathname === "/login";
}

function parsed(request) {
  try {
    return JSON.parse(request.responseText);
  } catch {
    return null;
  }
}

function waitAndRetry(task, seconds) {
  task.tries += 1;
  task.state = "waiting";
  task.loaded = 0;
  task.notBefore = setTimeout(() => {
    task.notBefore = 0;
    next();
  }, Math.min(seconds, 60) * 1000);
  draw(task);
  next();
}

function fail(task, why) {
  task.state = "failed";
  task.why = why;
  draw(task);
  announce(`${task.file.name}: ${why}`);
  settled();
}

function cancel(task) {
  clearTimeout(task.notBefore);
  const wasSending = task.state === "sending";
  task.state = "cancelled";
  if (wasSending) task.request.abort();
  drop(task);
  announce(`${task.file.name} was cancelled.`);
  settled();
}

function retry(task) {
  task.state = "waiting";
  task.lost = false;
  task.loaded = 0;
  if (task.refused) renewToken(task);
  draw(task);
  next();
}

/** Signing in again makes a new token: ask the page for it before the file is sent again. */
function renewToken(task) {
  task.refused = false;
  task.notBefore = 1;
  fetchPage((page) => {
    const token = page?.querySelector('meta[name="csrf-token"]')?.content;
    if (token) {
      document.querySelector('meta[name="csrf-token"]').content = token;
      task.fields = task.fields.map(([name, value]) => [name, name === "csrf_token" ? token : value]);
    }
    task.notBefore = 0;
    next();
  });
}

/** The present page as the server has it now, or null. A document, never markup to insert. */
function fetchPage(done) {
  const request = new XMLHttpRequest();
  request.open("GET", location.href);
  request.responseType = "document";
  request.addEventListener("load", () => done(request.status === 200 ? request.response : null));
  request.addEventListener("error", () => done(null));
  request.send();
}

function drop(task) {
  task.line.remove();
  tasks.splice(tasks.indexOf(task), 1);
}

function settled() {
  next();
  if (active().length) return;
  samples.length = 0;
  if (tasks.length) announce(summary());
  if (tasks.some((task) => task.state === "done" && !task.shown)) refresh();
}

/** Fetch the list anew and put it in place; the server alone knows its order. */
function refresh() {
  for (const task of tasks) task.shown = task.state === "done";
  const old = document.querySelector("[data-refresh]");
  if (!old) return;
  fetchPage((page) => {
    const fresh = page?.querySelector(`[data-refresh="${old.dataset.refresh}"]`);
    if (!fresh) return;
    const node = document.importNode(fresh, true);
    old.replaceWith(node);
    enhance(node);
  });
}

// -- The tray --------------------------------------------------------------------------------

function buildTray() {
  const fold = button("chevron-down", "Fold the list of uploads", () => {
    const folded = tray.node.toggleAttribute("data-folded");
    fold.setAttribute("aria-expanded", String(!folded));
  });
  fold.setAttribute("aria-expanded", "true");
  fold.classList.add("tray-fold");
  const close = button("x-lg", "Close the list of uploads", () => {
    for (const task of [...tasks]) drop(task);
    tray.node.hidden = true;
  });
  const title = el("strong");
  const detail = el("span");
  const whole = el("progress", "tray-whole");
  whole.max = 1;
  whole.setAttribute("aria-label", "All uploads");
  const list = el("ul", "tray-list");
  const head = el("div", "tray-head", el("div", "tray-title", title, detail), fold, close);
  const node = el("section", "tray", head, whole, list);
  node.setAttribute("aria-label", "Uploads");
  document.body.append(node);
  tray = { node, title, detail, whole, list, close };
}

function addLine(task) {
  if (!tray) buildTray();
  tray.node.hidden = false;
  const name = el("div", "tray-name", task.file.name);
  name.title = task.file.name;
  name.dir = "auto";
  task.text = el("div", "tray-state");
  task.bar = el("progress");
  task.bar.max = 1;
  task.bar.setAttribute("aria-label", `Upload of ${task.file.name}`);
  task.again = button("arrow-clockwise", `Try ${task.file.name} again`, () => retry(task));
  task.stop = button("x-lg", `Cancel ${task.file.name}`, () => cancel(task));
  task.line = el("li", "", el("div", "", name, task.text), task.bar, el("div", "tray-act", task.again, task.stop));
  tray.list.append(task.line);
}

function draw(task) {
  const { size } = task.file;
  const share = size ? task.loaded / size : 0;
  task.line.className = { done: "is-done", failed: "is-wrong" }[task.state] ?? "";
  task.again.hidden = task.state !== "failed";
  task.stop.hidden = task.state === "done";
  task.stop.setAttribute("aria-label", `${task.state === "failed" ? "Remove" : "Cancel"} ${task.file.name}`);
  task.bar.value = share;
  task.text.textContent = {
    waiting: task.notBefore ? "The portal is busy, trying again soon" : `Waiting · ${filesize(size)}`,
    sending: share >= 1 ? "Finishing" : `${filesize(task.loaded)} of ${filesize(size)}`,
    done: `Uploaded · ${filesize(size)}`,
    failed: task.why,
  }[task.state];
}

function drawWhole() {
  if (!tray) return;
  const going = active().length;
  tray.close.hidden = going > 0;
  tray.whole.hidden = going === 0;
  if (!tasks.length) {
    tray.node.hidden = true;
    return;
  }
  tray.title.textContent = going ? `Uploading ${count(going, "file", "files")}` : summary();
  tray.detail.hidden = going === 0;
  if (!going) return;
  const counted = tasks.filter((task) => task.state !== "failed");
  const total = counted.reduce((sum, task) => sum + task.file.size, 0);
  const loaded = counted.reduce((sum, task) => sum + task.loaded, 0);
  tray.whole.value = total ? loaded / total : 0;
  const speed = speedOf(loaded);
  const parts = [`${filesize(loaded)} of ${filesize(total)}`];
  if (speed > 0) parts.push(`${filesize(Math.round(speed))}/s`, timeLeft((total - loaded) / speed));
  tray.detail.textContent = parts.join(" · ");
}

/** Bytes a second over the last few seconds; 0 while that is not known. */
function speedOf(loaded) {
  const now = performance.now();
  // After a retry or a cancelled file less is loaded than before: start counting again.
  if (samples.length && loaded < samples.at(-1).loaded) samples.length = 0;
  samples.push({ now, loaded });
  while (samples.length > 2 && now - samples[0].now > 6000) samples.shift();
  const seconds = (now - samples[0].now) / 1000;
  return seconds < 1 ? 0 : (loaded - samples[0].loaded) / seconds;
}

function summary() {
  const done = tasks.filter((task) => task.state === "done").length;
  const failed = tasks.filter((task) => task.state === "failed").length;
  if (!failed) return `${count(done, "file", "files")} uploaded`;
  if (!done) return `${count(failed, "file was", "files were")} not uploaded`;
  return `${done} uploaded, ${failed} not`;
}

// -- Building nodes --------------------------------------------------------------------------

function el(tag, className = "", ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `${SPRITE}#${name}`);
  svg.append(use);
  return svg;
}

function button(iconName, label, action) {
  const node = el("button", "btn btn-row btn-small", icon(iconName));
  node.type = "button";
  node.setAttribute("aria-label", label);
  node.title = label;
  node.addEventListener("click", action);
  return node;
}

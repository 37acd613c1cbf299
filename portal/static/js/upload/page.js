// Uploading: the whole page takes files, a tray shows each. The rest is done by the modules beside
// this one. Without scripts the same form is sent by the browser as it stands.

import { listenForDrops, listenForPaste, ofFolder, walk, whatLies } from "./dropping.js";
import * as queue from "./queue.js";
import { refreshed } from "./refreshing.js";
import { sweep } from "./remembered.js";
import * as sameName from "./same_name.js";
import { present } from "./session.js";
import { show } from "./tray.js";
import { one } from "./version.js";

const form = () => document.querySelector("form[data-upload]");
const putOff = new Set();
let shown = 0;

if (form()) {
  sweep();
  show(askAbout);
  queue.watch(react);
  listenForDrops(heading, dropped);
  listenForPaste(batchOf);
  document.addEventListener("click", choose);
  document.addEventListener("submit", submitted);
  offerFolders();
  document.addEventListener("portal:refreshed", offerFolders);
  addEventListener("beforeunload", (event) => {
    if (queue.going()) event.preventDefault();
  });
}

// -- Choosing ------------------------------------------------------------------------------

const isForVersion = () => Boolean(form()?.dataset.document);

function heading() {
  const destination = form()?.dataset.destination ?? "your documents";
  return isForVersion() ? `Drop a file: it becomes the new version of ${destination}` : `Add to ${destination}`;
}

function dropped(transfer) {
  if (!isForVersion()) return walk(transfer, batchOf());
  const { files, folders } = whatLies(transfer);
  begin()(one(files, folders));
}

/** As `begin`; where a version is wanted, for one file. */
function batchOf() {
  const take = begin();
  return isForVersion() ? (files) => take(one(files.map(({ file }) => file))) : take;
}

/** Begin a batch that goes where the form says; answers what takes its files. */
function begin() {
  const from = form();
  const { owner, document, maxBytes, rules } = from.dataset;
  const folder = from.elements.folder?.value ?? from.dataset.folder;
  const note = from.elements.note?.value.trim() ?? "";
  const batch = new queue.Batch({ owner, folder, note, document, mostBytes: Number(maxBytes) || Infinity, rules });
  return (files) => queue.add(batch, files);
}

// Inputs of our own, because the form's is replaced together with the list when that changes.
const pickers = { files: null, folder: null };

function pick(what) {
  const input = (pickers[what] ??= picker(what === "folder"));
  input.value = "";
  input.click();
}

function picker(isFolder) {
  const input = document.createElement("input");
  input.type = "file";
  input.multiple = true;
  input.webkitdirectory = isFolder;
  input.hidden = true;
  input.addEventListener("change", () => {
    batchOf()(isFolder ? ofFolder(input.files) : plain(input.files));
  });
  document.body.append(input);
  return input;
}

function choose(event) {
  const menu = event.target.closest("summary")?.parentElement;
  if (menu?.matches("[data-upload-menu]")) {
    event.preventDefault();
    pick("files");
  } else if (event.target.closest("[data-upload-folder]")) pick("folder");
}

function submitted(event) {
  if (!event.target.matches("[data-upload]")) return;
  event.preventDefault();
  const input = event.target.querySelector("input[type=file]");
  batchOf()(plain(input.files));
  input.value = "";
}

const plain = (files) => [...files].map((file) => ({ file, path: "" }));

function offerFolders() {
  if (!("webkitdirectory" in HTMLInputElement.prototype)) return;
  for (const button of document.querySelectorAll("[data-upload-folder]")) button.hidden = false;
}

// -- Questions -----------------------------------------------------------------------------

function react(task) {
  if (task?.state === "asking") askNext();
  if (!queue.going()) refresh();
}

/** One question after the other; the files they are not about go on meanwhile. */
function askNext() {
  if (sameName.isAsking()) return;
  for (const task of queue.tasks) {
    if (task.state === "asking" && !putOff.has(task)) return askAbout(task);
  }
}

function askAbout(task) {
  const isOther = (other) => other !== task && other.batch === task.batch && other.isUnfinished;
  const others = [...queue.tasks].filter(isOther).length;
  sameName.ask(task, others, (choice, isForRest) => {
    if (choice) queue.decide(task, choice, isForRest);
    else putOff.add(task);
    askNext();
  });
}

// -- The page ------------------------------------------------------------------------------

/** When everything has come, show what the server makes of it; it alone knows the order of a list. */
async function refresh() {
  const { done } = queue.totals();
  if (done <= shown) {
    shown = done;
    return;
  }
  shown = done;
  await refreshed();
}

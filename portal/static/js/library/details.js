// The details pane beside the list: what is known of the row that was touched last, or how much
// the ticked ones are together. Where the window is narrow, the page of a document serves better.

import { announce } from "../enhance.js";
import * as content from "./details_content.js";
import { chosenRows } from "./selection.js";
import { follow } from "./unsettled.js";

const KEPT = "details-open";
/** Who goes through the list with the arrow keys asks for the one at which they stay. */
const REST_MS = 150;
const LATE_MS = 15_000;
const LATE = "late";

const wide = matchMedia("(min-width: 1100px)");
let isOpen = isKept();
let pane;
// What is shown: the id of a row, "several" or "".
let shown = null;
// The row that had the focus or a click last.
let touched = "";
let timer;
let asking;
let cameFrom;

const button = () => document.querySelector("[data-details]");
const rowOf = (id) => (id ? document.querySelector(`[data-row="${CSS.escape(id)}"]`) : null);
const canOpen = () => wide.matches && button() !== null;

export function toggle() {
  return isOpen ? close() : open();
}

/** To the pane, opened if need be; closing it leads back. */
export function enter() {
  if (!canOpen()) return false;
  if (!isOpen) open();
  if (!hasFocus()) cameFrom = document.activeElement;
  pane.querySelector("h2").focus();
  return true;
}

export const hasFocus = () => pane?.contains(document.activeElement) ?? false;

function open() {
  if (!canOpen()) return false;
  keep(true);
  show();
  announce("Details are shown beside the list.");
  return true;
}

/** Answers false where nothing was there to close. */
export function close() {
  if (!isOpen || !canOpen()) return false;
  const back = hasFocus();
  keep(false);
  show();
  announce("Details are hidden.");
  if (back) (cameFrom?.isConnected ? cameFrom : button()).focus();
  cameFrom = null;
  return true;
}

function isKept() {
  try {
    return localStorage.getItem(KEPT) !== null;
  } catch {
    return false; // a browser that keeps nothing
  }
}

function keep(now) {
  isOpen = now;
  try {
    if (now) localStorage.setItem(KEPT, "1");
    else localStorage.removeItem(KEPT);
  } catch {
    // Then it holds for this page.
  }
}

/** Make the page be as it should, whatever has changed. */
function show() {
  const opener = button();
  if (opener) {
    opener.hidden = false;
    opener.setAttribute("aria-expanded", String(isOpen));
  }
  const isThere = isOpen && canOpen();
  document.querySelector(".frame").classList.toggle("has-details", isThere);
  if (!isThere) {
    forget();
    pane?.remove();
    return;
  }
  pane ??= content.pane(close);
  if (!pane.isConnected) document.querySelector(".frame").append(pane);
  fill();
}

function forget() {
  clearTimeout(timer);
  asking?.abort();
  shown = null;
  mark(null);
}

function fill() {
  const chosen = chosenRows();
  if (chosen.length > 1) {
    forget();
    shown = "several";
    for (const row of chosen) row.classList.add("is-shown");
    content.several(pane, chosen);
    return;
  }
  const row = rowOf(touched) ?? chosen[0];
  if (!row) {
    if (shown === "") return;
    forget();
    shown = "";
    content.nothing(pane);
    return;
  }
  // A list that was put in place anew has other rows, of the same documents.
  if (shown === row.dataset.row && row.matches(".is-shown")) return;
  present(row);
}

function present(row) {
  const isAgain = shown === row.dataset.row;
  forget();
  shown = row.dataset.row;
  mark(row);
  content.row(pane, row, timezone());
  follow();
  if (row.dataset.scan === undefined) return; // a folder: all is known
  timer = setTimeout(() => ask(row), isAgain ? 0 : REST_MS);
}

const timezone = () => button()?.dataset.timezone || undefined;

function mark(row) {
  for (const other of document.querySelectorAll(".is-shown")) other.classList.remove("is-shown");
  row?.classList.add("is-shown");
}

async function ask(row) {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const late = setTimeout(() => signal.aborted || asking.abort(LATE), LATE_MS);
  const answer = await fetched(row.dataset.url, signal);
  clearTimeout(late);
  if (signal.aborted && signal.reason !== LATE) return;
  if (answer.facts) content.facts(pane, row, answer.facts, timezone());
  else content.problem(pane, answer.problem, () => ask(row));
}

/** What the portal says of a document, or why it says nothing: "gone", "signed-out", "busy", "lost". */
async function fetched(url, signal) {
  try {
    const answer = await fetch(url, { headers: { Accept: "application/json" }, cache: "no-store", signal });
    if (answer.status === 404) return { problem: "gone" };
    if (answer.redirected || answer.status === 401) return { problem: "signed-out" };
    return answer.ok ? { facts: await answer.json() } : { problem: "busy" };
  } catch {
    return { problem: "lost" };
  }
}

function touch(event) {
  const row = event.target.closest?.("[data-row]");
  if (!row) return;
  touched = row.dataset.row;
  if (isOpen && canOpen()) fill();
}

document.addEventListener("focusin", touch);
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-details]")) toggle();
  else touch(event);
});
document.addEventListener("library:chosen", () => isOpen && canOpen() && fill());
document.addEventListener("library:row", ({ detail }) => {
  if (isOpen && canOpen() && detail === shown) present(rowOf(shown));
});
wide.addEventListener("change", show);
// The list is put in place anew after uploads and moves.
new MutationObserver(show).observe(document.getElementById("content"), { childList: true });
show();

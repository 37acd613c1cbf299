// Choosing several documents of the list: ticks, ranges, and the bar of what can be done with them.
// The ticks are fields of a form, which does the rest; without scripts too.

import { announce } from "../enhance.js";
import { count, filesize } from "../words.js";

// By value, so that they stay chosen when the list is replaced by a newer one.
const chosen = new Set();
// Where a range begins.
let anchor = null;
// The ticks that the last range from there has changed.
let ranged = [];
let told = "Nothing selected";

const form = () => document.getElementById("selection");
const part = (name) => form()?.querySelector(`[data-selection-${name}]`);

export const ticks = () => [...document.querySelectorAll("[data-selectable] tbody .tick")];
export const rowOf = (node) => node?.closest?.("[data-selectable] tbody tr") ?? null;
export const tickOf = (row) => row?.querySelector(".tick") ?? null;
export const isAnyChosen = () => chosen.size > 0;

export function toggle(tick, isChosen = !tick.checked) {
  tick.checked = isChosen;
  begin(tick);
  show();
}

/** Choose everything from where the range began to `tick`, and nothing that only it had. */
export function extendTo(tick) {
  const all = ticks();
  const from = all.findIndex((each) => each.value === anchor);
  if (from < 0) return toggle(tick, true);
  const to = all.indexOf(tick);
  for (const each of ranged) each.checked = false;
  ranged = all.slice(Math.min(from, to), Math.max(from, to) + 1).filter((each) => each.value === anchor || !each.checked);
  for (const each of ranged) each.checked = true;
  show();
}

export function chooseAll(isChosen = true) {
  for (const tick of ticks()) tick.checked = isChosen;
  anchor = null;
  ranged = [];
  show();
}

/** Send the form to the trash with what is chosen. */
export function deleteChosen() {
  const button = part("delete");
  if (button && !button.hidden && isAnyChosen()) form().requestSubmit(button);
}

function begin(tick) {
  anchor = tick.value;
  ranged = [];
}

function show() {
  chosen.clear();
  const all = ticks();
  let size = 0;
  let folders = 0;
  for (const tick of all) {
    rowOf(tick).classList.toggle("is-chosen", tick.checked);
    if (!tick.checked) continue;
    chosen.add(tick.value);
    size += Number(tick.dataset.size) || 0;
    folders += tick.name === "folder" ? 1 : 0;
  }
  tellBar(all.length, size, folders);
}

function tellBar(total, size, folders) {
  const bar = form();
  if (!bar) return;
  const documents = chosen.size - folders;
  const words = [];
  if (documents) words.push(count(documents, "document", "documents"));
  if (folders) words.push(count(folders, "folder", "folders"));
  const how = words.join(" and ");
  const bytes = document.createElement("span");
  bytes.className = "figures";
  bytes.textContent = size && !folders ? `, ${filesize(size)}` : "";
  part("count").replaceChildren(how, bytes);
  bar.hidden = chosen.size === 0;
  bar.classList.add("floats");
  part("clear").hidden = false;
  part("all").hidden = chosen.size === total;
  // A link is to one document.
  part("share").hidden = folders > 0;
  part("move").hidden = false;
  const head = document.querySelector("[data-selectable] thead .tick");
  if (head) {
    head.checked = total > 0 && chosen.size === total;
    head.indeterminate = chosen.size > 0 && chosen.size < total;
  }
  tell(chosen.size ? `${part("count").textContent} selected` : "Nothing selected");
}

/** Say it to who does not see the bar, when it has changed. */
function tell(words) {
  if (words !== told) announce(words);
  told = words;
}

/** Put the tick for all into the head, and the bar into its place; for a new list again. */
function take() {
  const place = document.querySelector("[data-selectable] thead th:first-child");
  if (place && !place.querySelector(".tick")) {
    const all = document.createElement("input");
    all.type = "checkbox";
    all.className = "tick";
    all.setAttribute("aria-label", "Select all on this page");
    const box = document.createElement("label");
    box.className = "tick-box";
    box.append(all);
    place.replaceChildren(box);
  }
  for (const tick of ticks()) tick.checked = tick.checked || chosen.has(tick.value);
  for (const line of document.querySelectorAll("[data-shortcuts-line]")) line.hidden = false;
  show();
}

function clicked(event) {
  const { target } = event;
  if (target.closest("[data-selection-clear]")) {
    const first = ticks().find((tick) => tick.checked);
    chooseAll(false);
    first?.focus();
  } else if (target.closest("[data-selection-all]")) chooseAll();
  else if (target.closest("[data-selection-share]")) goTo(target.closest("[data-selection-share]").dataset.selectionShare);
  else if (target.closest("[data-selection-move]")) goTo(target.closest("[data-selection-move]").dataset.selectionMove);
  else if (target.matches("[data-selectable] thead .tick")) chooseAll(target.checked);
  else if (target.matches("[data-selectable] tbody .tick")) ticked(event);
  else pointed(event);
}

function ticked(event) {
  const tick = event.target;
  if (event.shiftKey && anchor !== null && anchor !== tick.value) {
    tick.checked = !tick.checked;
    extendTo(tick);
  } else toggle(tick, tick.checked);
}

/** A click into a row, beside what does something there by itself. */
function pointed(event) {
  const tick = tickOf(rowOf(event.target));
  if (!tick || event.target.closest("a, button, label, summary, input")) return;
  if (event.shiftKey) extendTo(tick);
  else if (event.ctrlKey || event.metaKey) toggle(tick);
}

/** To a page that asks what is needed for those that are chosen. */
function goTo(page) {
  const ticked = ticks().filter((tick) => tick.checked);
  // On such a page, `folder` is a place to go to.
  const query = new URLSearchParams(ticked.map((tick) => [tick.name === "folder" ? "moved_folder" : "id", tick.value]));
  location.assign(`${page}?${query}`);
}

document.addEventListener("click", clicked);
document.addEventListener("mousedown", (event) => {
  // Shift would select the text between two clicks.
  if (event.shiftKey && rowOf(event.target) && !event.target.closest("a, input")) event.preventDefault();
});
new MutationObserver(take).observe(document.getElementById("content"), { childList: true });
addEventListener("pageshow", take);
take();

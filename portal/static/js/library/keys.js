// The list by keyboard. Nothing here is needed to use it: Tab, Space and Enter do all of it too.

import * as details from "./details.js";
import { areOn, openSheet } from "./shortcuts.js";
import { chooseAll, deleteChosen, extendTo, isAnyChosen, rowOf, tickOf, ticks, toggle } from "./selection.js";

document.addEventListener("keydown", pressed, true);
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-shortcuts]")) openSheet();
});

const OPEN = "dialog[open], details[data-menu][open], details.pop[open]";
const PLAIN = { j: down, k: up, x: toggleHere, "/": search, u: upload, i: showDetails, "?": openSheet };
const OTHER = { ArrowDown: down, ArrowUp: up, Enter: open, " ": toggleLink, Delete: deleteHere, Escape: clear };

function pressed(event) {
  if (event.defaultPrevented || isTyping(event.target) || document.querySelector(OPEN)) return;
  if (event.altKey) return;
  if (event.ctrlKey || event.metaKey) {
    if (event.key.toLowerCase() === "a" && !event.shiftKey && rowOf(event.target)) did(event, chooseAll());
    return;
  }
  // With Shift, letters come as capitals.
  const plain = areOn() ? PLAIN[event.key.length === 1 ? event.key.toLowerCase() : ""] : null;
  const act = plain ?? OTHER[event.key];
  if (act && act(event) !== false) did(event);
}

function did(event) {
  event.preventDefault();
}

function isTyping(node) {
  if (node.isContentEditable || node.matches("textarea, select")) return true;
  return node.matches("input") && !node.matches("[type=checkbox], [type=radio], [type=button]");
}

const here = () => tickOf(rowOf(document.activeElement));

function down(event) {
  return move(event, 1);
}

function up(event) {
  return move(event, -1);
}

function move(event, by) {
  const all = ticks();
  const from = all.indexOf(here());
  // Outside the list the arrows scroll the page, as ever.
  if (!all.length || (from < 0 && event.key.startsWith("Arrow"))) return false;
  const to = from < 0 ? 0 : Math.min(Math.max(from + by, 0), all.length - 1);
  if (event.shiftKey && from >= 0) {
    if (!all[from].checked) toggle(all[from], true);
    extendTo(all[to]);
  }
  all[to].focus();
  all[to].closest("tr").scrollIntoView({ block: "nearest" });
  return true;
}

function toggleHere() {
  const tick = here();
  if (!tick) return false;
  toggle(tick);
  return true;
}

/** On a tick itself Space does so anyway, and on a button it is that button's. */
function toggleLink(event) {
  return event.target.matches("a") && toggleHere();
}

function open(event) {
  if (event.target !== here()) return false;
  rowOf(event.target).querySelector(".item-name").click();
  return true;
}

function deleteHere() {
  const tick = here();
  if (!isAnyChosen() && tick) toggle(tick, true);
  if (!isAnyChosen()) return false;
  deleteChosen();
  return true;
}

function showDetails(event) {
  return event.shiftKey ? details.enter() : details.toggle();
}

function clear() {
  if (details.hasFocus() || !isAnyChosen()) return details.close();
  chooseAll(false);
  return true;
}

function search() {
  const fields = [...document.querySelectorAll(".search input[type=search]")];
  const shown = fields.find((field) => field.offsetParent);
  shown?.focus();
  shown?.select();
}

function upload() {
  document.querySelector("[data-upload-menu] summary")?.click();
}

// Moving rows of the list with the mouse: onto a folder in it, or onto a step of the way to it.
//
// Whoever has no mouse moves by "Move" in the row; the server is asked the same either way.

import { announce } from "../enhance.js";
import { el, icon, wordButton } from "../upload/nodes.js";
import { refreshed } from "../upload/refreshing.js";
import { check, token } from "../upload/session.js";

const KIND = "application/x-portal-item";
let dragged = null;

prepare(document);
addEventListener("dragstart", start);
addEventListener("dragend", end);
addEventListener("dragover", over);
addEventListener("dragleave", leave);
addEventListener("drop", drop);
// The list is put in place anew after uploads and moves.
new MutationObserver(() => prepare(document)).observe(document.getElementById("content"), { childList: true, subtree: true });

function prepare(root) {
  for (const row of root.querySelectorAll("tr[data-item]:not([draggable])")) row.draggable = true;
  // A link or an icon in a row would be dragged instead of the row.
  for (const inner of root.querySelectorAll("tr[data-item] a:not([draggable]), a[data-into]:not([draggable])")) inner.draggable = false;
}

function start(event) {
  const row = event.target.closest?.("tr[data-item]");
  if (!row) return;
  dragged = { url: row.dataset.item, field: row.dataset.field, from: row.dataset.from, into: row.dataset.into };
  event.dataTransfer.effectAllowed = "move";
  event.dataTransfer.setData(KIND, row.dataset.item);
  row.classList.add("is-dragged");
}

function end() {
  dragged = null;
  for (const node of document.querySelectorAll(".is-dragged, .is-target")) node.classList.remove("is-dragged", "is-target");
}

/** What takes the row that is being dragged, if it may go there. */
function target(event) {
  if (!dragged) return null;
  const place = event.target.closest?.("[data-into]");
  if (!place || place.dataset.into === dragged.into || place.dataset.into === dragged.from) return null;
  return place;
}

function over(event) {
  const place = target(event);
  if (!place) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "move";
  place.classList.add("is-target");
}

function leave(event) {
  const place = event.target.closest?.("[data-into]");
  if (place && !place.contains(event.relatedTarget)) place.classList.remove("is-target");
}

function drop(event) {
  const place = target(event);
  if (!place) return;
  event.preventDefault();
  const item = dragged;
  const where = place.matches("tr") ? place.querySelector(".item-name").textContent : place.textContent;
  end();
  move(item, place.dataset.into, where);
}

async function move(item, into, where) {
  const answer = await send(item, into);
  if (!answer.ok) return tell("danger", answer.words);
  await refresh();
  const back = { ...item, from: into };
  tell("success", `“${answer.name}” was moved to “${where}”.`, () => undo(back, item.from));
}

async function undo(item, into) {
  const answer = await send(item, into);
  if (!answer.ok) return tell("danger", answer.words);
  await refresh();
  tell("success", `“${answer.name}” is back where it was.`);
}

/** Ask for the move. A token that has ended (a new sign-in in another tab) is renewed once. */
async function send({ url, field }, into, isAgain = false) {
  try {
    const answer = await fetch(url, {
      method: "POST",
      headers: { Accept: "application/json", "X-CSRFToken": token() },
      body: new URLSearchParams({ [field]: into }),
    });
    if (answer.status === 400 && !isAgain && (await check()) === "ok") return send({ url, field }, into, true);
    const said = await answer.json();
    return { ok: answer.ok, name: said.name, words: said.detail || said.title || "It could not be moved." };
  } catch {
    return { ok: false, words: "The portal could not be reached, so nothing was moved. Try again in a moment." };
  }
}

async function refresh() {
  if (!(await refreshed())) location.reload();
}

/** Say what came of it above the list, as the server does after a form; with a way back. */
function tell(kind, words, takeBack = null) {
  const looks = kind === "danger" ? "exclamation-circle-fill" : "check-circle-fill";
  const notice = el("div", `notice notice-${kind}`, icon(looks), el("div", "notice-text", words));
  notice.setAttribute("role", kind === "danger" ? "alert" : "status");
  if (takeBack) {
    const button = wordButton("", "btn-quiet btn-small", takeBack);
    button.append(icon("arrow-counterclockwise"), el("span", "", "Undo"));
    notice.append(button);
  }
  const content = document.getElementById("content");
  content.querySelector(":scope > .notices")?.remove();
  content.prepend(el("div", "notices", notice));
  announce(words);
}

// Rows that change by themselves: documents that are being checked for malware, and pictures that
// are being drawn. One request asks for all of them; only while they are seen, ever more seldom,
// and after some minutes no more.

import { announce, enhance } from "../enhance.js";
import { present } from "../upload/session.js";
import { count } from "../words.js";

const FIRST_MS = 1500;
const SLOWER = 1.5;
const TIMES = 10;

/** How often a row was asked about, by its id. */
const asked = new Map();
const seen = new Set();
let timer = null;
let isAsking = false;

const isChecked = (row) => row.dataset.scan !== "waiting";
const isDrawn = (row) => row.dataset.preview !== "pending";
const timesOf = (row) => asked.get(row.dataset.row) ?? 0;

const watching = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) seen.add(target);
    else seen.delete(target);
  }
  follow();
});

/** Ask again after a while, if there is something to ask about. */
export function follow() {
  if (timer !== null || isAsking || document.hidden) return;
  const rows = unsettled();
  if (!rows.length) return;
  const times = Math.min(...rows.map(timesOf));
  timer = setTimeout(ask, FIRST_MS * SLOWER ** times);
}

function unsettled() {
  return [...seen].filter((row) => row.isConnected && timesOf(row) < TIMES && (!isChecked(row) || isAwaited(row)));
}

/** A picture counts where it is shown: in the row, or beside the list. */
function isAwaited(row) {
  return !isDrawn(row) && (row.querySelector("img") !== null || row.matches(".is-shown"));
}

async function ask() {
  timer = null;
  const rows = document.hidden ? [] : unsettled();
  if (rows.length) {
    isAsking = true;
    for (const row of rows) asked.set(row.dataset.row, timesOf(row) + 1);
    await take(await listed());
    isAsking = false;
  }
  follow();
}

/** The documents of this list as they are now. */
async function listed() {
  const list = new URL(location.href);
  list.searchParams.set("preview", "");
  try {
    const answer = await fetch(list, { headers: { Accept: "application/json" }, cache: "no-store" });
    return answer.ok && !answer.redirected ? (await answer.json()).documents : [];
  } catch {
    return [];
  }
}

async function take(documents) {
  const checked = [];
  for (const { id, scan, preview } of documents) {
    const row = document.querySelector(`[data-row="${CSS.escape(id)}"]`);
    if (!row) continue;
    if (!isChecked(row) && scan !== "waiting") checked.push(row);
    else if (!isDrawn(row) && preview !== "pending") draw(row, preview);
  }
  if (checked.length) await renew(checked);
}

function draw(row, state) {
  row.dataset.preview = state;
  for (const image of row.querySelectorAll("img")) {
    const address = new URL(image.src);
    // Another address, so that the picture is asked for, not the icon shown again.
    address.searchParams.set("state", state);
    image.src = address.href;
  }
  tell(row);
}

/** Put in place what the server shows of these rows by now: other tags, other buttons. */
async function renew(rows) {
  const { page } = await present();
  const done = [];
  for (const row of rows) {
    const fresh = page?.querySelector(`[data-row="${CSS.escape(row.dataset.row)}"]`);
    // Nobody's menu is closed under their hands.
    if (!fresh || !row.isConnected || row.querySelector("details[open]")) continue;
    replace(row, document.importNode(fresh, true));
    asked.delete(row.dataset.row);
    done.push(row);
    tell(row);
  }
  if (done.length) announce(words(done));
}

/** The row and its tick stay, so that what is chosen or has the focus does too. */
function replace(row, fresh) {
  const at = document.activeElement;
  const hadFocus = row.contains(at);
  const kept = row.matches("tr") ? 1 : 0;
  const own = [...row.children].slice(kept);
  row.append(...[...fresh.children].slice(kept));
  for (const node of own) node.remove();
  for (const [key, value] of Object.entries(fresh.dataset)) row.dataset[key] = value;
  for (const key of Object.keys(row.dataset)) if (!(key in fresh.dataset)) delete row.dataset[key];
  enhance(row);
  if (hadFocus && !at.isConnected) twin(row, at)?.focus();
}

function twin(row, at) {
  const all = [...row.querySelectorAll("a, button, summary, input")];
  const isSame = (node) => node.localName === at.localName && node.ariaLabel === at.ariaLabel && node.href === at.href;
  return all.find(isSame) ?? all[0];
}

function words(rows) {
  const bad = rows.filter((row) => row.dataset.scan === "infected");
  const name = (row) => row.querySelector(".item-name, .tile-name > span:last-child").textContent;
  if (rows.length > 1) {
    const found = bad.length ? ` Malware was found in ${bad.length} of them.` : "";
    return `${count(rows.length, "document was", "documents were")} checked.${found}`;
  }
  return bad.length ? `Malware was found in “${name(rows[0])}”.` : `“${name(rows[0])}” was checked and can be downloaded.`;
}

function tell(row) {
  document.dispatchEvent(new CustomEvent("library:row", { detail: row.dataset.row }));
}

/** Watch those rows of the present list of which something is still to come. */
function watch() {
  watching.disconnect();
  seen.clear();
  for (const row of document.querySelectorAll('[data-scan="waiting"], [data-preview="pending"]')) watching.observe(row);
}

document.addEventListener("visibilitychange", follow);
new MutationObserver(watch).observe(document.getElementById("content"), { childList: true });
watch();

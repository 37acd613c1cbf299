// The page of a document and its preview: a picture that appears when it was made, and pages that
// are turned with the arrow keys. Without scripts one reloads, and turns pages by their links.

import { announce, enhance } from "./enhance.js";
import { present } from "./upload/session.js";

/** Looks so often for a picture, ever more seldom, and then no more: some three minutes in all. */
const FIRST_MS = 1000;
const SLOWER = 1.4;
const TIMES = 14;

const waiting = () => document.querySelector('[data-preview="pending"]');

/** How far the picture is: "pending", "made", "impossible", or "" where nobody can say. */
async function state(address) {
  try {
    const answer = await fetch(address, { method: "HEAD", cache: "no-store" });
    return answer.ok ? (answer.headers.get("Preview-State") ?? "") : "";
  } catch {
    return "";
  }
}

let round = 0;

async function follow() {
  const mine = (round += 1);
  let pause = FIRST_MS;
  for (let times = 0; times < TIMES && waiting(); times += 1) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (mine !== round) return;
    pause *= SLOWER;
    if (document.hidden) continue;
    const now = await state(waiting()?.dataset.previewAt);
    if (now === "made" || now === "impossible") return show(now);
  }
}

/** Put in place what the server shows by now. */
async function show(now) {
  const { page } = await present();
  const fresh = page?.querySelector("[data-preview], .preview, .source");
  const old = waiting();
  if (!old || !fresh) return;
  const node = document.importNode(fresh.matches(".source") ? fresh.parentElement : fresh, true);
  old.replaceWith(node);
  enhance(node);
  announce(now === "made" ? "The preview is there." : "There is no preview of this document.");
}

const TURNS = { ArrowLeft: "prev", ArrowRight: "next" };

function turn(event) {
  const isTyping = event.target.closest("input, textarea, select, [contenteditable]");
  if (isTyping || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const rel = TURNS[event.key];
  const link = rel && document.querySelector(`[data-page="${rel}"]`);
  if (link) location.assign(link.href);
}

document.addEventListener("keydown", turn);
// With a new version there is a new picture to wait for.
document.addEventListener("portal:refreshed", follow);
follow();

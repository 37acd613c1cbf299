// What stands in the details pane. Built of elements, never of text.

import { enhance } from "../enhance.js";
import { el, icon, iconButton, wordButton } from "../upload/nodes.js";
import { count, exactTime, filesize, localTime } from "../words.js";

const HOW = "Click into a row, or go to it with the arrow keys, to see what is known of it here. Tick several to see how much they are together.";
const PROBLEMS = {
  gone: "It is not here any more. It may have been deleted in the meantime.",
  "signed-out": "You are not signed in any more. Load the page again to sign in.",
  busy: "The portal is busy, so no more can be told at the moment.",
  lost: "The portal could not be reached, so no more can be told at the moment.",
};
const SCANS = { waiting: "Being checked", infected: "Malware found: nobody can download it", clean: "Nothing found" };

export function pane(close) {
  const node = el("aside", "details");
  node.id = "details-pane";
  node.setAttribute("aria-label", "Details");
  const title = el("h2", "", "Details");
  title.tabIndex = -1;
  node.append(el("div", "details-head", title, iconButton("x-lg", "Close the details", close)), el("div", "details-body"));
  return node;
}

export function nothing(node) {
  put(node, el("p", "muted", HOW));
}

export function several(node, rows) {
  const folders = rows.filter(isFolder).length;
  const documents = rows.length - folders;
  const words = [];
  if (documents) words.push(count(documents, "document", "documents"));
  if (folders) words.push(count(folders, "folder", "folders"));
  const bytes = rows.reduce((sum, row) => sum + Number(row.dataset.bytes), 0);
  put(
    node,
    el("p", "details-name", words.join(" and ")),
    list([fact("Size together", filesize(bytes), "figures")]),
    el("p", "muted small", "What can be done with them is in the bar under the list."),
  );
}

/** What the list itself knows of a row; shown at once. */
export function row(node, row, zone) {
  const { kind, bytes, holds, made } = row.dataset;
  const known = [fact("Kind", kind), size(bytes)];
  if (isFolder(row)) known.push(fact("Holds", holds), fact("Made", moment(made, zone)));
  const name = el("p", "details-name", nameOf(row));
  name.dir = "auto";
  put(node, picture(row), name, actions(row), list(known));
}

/** What the portal says of a document, in place of what the list knew. */
export function facts(node, row, found, zone) {
  const newest = found.versions[0];
  const known = [fact("Kind", row.dataset.kind), size(found.size)];
  known.push(fact("Added", moment(found.uploaded_at, zone)), fact("Added by", newest.uploaded_by));
  if (found.note) known.push(fact("Note", found.note));
  if (found.scan) known.push(fact("Malware check", SCANS[found.scan] ?? SCANS.waiting));
  known.push(fact("Verified", verified(newest, zone)));
  known.push(fact("Versions", link(count(found.versions.length, "version", "versions"), `${found.url}#versions`)));
  const links = Number(row.dataset.links);
  known.push(fact("Shared by", links ? link(count(links, "live link", "live links"), `${found.url}#share`) : "No link"));
  known.push(fact("SHA-256", el("span", "with-copy", hash(found.sha256))));
  const body = list(known);
  node.querySelector("dl").replaceWith(body);
  node.querySelector(".details-problem")?.remove();
  enhance(body);
}

export function problem(node, what, again) {
  const notice = el("div", "details-problem", el("p", "", PROBLEMS[what]));
  if (what === "busy" || what === "lost") notice.append(wordButton("Try again", "btn-quiet btn-small", again));
  if (what === "gone") node.querySelector(".details-actions")?.remove();
  node.querySelector(".details-problem")?.remove();
  node.querySelector(".details-body").append(notice);
}

const isFolder = (row) => row.dataset.holds !== undefined;
const nameOf = (row) => row.querySelector(".item-name, .tile-name > span:last-child").textContent;

function put(node, ...children) {
  node.querySelector(".details-body").replaceChildren(...children);
}

function picture(row) {
  const box = el("div", "details-picture");
  if (!row.dataset.picture) {
    box.append(icon(row.dataset.icon));
    return box;
  }
  const image = el("img");
  image.alt = "";
  image.decoding = "async";
  // Another address than before it was drawn, which no cache can take for the same.
  image.src = `${row.dataset.picture}&state=${row.dataset.preview}`;
  image.addEventListener("error", () => box.replaceChildren(icon(row.dataset.icon)));
  box.append(image);
  return box;
}

function actions(row) {
  const { url, move, scan } = row.dataset;
  const node = el("div", "details-actions", button("Open", "file-earmark", url));
  if (isFolder(row)) {
    node.replaceChildren(button("Open", "folder2-open", url));
  } else if (scan !== "infected") {
    if (scan !== "waiting") node.append(button("Download", "download", `${url}/download`));
    node.append(button("Share", "link-45deg", `${url}#share`));
  }
  node.append(button("Move", "folder-symlink", move));
  return node;
}

function button(words, iconName, href) {
  const node = el("a", "btn btn-quiet btn-small", icon(iconName), words);
  node.href = href;
  return node;
}

function list(facts) {
  return el("dl", "facts", ...facts);
}

function fact(term, words, className = "") {
  return el("div", "", el("dt", "", term), el("dd", className, words));
}

function size(bytes) {
  const node = fact("Size", filesize(Number(bytes)), "figures");
  node.title = `${Number(bytes).toLocaleString("en-GB")} bytes`;
  return node;
}

function moment(text, zone) {
  const date = new Date(text);
  const node = el("time", "", localTime(date, true, zone));
  node.dateTime = text;
  node.title = exactTime(date, zone);
  return node;
}

function verified(version, zone) {
  if (version.damaged_at) return el("span", "tag tag-danger", icon("exclamation-triangle-fill"), "Damaged");
  return version.verified_at ? moment(version.verified_at, zone) : "Not yet";
}

function link(words, href) {
  const node = el("a", "", words);
  node.href = href;
  return node;
}

function hash(sha256) {
  const words = el("span", "mono", `${sha256.slice(0, 8)}…${sha256.slice(-8)}`);
  words.title = sha256;
  const copy = iconButton("copy", "Copy the whole SHA-256", () => {});
  copy.dataset.copy = sha256;
  const both = document.createDocumentFragment();
  both.append(words, copy);
  return both;
}

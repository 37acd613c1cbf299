// Files and folders that are dropped anywhere on the page, or pasted into it.

import { el, icon } from "./nodes.js";

/** What computers put into folders for themselves. */
const NOT_MEANT = new Set([".DS_Store", "Thumbs.db", "desktop.ini"]);
const UNREADABLE = "It could not be read on this device.";

/** Let the whole page take drops. `heading()` says what becomes of them; `take(transfer)` takes them. */
export function listenForDrops(heading, take) {
  const overlay = buildOverlay();
  // Entering a child comes before leaving its parent, so only the depth tells the way out.
  let depth = 0;
  const show = (isShown) => {
    overlay.title.textContent = heading();
    overlay.node.hidden = !isShown;
  };
  const on = (kind, react) => {
    addEventListener(kind, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      react(event);
    });
  };
  on("dragenter", () => {
    depth += 1;
    show(true);
  });
  on("dragover", (event) => {
    event.dataTransfer.dropEffect = "copy";
  });
  on("dragleave", () => {
    depth = Math.max(0, depth - 1);
    if (depth === 0) show(false);
  });
  on("drop", (event) => {
    depth = 0;
    show(false);
    take(event.dataTransfer);
  });
}

export function listenForPaste(take) {
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    // A text with a picture of itself, pasted into a field, is meant as text.
    if (!files.length || event.target.closest?.("input, textarea")) return;
    event.preventDefault();
    take()(files.map((file) => ({ file: named(file), path: "" })));
  });
}

/** A picture from the clipboard is always called "image.png"; the moment tells it from others. */
function named(file) {
  if (!/^image\.\w+$/.test(file.name)) return file;
  const now = new Date();
  const two = (number) => String(number).padStart(2, "0");
  const day = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
  const clock = [now.getHours(), now.getMinutes(), now.getSeconds()].map(two).join(".");
  const name = `Pasted ${day} ${clock}${file.name.slice(5)}`;
  return new File([file], name, { type: file.type, lastModified: file.lastModified });
}

/** Give `takeSome` every dropped file; a dropped folder gives the files in it, with their path. */
export async function walk(transfer, takeSome) {
  const entries = entriesOf(transfer);
  if (!entries.length) return takeSome([...transfer.files].map((file) => ({ file, path: "" })));
  const folders = await takeFiles(entries, takeSome);
  while (folders.length) {
    const reader = folders.shift().createReader();
    for (;;) {
      const inner = await asked((done, failed) => reader.readEntries(done, failed));
      if (!inner?.length) break;
      folders.push(...(await takeFiles(inner, takeSome)));
    }
  }
}

// They must be asked for before the first pause; afterwards the list is empty.
const entriesOf = (transfer) => [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);

/** What was dropped, as it lies there: files as they are, of a folder only its name. */
export function whatLies(transfer) {
  const entries = entriesOf(transfer);
  const folders = entries.filter((entry) => entry.isDirectory).map((entry) => entry.name);
  const files = [...transfer.files].filter((file) => !folders.includes(file.name));
  return { files, folders };
}

/** Hand over the files among `entries`; answers the folders. */
async function takeFiles(entries, takeSome) {
  const files = entries.filter((entry) => entry.isFile && !isNotMeant(entry));
  const found = await Promise.all(
    files.map(async (entry) => {
      const path = entry.fullPath.split("/").slice(1, -1).join("/");
      const file = await asked((done, failed) => entry.file(done, failed));
      return file ? { file, path } : { file: new File([], entry.name), path, why: UNREADABLE };
    }),
  );
  if (found.length) takeSome(found);
  return entries.filter((entry) => entry.isDirectory);
}

const isNotMeant = (entry) => NOT_MEANT.has(entry.name) && entry.fullPath.lastIndexOf("/") > 0;

/** The files of a chosen folder, with their path. */
export function ofFolder(files) {
  return [...files]
    .map((file) => ({ file, path: file.webkitRelativePath.split("/").slice(0, -1).join("/") }))
    .filter(({ file }) => !NOT_MEANT.has(file.name));
}

const asked = (ask) => new Promise((resolve) => ask(resolve, () => resolve(null)));

function buildOverlay() {
  const title = el("strong");
  const words = el("div", "", icon("cloud-arrow-up"), title, el("span", "", "Let go anywhere on this page."));
  const node = el("div", "drop", words);
  node.hidden = true;
  node.setAttribute("aria-hidden", "true");
  document.body.append(node);
  return { node, title };
}

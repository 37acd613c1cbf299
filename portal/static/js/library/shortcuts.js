// The sheet that lists the keys, and the switch for those that are a single letter: whoever
// speaks to the computer, or rests a hand on the keyboard, must be able to do without them.

import { el, wordButton } from "../upload/nodes.js";

const OFF = "single-keys-off";
const KEYS = [
  [["j", "↓"], "Next document"],
  [["k", "↑"], "Previous document"],
  [["x", "Space"], "Select it"],
  [["Shift", "↓"], "Select the next one too"],
  [["Shift", "Click"], "Select all up to there"],
  [["Ctrl", "Click"], "Select one more"],
  [["Ctrl", "A"], "Select all on this page"],
  [["Enter"], "Open it"],
  [["Delete"], "Delete what is selected"],
  [["Esc"], "Select nothing"],
  [["/"], "Search"],
  [["u"], "Upload"],
  [["i"], "Show or hide the details, in a wide window"],
  [["Shift", "i"], "Go to the details"],
  [["?"], "Show this"],
];
const TOGETHER = new Set(["Shift", "Ctrl"]);

let sheet;

/** Whether single letters do something. */
export function areOn() {
  try {
    return localStorage.getItem(OFF) === null;
  } catch {
    return true; // a browser that keeps nothing
  }
}

export function openSheet() {
  sheet ??= build();
  sheet.querySelector("input").checked = areOn();
  sheet.showModal();
}

function build() {
  const dialog = el("dialog", "ask");
  const title = el("h2", "", "Keyboard shortcuts");
  title.id = "shortcuts-title";
  dialog.setAttribute("aria-labelledby", title.id);
  const list = el("dl", "keys");
  for (const [keys, words] of KEYS) list.append(term(keys), el("dd", "", words));
  const close = wordButton("Close", "btn-quiet", () => dialog.close());
  dialog.append(title, list, choice(), close);
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  return dialog;
}

function term(keys) {
  const node = el("dt");
  const between = TOGETHER.has(keys[0]) ? " + " : " or ";
  keys.forEach((key, at) => node.append(at ? between : "", el("kbd", "", key)));
  return node;
}

function choice() {
  const box = el("input");
  box.type = "checkbox";
  box.addEventListener("change", () => {
    try {
      if (box.checked) localStorage.removeItem(OFF);
      else localStorage.setItem(OFF, "1");
    } catch {
      // Then it holds for nothing; the other keys work all the same.
    }
  });
  return el("label", "check", box, el("span", "", "Single letters do something"));
}

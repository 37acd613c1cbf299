// The question what to do with a file whose name is taken.

import { el, wordButton } from "./nodes.js";
import { count } from "../words.js";

let dialog;
let present = null;

/** Whether a question is being asked. */
export const isAsking = () => Boolean(present);

/**
 * Ask about `task`; `others` is how many more of its batch may meet the same question.
 * `decided(choice, isForRest)` is called with "new-version", "keep-both" or "skip"; and with "" when
 * the question was put off.
 */
export function ask(task, others, decided) {
  dialog ??= build();
  present = decided;
  const { title, words, rest, restWords } = dialog;
  title.textContent = "This name is already there";
  const name = el("bdi", "ask-name", task.name);
  const where = task.path ? ` in ${task.path}` : "";
  if (task.about === "twin") words.replaceChildren("You have just uploaded another file called ", name, `${where}. What should happen to this one?`);
  else words.replaceChildren("There is already a document called ", name, `${where}. What should happen to the file you are uploading?`);
  rest.checked = false;
  rest.parentElement.hidden = others === 0;
  restWords.textContent =
    others === 1
      ? "Do the same for the other file, if its name is there too"
      : `Do the same for the other ${count(others, "file", "files")}, where their names are there too`;
  dialog.node.showModal();
  // Nothing is pressed by a key that was meant for something else.
  title.focus();
}

function close(choice) {
  if (!present) return;
  const decided = present;
  present = null;
  dialog.node.close();
  decided(choice, choice !== "" && dialog.rest.checked && !dialog.rest.parentElement.hidden);
}

function build() {
  const title = el("h2");
  title.id = "ask-title";
  title.tabIndex = -1;
  const words = el("p");
  words.id = "ask-words";
  const choices = el(
    "div",
    "ask-choices",
    choice("new-version", "New version", "It becomes the newest version of that document. The older one is kept."),
    choice("keep-both", "Keep both", "Both stand in the list, under the same name."),
    choice("skip", "Skip", "This file is not uploaded. Nothing changes."),
  );
  const rest = el("input");
  rest.type = "checkbox";
  const restWords = el("span");
  const later = wordButton("Decide later", "btn-row ask-later", () => close(""));
  const node = el("dialog", "ask", title, words, choices, el("label", "check", rest, restWords), later);
  node.setAttribute("aria-labelledby", title.id);
  node.setAttribute("aria-describedby", words.id);
  node.addEventListener("cancel", (event) => {
    event.preventDefault();
    close("");
  });
  document.body.append(node);
  return { node, title, words, rest, restWords };
}

function choice(value, words, help) {
  const text = el("span", "", el("strong", "", words), el("span", "", help));
  return Object.assign(wordButton(text, "ask-choice", () => close(value)), { value });
}

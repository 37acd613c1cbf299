// Small conveniences: copying, local times, showing a password, menus that close, ticked rows.
// No markup is ever built from text here: the pages forbid it.

import { watch } from "./strength.js";
import { count, exactTime, localTime } from "./words.js";

let status;

/** Say something to a screen reader without moving anybody's focus. */
export function announce(text) {
  if (!status) {
    status = document.createElement("div");
    status.className = "visually-hidden";
    status.setAttribute("role", "status");
    document.body.append(status);
  }
  status.textContent = text;
}

/** Improve what stands in `root`; may be called again for a part that was replaced. */
export function enhance(root) {
  for (const time of root.querySelectorAll("time[data-local]")) localise(time);
  for (const hidden of root.querySelectorAll("[data-copy], [data-reveal]")) hidden.hidden = false;
  for (const input of root.querySelectorAll("[data-strength]")) watch(input);
  for (const group of root.querySelectorAll("[data-bulk]")) bulk(group);
  for (const choice of root.querySelectorAll("[data-own-days]")) ownDays(choice);
  showWhereOneIs();
}

/** Everything that listens to the whole page; once. */
export function listen() {
  document.addEventListener("click", (event) => {
    const copyButton = event.target.closest("[data-copy]");
    if (copyButton) copy(copyButton);
    const revealButton = event.target.closest("[data-reveal]");
    if (revealButton) reveal(revealButton);
    if (event.target.matches("[data-select]")) event.target.select();
    closeMenus((menu) => !menu.contains(event.target));
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = document.activeElement?.closest("details[data-menu][open], details.pop[open]");
    closeMenus(() => true);
    menu?.querySelector("summary").focus();
  });
  document.addEventListener("submit", once);
  window.addEventListener("resize", showWhereOneIs);
}

function closeMenus(which) {
  for (const menu of document.querySelectorAll("details[data-menu][open], details.pop[open]")) {
    if (which(menu)) menu.open = false;
  }
}

/** Move a row of places that is wider than the screen to the one where somebody is. */
function showWhereOneIs() {
  for (const place of document.querySelectorAll(".tabs [aria-current], .places [aria-current]")) {
    const row = place.closest(".tabs, .places");
    const end = place.getBoundingClientRect().right - row.getBoundingClientRect().right;
    if (end > 0) row.scrollLeft += end + 24;
  }
}

function localise(time) {
  const date = new Date(time.dateTime);
  if (Number.isNaN(date.valueOf())) return;
  time.textContent = localTime(date, time.dataset.local === "moment");
  time.title = exactTime(date);
}

async function copy(button) {
  const done = await toClipboard(button.dataset.copy);
  const words = button.querySelector("span");
  const said = done ? "Copied" : "Select it and copy";
  announce(said);
  const before = { words: words?.textContent, title: button.title };
  if (button.dataset.busy) return;
  button.dataset.busy = "1";
  if (words) words.textContent = said;
  else button.title = said;
  const use = button.querySelector("use");
  const href = use?.getAttribute("href");
  if (done) use?.setAttribute("href", href.replace(/#.*/, "#check2"));
  setTimeout(() => {
    delete button.dataset.busy;
    if (words) words.textContent = before.words;
    else button.title = before.title;
    use?.setAttribute("href", href);
  }, 2000);
}

async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Plain http in a private network has no clipboard; the old way still works there.
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "visually-hidden";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

function reveal(button) {
  const input = document.getElementById(button.getAttribute("aria-controls"));
  const shown = input.type === "password";
  input.type = shown ? "text" : "password";
  button.setAttribute("aria-pressed", String(shown));
}

/** A form goes off once, however often the button is pressed in the meantime. */
function once(event) {
  const form = event.target;
  const method = event.submitter?.formMethod || form.method;
  if (event.defaultPrevented || method !== "post" || form.hasAttribute("data-upload")) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "1";
  setTimeout(() => delete form.dataset.sent, 3000);
  // A shown password becomes a password again, so that browsers do not keep it as text.
  for (const button of form.querySelectorAll('[data-reveal][aria-pressed="true"]')) reveal(button);
}

function bulk(group) {
  const bar = group.querySelector("[data-bulk-bar]");
  const said = group.querySelector("[data-bulk-count]");
  const ticks = [...group.querySelectorAll("tbody .tick")];
  const all = document.createElement("input");
  all.type = "checkbox";
  all.className = "tick";
  all.setAttribute("aria-label", "Choose all links");
  const box = document.createElement("label");
  box.className = "tick-box";
  box.append(all);
  group.querySelector("thead th").replaceChildren(box);
  const show = () => {
    const chosen = ticks.filter((tick) => tick.checked).length;
    bar.hidden = chosen === 0;
    bar.classList.add("floats");
    said.textContent = `${count(chosen, "link", "links")} chosen`;
    all.checked = chosen === ticks.length;
    all.indeterminate = chosen > 0 && chosen < ticks.length;
  };
  all.addEventListener("change", () => {
    for (const tick of ticks) tick.checked = all.checked;
    show();
  });
  group.addEventListener("change", (event) => {
    if (event.target !== all) show();
  });
  show();
}

/** A free number of days: the number is typed into a field of its own and given to the radio. */
function ownDays(choice) {
  const radio = choice.querySelector("[type=radio]");
  const number = choice.querySelector("[data-own-number]");
  choice.hidden = false;
  radio.disabled = false;
  const follow = () => {
    radio.value = number.value;
    number.required = radio.checked;
  };
  number.addEventListener("input", () => {
    radio.checked = true;
    follow();
  });
  radio.form.addEventListener("change", follow);
}

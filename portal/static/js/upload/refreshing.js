// Putting the present state of a page in place, part by part: what is marked with `data-refresh`.

import { enhance } from "../enhance.js";
import { present } from "./session.js";

/**
 * Replace every marked part by what the server shows now. One that says `data-refresh-unused` stays as
 * it is while somebody fills in something there. Answers whether anything was replaced.
 */
export async function refreshed() {
  const { page } = await present();
  const parts = page ? [...document.querySelectorAll("[data-refresh]")] : [];
  const done = parts.filter((old) => replaced(old, page));
  // Whoever looks after something in one of them may have to begin anew.
  if (done.length) document.dispatchEvent(new CustomEvent("portal:refreshed"));
  return done.length > 0;
}

function replaced(old, page) {
  const fresh = page.querySelector(`[data-refresh="${old.dataset.refresh}"]`);
  if (!fresh || ("refreshUnused" in old.dataset && isInUse(old, fresh))) return false;
  const node = document.importNode(fresh, true);
  const focused = old.contains(document.activeElement) ? twin(document.activeElement, node) : null;
  old.replaceWith(node);
  enhance(node);
  focused?.focus();
  return true;
}

/** Whether somebody is at it: something was opened, filled in, or has the focus. */
function isInUse(old, fresh) {
  const opened = (node) => node.querySelectorAll("details[open]").length;
  if (old.contains(document.activeElement) || opened(old) !== opened(fresh)) return true;
  return [...old.querySelectorAll("input, textarea, select")].some(isChanged);
}

function isChanged(field) {
  if (field.matches("select")) return [...field.options].some((each) => each.selected !== each.defaultSelected);
  if (field.matches("[type=radio], [type=checkbox]")) return field.checked !== field.defaultChecked;
  return field.type !== "hidden" && field.value !== field.defaultValue;
}

/** What stands in `node` for an element of the old part. */
function twin(element, node) {
  const menu = element.matches("summary") && node.querySelector("[data-upload-menu] summary");
  if (menu) return menu;
  const same = (other) => other.getAttribute("href") === element.getAttribute("href") && other.ariaLabel === element.ariaLabel;
  return [...node.querySelectorAll(element.localName)].find(same);
}

// Building what is seen out of elements; never out of text.

const SPRITE = new URL("../../icons.svg", import.meta.url).pathname;

export function el(tag, className = "", ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `${SPRITE}#${name}`);
  svg.append(use);
  return svg;
}

/** A button that is an icon; `label` is what it does, in words. */
export function iconButton(iconName, label, action) {
  const node = wordButton("", "btn-row btn-small", action);
  node.append(icon(iconName));
  name(node, label);
  return node;
}

export function wordButton(words, className, action) {
  const node = el("button", `btn ${className}`, words);
  node.type = "button";
  node.addEventListener("click", action);
  return node;
}

/** Say what an icon does: for the pointer and for screen readers. */
export function name(node, label) {
  if (node.title === label) return;
  node.setAttribute("aria-label", label);
  node.title = label;
}

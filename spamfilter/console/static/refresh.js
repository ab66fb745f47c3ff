// Puts fresh parts into a page: only what has changed, and nothing that the reader is using just now.

import { localTimes } from "/static/console.js";

const PARTS = "[data-part]";
const drawn = new WeakMap();

/** Replace, below `root`, each part by its fresh version in `html`, which our own server rendered. */
export function refresh(root, html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  const parts = [...fresh.querySelectorAll(PARTS)];
  for (const part of parts) drawn.set(part, part.outerHTML);
  localTimes(fresh);
  const old = [...root.querySelectorAll(PARTS)];
  if (names(old) !== names(parts)) {
    root.replaceChildren(...fresh.body.childNodes);
    return;
  }
  parts.forEach((part, at) => {
    if (drawn.get(old[at]) === drawn.get(part) || inUse(old[at])) return;
    const open = [...old[at].querySelectorAll("details")].map((one) => one.open);
    part.querySelectorAll("details").forEach((one, place) => (one.open = open[place] ?? one.open));
    old[at].replaceWith(part);
  });
}

function names(parts) {
  return parts.map((part) => part.dataset.part).join();
}

function inUse(part) {
  const focused = document.activeElement;
  return part.contains(focused) && focused.matches("input, select, textarea, button");
}

// What every page needs: requests that prove whose they are, times in the reader's zone, and the keyboard.

const secret = document.querySelector('meta[name="csrf"]')?.content ?? "";

/** An answer that is no success: its `message` is for people. */
export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/**
 * Ask the server; the answer's JSON, or its text where `as` is "text" (a part of a page).
 * Throws Refused with what it says, and an Error where it cannot be reached.
 */
export async function ask(url, { as = "json", ...options } = {}) {
  let response;
  try {
    response = await fetch(url, { ...options, headers: { Accept: "application/json", ...options.headers } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The daemon does not answer. Is it running?");
  }
  if (response.ok && as === "text") return response.text();
  const plain = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, plain.detail ?? `The daemon answered ${response.status}.`);
  return plain;
}

/** Post `data`: FormData, a Blob or bytes as they are, anything else as JSON. As `ask`. */
export async function post(url, data, options = {}) {
  const whole = data instanceof FormData || data instanceof Blob || data instanceof ArrayBuffer;
  const headers = { "X-CSRF-Token": secret, ...(whole ? {} : { "Content-Type": "application/json" }), ...options.headers };
  return ask(url, { ...options, method: "POST", headers, body: whole ? data : JSON.stringify(data) });
}

/** Tell the reader, and a screen reader, what has just happened. */
export function say(text, tone = "") {
  const place = document.getElementById("said");
  place.textContent = text;
  place.className = `said shown ${tone}`;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => place.classList.remove("shown"), 5000);
}

/** An element: its attributes, then its children; strings become text, never markup. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== null));
  return made;
}

/** Show the times below `root` in the reader's zone. */
export function localTimes(root = document) {
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.title ||= time.textContent;
    time.textContent = format.format(new Date(time.dateTime));
  }
}

function isTyping(target) {
  return target instanceof HTMLElement && (target.isContentEditable || target.matches("input, textarea, select"));
}

let going = false;

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && isTyping(event.target)) return event.target.blur();
  if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
  if (going) {
    going = false;
    const link = document.querySelector(`.menu a[data-key="${CSS.escape(event.key)}"]`);
    if (link) link.click();
    return;
  }
  if (event.key === "g") {
    going = true;
    setTimeout(() => (going = false), 1500);
  } else if (event.key === "?") {
    document.getElementById("keys")?.showModal();
  } else if (event.key === "/") {
    const other = "[type=hidden], [type=radio], [type=checkbox], [type=file]";
    const field = document.querySelector(`main input:not(${other}), main textarea`);
    if (field) {
      event.preventDefault();
      field.focus();
    }
  }
}

document.addEventListener("keydown", pressed);
document.getElementById("keys-link")?.addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("keys").showModal();
});
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});
localTimes();
// on a phone the menu is wider than the screen: show where one is
document.querySelector(".menu [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

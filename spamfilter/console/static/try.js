// Judges what is typed, pasted or dropped: the verdict as soon as a hand rests, the reasons when it rests for longer.

import { post } from "/static/console.js";

const VERDICT_AFTER_MS = 200;
const REASONS_AFTER_MS = 600;
const LARGE = 300_000;

const form = document.getElementById("try");
const text = document.getElementById("text");
const file = document.getElementById("file");
const drop = document.getElementById("drop");
const chip = document.getElementById("chip");
const limit = Number(form.dataset.limit);
const places = { verdict: document.getElementById("verdict"), reasons: document.getElementById("reasons") };
const empty = places.verdict.innerHTML;

let held = null; // the file that is judged instead of the text
let running = new AbortController();
let timer = 0;

document.getElementById("send").hidden = true;

function given() {
  return held ?? new Blob([text.value]);
}

function size(bytes) {
  return bytes < 1000 ? `${bytes} bytes` : bytes < 1e6 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function show(name, html) {
  places[name].innerHTML = html; // made by the server from its own templates: what strangers wrote is escaped there
  places[name].removeAttribute("aria-busy");
}

function tell(title, detail) {
  const panel = document.createElement("div");
  panel.className = "panel";
  const head = document.createElement("h2");
  head.textContent = title;
  const words = document.createElement("p");
  words.textContent = detail;
  panel.append(head, words);
  places.verdict.replaceChildren(panel);
  places.verdict.removeAttribute("aria-busy");
  show("reasons", "");
}

async function fetched(name, message, signal) {
  const kind = form.elements.kind.value;
  places[name].setAttribute("aria-busy", "true");
  show(name, (await post(`/try/${name}?kind=${kind}`, message, { signal, as: "text" })));
}

async function judge(pause) {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  const message = given();
  if (message.size === 0 || (!held && !text.value.trim())) {
    show("verdict", empty);
    show("reasons", "");
    return;
  }
  if (message.size > limit) {
    tell("Too large", `This message has ${size(message.size)}. Up to ${size(limit)} are scanned (engine.max_message_mib).`);
    return;
  }
  try {
    await fetched("verdict", message, signal);
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (!signal.aborted) await fetched("reasons", message, signal);
  } catch (error) {
    if (error.name !== "AbortError") tell("No verdict", error.message);
  }
}

function soon() {
  clearTimeout(timer);
  running.abort();
  timer = setTimeout(() => judge(REASONS_AFTER_MS), text.value.length > LARGE ? 4 * VERDICT_AFTER_MS : VERDICT_AFTER_MS);
}

function hold(one) {
  held = one;
  chip.hidden = !one;
  text.hidden = Boolean(one);
  if (one) document.getElementById("chip-name").textContent = `${one.name}, ${size(one.size)}`;
  else file.value = "";
  clearTimeout(timer);
  judge(0);
}

text.addEventListener("input", soon);
document.querySelector(".examples").addEventListener("click", (event) => {
  const example = event.target.closest("a[data-text]");
  if (!example || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  text.value = example.dataset.text;
  hold(null);
});
form.addEventListener("change", (event) => {
  if (event.target.name === "kind") judge(0);
});
file.addEventListener("change", () => hold(file.files[0] ?? null));
document.getElementById("chip-away").addEventListener("click", () => {
  hold(null);
  text.focus();
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  judge(0);
});
for (const name of ["dragenter", "dragover"]) {
  form.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
form.addEventListener("dragleave", () => drop.classList.remove("over"));
form.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  if (event.dataTransfer.files.length > 0) hold(event.dataTransfer.files[0]);
});

// Follows the sliders: the server answers what a place in the table costs and brings.

import { say } from "/static/console.js";

const form = document.getElementById("thresholds");
const answer = document.getElementById("answer");
let waiting = 0;
let asked = null;

form.querySelector("button[type=submit]").hidden = true;
dress();

form.addEventListener("input", (event) => {
  const number = event.target.dataset.number && document.getElementById(event.target.dataset.number);
  if (number) {
    number.value = "";
    const row = document.querySelector(`#${event.target.getAttribute("list")} option[value="${event.target.value}"]`);
    event.target.setAttribute("aria-valuetext", `${row.label} of ham lost`);
  }
  clearTimeout(waiting);
  waiting = setTimeout(show, 120);
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  show();
});

async function show() {
  asked?.abort();
  asked = new AbortController();
  const query = new URLSearchParams(new FormData(form));
  try {
    const response = await fetch(`${form.dataset.answer}?${query}`, { signal: asked.signal });
    if (!response.ok) return;
    answer.replaceChildren(...new DOMParser().parseFromString(await response.text(), "text/html").body.childNodes);
    for (const name of ["spam", "unsure"]) {
      const shown = answer.querySelector(`[data-at="${name}"]`);
      if (shown) document.getElementById(`t-${name}-at`).placeholder = shown.dataset.value;
    }
    history.replaceState(null, "", `${form.getAttribute("action")}?${query}`);
    dress();
  } catch (error) {
    if (error.name !== "AbortError") say("The daemon does not answer. Is it running?", "bad");
  }
}

function dress() {
  for (const button of answer.querySelectorAll("[data-copy]")) {
    button.hidden = navigator.clipboard === undefined;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      say("Copied.");
    });
  }
}

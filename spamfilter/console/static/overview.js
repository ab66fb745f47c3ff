// Keeps the overview live, and asks once whether the model still fits the mail.

import { ask } from "/static/console.js";
import { refresh } from "/static/refresh.js";

const overview = document.getElementById("overview");
let events = null;

function follow() {
  events = new EventSource(overview.dataset.events);
  events.onmessage = (event) => refresh(overview, JSON.parse(event.data).html);
}

// a page that nobody sees needs no events
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    events?.close();
    events = null;
  } else if (events === null) {
    follow();
  }
});
if (!document.hidden) follow();
window.addEventListener("pagehide", () => events?.close());

const drift = document.getElementById("drift");
if (drift) {
  drift.textContent = "Looking at the mail …";
  ask(drift.dataset.url)
    .then((found) => {
      drift.textContent = found.sentence;
      drift.classList.add("notice");
      drift.classList.toggle("warn", found.due);
    })
    .catch((error) => (drift.textContent = error.message));
}

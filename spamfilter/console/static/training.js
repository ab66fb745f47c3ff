// Follows a training while it runs, and shows what the pretrained GPT writes without leaving the page.

import { localTimes, post, say } from "/static/console.js";
import { refresh } from "/static/refresh.js";

const EVERY_MS = 2000;
const training = document.getElementById("training");

/** What a training has changed around it: labels that count as new, runs, outcomes, and buttons that work again. */
async function renew() {
  const response = await fetch(location.pathname);
  if (!response.ok) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  localTimes(fresh);
  for (const part of document.querySelectorAll("[data-renewed]")) {
    const found = fresh.getElementById(part.id);
    if (found) part.replaceWith(found);
  }
  for (const button of document.querySelectorAll("form button[disabled]")) button.disabled = false;
}

async function follow() {
  const wasRunning = document.getElementById("t-job").dataset.running === "yes";
  if (!document.hidden && wasRunning) {
    try {
      const response = await fetch(training.dataset.url);
      if (response.ok) refresh(training, await response.text());
    } catch {
      // the daemon is away; the next look may find it
    }
    if (document.getElementById("t-job").dataset.running === "no") {
      say(document.getElementById("t-job-title").textContent);
      await renew();
    }
  }
  setTimeout(follow, EVERY_MS);
}
setTimeout(follow, EVERY_MS);

const sample = document.getElementById("sample");
sample?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = sample.querySelector("button");
  const written = document.getElementById("written");
  button.disabled = true;
  button.textContent = "Writing …";
  try {
    const found = await post(sample.action, new FormData(sample));
    written.textContent = found.text;
    written.hidden = false;
  } catch (error) {
    say(error.message, "bad");
  } finally {
    button.disabled = false;
    button.textContent = "Write";
  }
});

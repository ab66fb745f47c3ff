// Moves through the decisions by keyboard, and marks them without leaving the page.

import { ask, element, post, say } from "/static/console.js";

const rows = [...document.querySelectorAll("#decisions tbody tr")];
const one = document.getElementById("decision");
let here = -1;

function go(to) {
  if (!rows.length) return;
  rows[here]?.classList.remove("here");
  here = Math.max(0, Math.min(to, rows.length - 1));
  rows[here].classList.add("here");
  rows[here].querySelector(".when a").focus({ preventScroll: true });
  rows[here].scrollIntoView({ block: "nearest" });
}

async function mark(id, what) {
  try {
    const data = new FormData();
    if (what !== "undo") data.append("label", what);
    const done = await post(`/decisions/${id}/${what === "undo" ? "undo" : "mark"}`, data);
    say(done.said, "good");
    show(id, done.label);
  } catch (error) {
    say(error.message, "bad");
  }
}

function show(id, label) {
  const badge = label ? element("span", { class: `badge ${label}` }, one ? label : `marked ${label}`) : "";
  if (one) {
    const by = document.querySelector(".me-name").textContent;
    document.getElementById("stands").replaceChildren(...(label ? ["Marked ", badge, ` by ${by}.`] : ["Nobody has marked it."]));
  } else {
    rows.find((row) => row.dataset.id === id)?.querySelector(".said-label").replaceChildren(badge);
  }
}

const marks = { s: "spam", h: "ham", u: "undo" };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.target.matches("input:not([type=checkbox]), textarea, select") || document.querySelector("dialog[open]")) return;
  const id = one?.dataset.id ?? rows[here]?.dataset.id;
  if (event.key === "j") go(here + 1);
  else if (event.key === "k") go(here - 1);
  else if (event.key === "x" && rows[here]) rows[here].querySelector("input")?.click();
  else if (event.key === "Enter" && rows[here] && event.target === document.body) rows[here].querySelector("a").click();
  else if (event.key in marks && id && document.querySelector(one ? "[data-mark]" : ".bulk")) mark(id, marks[event.key]);
  else return;
  event.preventDefault();
});

for (const form of document.querySelectorAll("form[data-mark]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    mark(one.dataset.id, form.dataset.mark);
  });
}

const ticked = document.getElementById("ticked");
document.getElementById("list")?.addEventListener("change", () => {
  const count = rows.filter((row) => row.querySelector("input:checked")).length;
  ticked.textContent = count ? `${count} ticked` : "Tick messages to mark several.";
});

// the model takes a second to say why: the rest of the page need not wait
const why = document.getElementById("why");
if (why) {
  const line = why.querySelector("p");
  line.textContent = "The model reads it again …";
  ask(why.dataset.url, { as: "text" })
    .then((html) => why.replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes))
    .catch((error) => (line.textContent = error.message));
}

// "back" leads to the page of the list that one came from
const back = document.getElementById("back");
if (back) back.href = sessionStorage.getItem("decisions") ?? back.href;
else sessionStorage.setItem("decisions", location.pathname + location.search);

// The conversation beside a work item: what is said is sent in place, once, and the answer stands below it.
//
// The form has the id of its turn: sent again because its answer was lost, it is the same turn.

import { morph } from "./morph.js";
import { retellTimes } from "./times.js";

export function keepTalking() {
  const talk = document.querySelector("[data-talk]");
  if (!talk) return;
  toTheEnd(talk);
  talk.addEventListener("submit", (event) => {
    event.preventDefault();
    if (talk.getAttribute("aria-busy") !== "true") send(talk, event.target);
  });
  talk.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.form) {
      event.preventDefault();
      event.target.form.requestSubmit();
    }
  });
}

async function send(talk, form) {
  const body = new URLSearchParams(new FormData(form));
  talk.setAttribute("aria-busy", "true");
  state(talk, "Waiting for the answer…");
  try {
    const answer = await fetch(form.action, { method: "POST", body, headers: { "Holdfast-Fragment": "talk" } });
    if (answer.status === 401 || answer.status === 403) return state(talk, "Signed out, or not allowed: load the page again.");
    if (!answer.ok && answer.status !== 422) throw new Error(`${answer.status}`);
    const html = await answer.text();
    // Words that were had are not offered again; those that were not stay where they are.
    if (answer.ok) form.elements.message.value = "";
    morph(talk, html);
    retellTimes(talk);
    toTheEnd(talk);
    state(talk, answer.ok ? "" : "It was not said: see what stands at the field.");
    talk.querySelector("textarea")?.focus();
  } catch {
    state(talk, "Nothing is known to have been said. Send it again: it is had once only.");
  } finally {
    talk.removeAttribute("aria-busy");
  }
}

function state(talk, words) {
  const place = talk.querySelector("[data-talk-state]");
  if (place) place.textContent = words;
}

function toTheEnd(talk) {
  const turns = talk.querySelector(".talk-turns");
  if (turns) turns.scrollTop = turns.scrollHeight;
}

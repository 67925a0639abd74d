// Questions open on the page where one is; what is wrong with the answer stands in them.

const HEADER = "Holdfast-Fragment";

export function openDialogs() {
  const dialog = document.getElementById("dialog");
  if (!dialog) return;

  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-dialog]");
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    try {
      const answer = await fetch(link.href, { headers: { [HEADER]: "dialog" } });
      if (!answer.ok) throw new Error(`${answer.status}`);
      show(dialog, await answer.text(), link.href);
    } catch {
      location.assign(link.href);
    }
  });

  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest("[data-close]")) {
      event.preventDefault();
      dialog.close();
    }
  });

  dialog.addEventListener("submit", async (event) => {
    const form = event.target;
    if ((form.method || "get").toLowerCase() !== "post") return;
    event.preventDefault();
    const sent = new URLSearchParams(new FormData(form, event.submitter));
    const address = event.submitter?.getAttribute("formaction") || form.getAttribute("action") || dialog.dataset.src;
    dialog.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(address, { method: "POST", body: sent, headers: { [HEADER]: "dialog" } });
      const to = answer.headers.get("Holdfast-Go");
      if (to !== null) return go(to);
      show(dialog, await answer.text(), dialog.dataset.src);
    } catch {
      say(dialog, "The server cannot be reached; nothing is known to have been done. Try again.");
    } finally {
      dialog.removeAttribute("aria-busy");
    }
  });
}

function show(dialog, html, source) {
  dialog.innerHTML = html;
  dialog.dataset.src = source;
  const title = dialog.querySelector("h1, h2");
  if (title) dialog.setAttribute("aria-label", title.textContent);
  if (!dialog.open) dialog.showModal();
  const wrong = dialog.querySelector("[aria-invalid]");
  (wrong || dialog.querySelector("[autofocus], input:not([type=hidden]), textarea, select, button"))?.focus();
}

function say(dialog, words) {
  const message = document.createElement("p");
  message.className = "said said-failed";
  message.setAttribute("role", "alert");
  message.textContent = words;
  dialog.prepend(message);
}

function go(to) {
  const here = location.pathname + location.search;
  if (to === here) location.reload();
  else location.assign(to);
}

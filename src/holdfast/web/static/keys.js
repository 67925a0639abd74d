// Keys: g and a letter goes to a page, / to the search, j and k through a list, ? says which there are; other letters do
// to the row that has the focus, or to the first one, what a button in it says that they do.

export function listenToKeys() {
  let prefix = 0;
  document.addEventListener("keydown", (event) => {
    if (document.body.dataset.keys === "off" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, [contenteditable], dialog")) return;
    const going = Date.now() - prefix < 1200;
    prefix = 0;
    if (going) {
      const link = document.querySelector(`[data-go="${CSS.escape(event.key)}"]`);
      if (link) return act(event, () => link.click());
    }
    if (event.key === "g") prefix = Date.now();
    else if (event.key === "?") act(event, () => document.querySelector('a[data-keys-help]')?.click());
    else if (event.key === "t") act(event, () => document.querySelector("[data-theme-form] button")?.click());
    else if (event.key === "/") act(event, () => [...document.querySelectorAll('[data-hotkey="/"]')].pop()?.focus());
    else if (event.key === "j" || event.key === "k") act(event, () => step(event.key === "j" ? 1 : -1));
    else if (event.key === "x") document.activeElement?.closest("[data-row]")?.querySelector("input[type=checkbox]")?.click();
    else if (/^[a-z]$/.test(event.key)) {
      const hot = `[data-hot="${event.key}"]`;
      const row = document.activeElement?.closest("[data-row]");
      const button = row ? row.querySelector(hot) : document.querySelector(`[data-row] ${hot}`);
      if (button) act(event, () => button.click());
    }
  });
}

function act(event, what) {
  event.preventDefault();
  what();
}

// The list's rows: each has one link that is its own.
function step(by) {
  const rows = [...document.querySelectorAll("[data-row]")];
  const here = rows.indexOf(document.activeElement?.closest("[data-row]"));
  const row = rows[here < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, here + by))];
  row?.querySelector("a")?.focus();
}

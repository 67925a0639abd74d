// Texts that are copied with a click.

export function copyOnClick() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    event.preventDefault();
    if (!(await copied(button.dataset.copy))) return;
    button.classList.add("done");
    button.title = "Copied";
    setTimeout(() => {
      button.classList.remove("done");
      button.title = "Copy";
    }, 1500);
  });
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Away from https and localhost browsers have no clipboard but this one.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

// The timeline: an entry opens in place, and dragging over the bars shows a stretch of time closer. Without scripts
// links and a form do the same.

import { goInPlace } from "./live.js";

const LEAST = 6;

export function useTimelines() {
  brush();
  if (!document.querySelector("[data-timeline]")) return;
  seeEntry();
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("[data-timeline] .tl-label a, a[data-leave-entry]");
    if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    await goInPlace(link.href);
    if (link.closest("[data-timeline]")) seeEntry();
  });
  addEventListener("popstate", () => goInPlace(location.href, false));
}

// Where the panel stands below the timeline, it is scrolled to.
function seeEntry() {
  const panel = document.getElementById("entry");
  if (panel && matchMedia("(max-width: 75rem)").matches) panel.scrollIntoView({ block: "start" });
}

function brush() {
  let drag = null;

  document.addEventListener("pointerdown", (event) => {
    const bars = event.target.closest("[data-timeline] .tl-bars");
    if (!bars || event.button || event.pointerType === "touch") return;
    const timeline = bars.closest("[data-timeline]");
    const area = bars.getBoundingClientRect();
    drag = { timeline, area, from: event.clientX, brush: timeline.querySelector("[data-brush]") };
    event.preventDefault();
  });

  document.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const [left, right] = ends(drag, event.clientX);
    const body = drag.brush.parentElement.getBoundingClientRect();
    drag.brush.hidden = right - left < LEAST;
    // Written through the object model, which the policy allows; an attribute it would not.
    drag.brush.style.left = `${left - body.left}px`;
    drag.brush.style.width = `${right - left}px`;
  });

  document.addEventListener("pointerup", (event) => {
    if (!drag) return;
    const [left, right] = ends(drag, event.clientX);
    const { timeline, area, brush } = drag;
    drag = null;
    brush.hidden = true;
    if (right - left < LEAST) return;
    const since = Number(timeline.dataset.from);
    const seconds = (Number(timeline.dataset.until) - since) / area.width;
    const address = new URL(location.href);
    address.searchParams.set("from", (since + (left - area.left) * seconds).toFixed(4));
    address.searchParams.set("until", (since + (right - area.left) * seconds).toFixed(4));
    address.searchParams.delete("after");
    location.assign(address);
  });

  addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !drag) return;
    drag.brush.hidden = true;
    drag = null;
  });
}

function ends({ from, area }, to) {
  const clip = (x) => Math.min(Math.max(x, area.left), area.right);
  return [Math.min(clip(from), clip(to)), Math.max(clip(from), clip(to))];
}

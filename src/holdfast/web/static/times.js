// Instants as people say them ("3 min ago"), kept right; lengths of time that go on; the zone for the server.

import { remember, remembered } from "./cookie.js";

// How far the server's clock is ahead of this one.
let ahead = 0;

export function tellTimes() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && remembered("holdfast_zone") !== zone) remember("holdfast_zone", zone);
  const now = Date.parse(document.body.dataset.now);
  if (now) ahead = now - Date.now();
  retellTimes(document);
  setInterval(() => {
    if (!document.hidden) retellTimes(document);
  }, 1000);
}

export function retellTimes(root) {
  const now = Date.now() + ahead;
  for (const element of root.querySelectorAll("time[data-time]")) {
    const at = Date.parse(element.dateTime);
    say(element, element.dataset.time === "both" ? `${local(at)} (${relative(at, now)})` : relative(at, now));
  }
  for (const element of root.querySelectorAll("[data-since]")) {
    say(element, length(Math.max(0, now - Date.parse(element.dataset.since)) / 1000));
  }
}

function local(at) {
  return new Date(at).toLocaleString("sv-SE");
}

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function relative(at, now) {
  const seconds = Math.round((now - at) / 1000);
  const away = Math.abs(seconds);
  if (away < 3) return "just now";
  const units = [[60, 1, "s"], [3600, 60, "min"], [172800, 3600, "h"], [2592000, 86400, "d"]];
  const unit = units.find(([below]) => away < below);
  if (unit === undefined) {
    return new Date(at).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
  }
  // What has passed is counted in full; what is to come is rounded.
  const said = `${seconds < 0 ? Math.round(away / unit[1]) : Math.floor(away / unit[1])} ${unit[2]}`;
  return seconds < 0 ? `in ${said}` : `${said} ago`;
}

// As the server writes lengths of time; below ten seconds it goes on in whole ones, so as not to flicker.
export function length(seconds) {
  const whole = Math.floor(seconds);
  for (const [unit, size, lower, below] of [["d", 86400, "h", 3600], ["h", 3600, "min", 60], ["min", 60, "s", 1]]) {
    if (whole >= size) {
      const rest = Math.floor((whole % size) / below);
      return `${Math.floor(whole / size)} ${unit}${rest ? ` ${rest} ${lower}` : ""}`;
    }
  }
  return `${whole} s`;
}

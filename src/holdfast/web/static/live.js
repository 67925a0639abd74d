// Keeps parts of a page live: listens to the server's events, and renews what they are about.
//
// An element with data-live=BLOCK and data-stream=ADDRESS is renewed with that block of the page, asked for anew
// whenever the stream says that something changed, one request at a time, and rested for as long as it took.

import { morph } from "./morph.js";
import { retellTimes } from "./times.js";

const EVENTS = ["changed", "run", "entry", "reset", "gone"];
const REST = 300;
const PATIENCE = 2500;

export function keepLive() {
  const addresses = new Set([...document.querySelectorAll("[data-stream]")].map((one) => one.dataset.stream));
  for (const address of addresses) if (address) new Stream(address).begin();
}

class Stream {
  constructor(address) {
    this.address = address;
    this.source = null;
    this.tries = 0;
    this.lost = null;
    this.busy = false;
    this.dirty = false;
    this.seen = new Map();
  }

  begin() {
    // A page that nobody sees holds no connection: a browser has only six for all pages of a server.
    document.addEventListener("visibilitychange", () => (document.hidden ? this.close() : this.open(true)));
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", (event) => event.persisted && this.open(true));
    if (!document.hidden) this.open(false);
  }

  open(again) {
    if (this.source) return;
    const source = new EventSource(this.address);
    this.source = source;
    source.addEventListener("open", () => {
      this.tries = 0;
      this.found();
      if (again) this.renew();
      again = true; // it opens again by itself, and something may have been missed
    });
    source.addEventListener("error", () => {
      this.missing();
      if (source.readyState !== EventSource.CLOSED || this.source !== source) return;
      this.close();
      this.tries += 1;
      setTimeout(() => !document.hidden && this.open(true), Math.min(30000, 500 * 2 ** this.tries));
    });
    for (const name of EVENTS) source.addEventListener(name, () => this.renew());
  }

  close() {
    this.source?.close();
    this.source = null;
  }

  // The stream is lost: said only when it stays so for a moment.
  missing() {
    this.lost ??= setTimeout(() => state("stale", "Not live: trying again"), PATIENCE);
  }

  found() {
    clearTimeout(this.lost);
    this.lost = null;
    state("live", "");
  }

  async renew() {
    this.dirty = true;
    if (this.busy) return;
    this.busy = true;
    while (this.dirty) {
      this.dirty = false;
      const begun = performance.now();
      try {
        await Promise.all([...document.querySelectorAll("[data-live]")].map((one) => this.renewOne(one)));
      } catch {
        this.missing();
      }
      await new Promise((resolve) => setTimeout(resolve, Math.max(REST, performance.now() - begun)));
    }
    this.busy = false;
  }

  async renewOne(element) {
    if (element.dataset.stream !== this.address) return;
    const block = element.dataset.live;
    const address = location.href;
    const answer = await fetch(address, { headers: { "Holdfast-Fragment": block } });
    if (answer.status === 401) return state("stale", "Signed out: load the page again");
    if (answer.status === 404) return state("stale", "Gone: this is how it was");
    if (!answer.ok) throw new Error(`${answer.status}`);
    const html = await answer.text();
    // Meanwhile the viewer may have gone to another address of the page.
    if (this.seen.get(block) === html || address !== location.href) return;
    this.seen.set(block, html);
    take(element, html);
  }
}

function take(element, html) {
  morph(element, html);
  retellTimes(element);
}

// Goes to another address of the same page, in place: its live part alone is asked for.
export async function goInPlace(address, push = true) {
  const element = document.querySelector("[data-live]");
  const answer = await fetch(address, { headers: { "Holdfast-Fragment": element.dataset.live } });
  if (!answer.ok) return location.assign(address);
  const html = await answer.text();
  if (push) history.pushState({ inPlace: true }, "", address);
  take(element, html);
}

function state(name, words) {
  document.documentElement.dataset.stream = name;
  for (const place of document.querySelectorAll("[data-stream-state]")) {
    place.textContent = words;
    place.hidden = !words;
  }
}

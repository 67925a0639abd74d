// Moves an element over to new content with as few changes as it can: what has focus keeps it, folds stay as people
// left them, what they typed or ticked stays, and what scrolls stays where it is.
//
// Children that have an id or a data-key are found by it; others by their name and class, in their order. Space
// between elements is not compared.

const AHEAD = 8;

export function morph(element, html) {
  const next = element.cloneNode(false);
  next.innerHTML = html;
  children(element, next);
}

function children(old, next) {
  const exact = old.nodeName === "PRE";
  const wanted = new Set([...next.children].map(keyOf).filter(Boolean));
  const keyed = new Map();
  for (const child of [...old.children]) {
    const key = keyOf(child);
    if (key && !wanted.has(key)) child.remove();
    else if (key) keyed.set(key, child);
  }
  let place = old.firstChild;
  let space = null;
  for (const child of [...next.childNodes]) {
    if (!exact && isSpace(child)) {
      space = child;
      continue;
    }
    while (!exact && place && isSpace(place)) place = place.nextSibling;
    const key = keyOf(child);
    const same = key ? keyed.get(key) : found(place, child);
    if (same && same.nodeName === child.nodeName) {
      place = reach(old, place, same);
      one(same, child);
    } else {
      if (child.dataset?.key) child.classList.add("live-new");
      if (space) old.insertBefore(space, place);
      old.insertBefore(child, place);
    }
    space = null;
  }
  while (place) {
    const after = place.nextSibling;
    place.remove();
    place = after;
  }
}

function isSpace(node) {
  return node.nodeType === Node.TEXT_NODE && !node.nodeValue.trim();
}

function keyOf(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.id || node.dataset?.key || "" : "";
}

// The next one of its kind that has no key, a few places on at most. An only child may change its class.
function found(place, child) {
  for (let node = place, steps = 0; node && steps < AHEAD; node = node.nextSibling, steps += 1) {
    if (node.nodeName !== child.nodeName || keyOf(node)) continue;
    if (node.nodeType !== Node.ELEMENT_NODE || classOf(node) === classOf(child)) return node;
    if (isOnly(node) && isOnly(child)) return node;
  }
  return null;
}

function classOf(element) {
  return element.getAttribute("class") ?? "";
}

function isOnly(element) {
  return !element.previousElementSibling && !element.nextElementSibling;
}

// Brings a node to a place, best by taking away what is in between; gives the place behind it. A node that is moved
// loses the focus, so that it is given back.
function reach(old, place, same) {
  let node = place;
  while (node && node !== same && !keyOf(node)) node = node.nextSibling;
  if (node === same) {
    while (place !== same) {
      const after = place.nextSibling;
      if (!isSpace(place)) place.remove();
      place = after;
    }
    return same.nextSibling;
  }
  const active = document.activeElement;
  old.insertBefore(same, place);
  if (same.contains(active)) active.focus({ preventScroll: true });
  return place;
}

function one(old, next) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== next.nodeValue) old.nodeValue = next.nodeValue;
    return;
  }
  if (old.isEqualNode(next)) return;
  attributes(old, next);
  if (old.nodeName !== "TEXTAREA") children(old, next);
}

function attributes(old, next) {
  for (const { name, value } of [...next.attributes]) {
    if (name === "open" && old.nodeName === "DETAILS") continue;
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (name === "open" && old.nodeName === "DETAILS") continue;
    if (!next.hasAttribute(name)) old.removeAttribute(name);
  }
}

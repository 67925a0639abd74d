// The few things that a browser remembers for us: theme, time zone, whether keys are listened to.

export function remember(name, value) {
  const root = document.body.dataset.root || "/";
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `${name}=${encodeURIComponent(value)}; path=${root}; max-age=31536000; samesite=lax${secure}`;
}

export function remembered(name) {
  const found = document.cookie.split("; ").find((one) => one.startsWith(`${name}=`));
  return found === undefined ? "" : decodeURIComponent(found.slice(name.length + 1));
}

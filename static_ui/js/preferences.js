/** What this browser remembers: language, looks, crop, and the key. Storage that is forbidden forgets and does not fail. */

const memory = new Map();

function keep(storage, name, value) {
  try {
    if (value == null) window[storage].removeItem(name);
    else window[storage].setItem(name, value);
  } catch {
    memory.set(name, value);
  }
}

function recall(storage, name) {
  try {
    return window[storage].getItem(name);
  } catch {
    return memory.get(name) ?? null;
  }
}

const PREFIX = "leaf-check:";

/** A preference, or the fallback. Names: language, theme, crop, history. */
export const preference = (name, fallback = null) => recall("localStorage", PREFIX + name) ?? fallback;

/** Keep a preference on this device; null forgets it. */
export const prefer = (name, value) => keep("localStorage", PREFIX + name, value);

const KEY = `${PREFIX}key`;

/** The API key, or null. */
export const apiKey = () => recall("sessionStorage", KEY) ?? recall("localStorage", KEY);

/** Whether the key outlives this tab. */
export const isKeyKept = () => recall("localStorage", KEY) != null;

/** Use a key until the tab is closed, or on this device until it is forgotten; null forgets it everywhere. */
export function useKey(key, onThisDevice) {
  keep("sessionStorage", KEY, onThisDevice ? null : key);
  keep("localStorage", KEY, onThisDevice ? key : null);
}

/** Show the page in the colours preferred: auto, light or dark. */
export function applyTheme() {
  const theme = preference("theme", "auto");
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

/** Building elements. Text only ever becomes text nodes, so whatever markup it holds is shown and not run. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element.
 * @param {string} tag with classes: "p.lead.small"
 * @param {object} props attributes; `on` holds listeners; a DOM property such as `value` is set as one; false and null are left out
 * @param {...(Node|string|null|false|Array)} children
 */
export function h(tag, props, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === false || value == null) continue;
    if (key === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (PROPERTIES.has(key)) element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "srcObject", "muted", "indeterminate", "selected"]);

/** An icon of the sprite in index.html; says nothing to a screen reader. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** A button with an icon and a text. */
export function button(label, { icon: symbol, kind = "", ...props } = {}, onClick) {
  return h(`button.button${kind && `.${kind}`}`, { type: "button", ...props, on: { click: onClick } }, symbol && icon(symbol), h("span", null, label));
}

const polite = document.getElementById("polite");

/** Tell a screen reader, without moving the focus. */
export function say(text) {
  // The same text twice would be no change, and so would not be read.
  polite.textContent = polite.textContent === text ? `${text}\u00a0` : text;
}

/** Put the focus on the heading of what has just appeared. */
export function focusOn(element) {
  if (!element.hasAttribute("tabindex") && !element.matches("button, a, input, select, summary")) element.tabIndex = -1;
  element.focus();
}

const urls = new WeakMap();

/** An address for a blob, the same one every time. */
export function urlOf(blob) {
  if (!urls.has(blob)) urls.set(blob, URL.createObjectURL(blob));
  return urls.get(blob);
}

/** Let go of a blob's address. */
export function forget(blob) {
  if (urls.has(blob)) URL.revokeObjectURL(urls.get(blob));
  urls.delete(blob);
}

/** Have the browser save a blob as a file. */
export function download(blob, name) {
  h("a", { href: urlOf(blob), download: name }).click();
  setTimeout(() => forget(blob), 60_000);
}

/** Which view is shown: the fragment of the address, so that back, forward and reload work on any host. */

import { focusOn } from "./dom.js";

const VIEWS = {
  start: () => import("./views/start.js"),
  plant: () => import("./views/plant.js"),
  many: () => import("./views/many.js"),
  history: () => import("./views/history.js"),
  settings: () => import("./views/settings.js"),
};

const main = document.getElementById("main");
let leave = null;
let shown = 0;

/** Go to a view, as a new entry of the browser's history. */
export function go(path) {
  if (location.hash === `#${path}` || (path === "/" && !location.hash)) show();
  else location.hash = path;
}

/** Draw the view that the address names. */
export async function show({ isFirst = false } = {}) {
  const turn = ++shown;
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  const view = Object.hasOwn(VIEWS, name) ? name : "start";
  const { render } = await VIEWS[view]();
  const content = document.createElement("div");
  content.className = `view view-${view}`;
  leave?.();
  leave = null;
  const left = await render(content, ...rest.map(decodeURIComponent));
  // Somebody may have gone on while this view was being made.
  if (turn !== shown) return left?.();
  leave = left ?? null;
  main.replaceChildren(content);
  for (const tab of document.querySelectorAll("[data-tab]")) {
    if (tab.dataset.tab === view || (view === "plant" && tab.dataset.tab === "start")) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  if (!isFirst) {
    window.scrollTo(0, 0);
    focusOn(content.querySelector("h1") ?? main);
  }
}

/** Listen to the address. */
export function listen() {
  window.addEventListener("hashchange", () => {
    // The skip link is no view.
    if (location.hash !== "#main") show();
  });
}

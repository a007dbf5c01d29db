/** Keeps the shell of the page, so that it opens without a line. The list and its version: `python tools/page.py`. */

// generated: start
const VERSION = "126ea5be7116";
const SHELL = [
  "css/page.css",
  "icons/icon.svg",
  "index.html",
  "js/api.js",
  "js/app.js",
  "js/camera.js",
  "js/csv.js",
  "js/dom.js",
  "js/heat.js",
  "js/i18n.js",
  "js/parts.js",
  "js/photos.js",
  "js/preferences.js",
  "js/router.js",
  "js/store.js",
  "js/views/history.js",
  "js/views/many.js",
  "js/views/plant.js",
  "js/views/settings.js",
  "js/views/start.js",
  "locales/en.json",
  "manifest.webmanifest"
];
// generated: end

const CACHE = `shell-${VERSION}`;
const scope = new URL(self.registration.scope);
const shells = async () => (await caches.keys()).filter((name) => name.startsWith("shell-"));

self.addEventListener("install", (event) => {
  event.waitUntil(
    (async () => {
      // The languages in use go along.
      const used = new Set();
      for (const name of await shells()) {
        for (const { url } of await (await caches.open(name)).keys()) if (/\/locales\/[^/]+$/.test(url)) used.add(url.slice(scope.href.length));
      }
      // Past the HTTP cache: all files of one version, and none of another.
      const wanted = [...new Set([...SHELL, ...used])].map((path) => new Request(path, { cache: "reload" }));
      await (await caches.open(CACHE)).addAll(wanted);
    })(),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await shells()) if (name !== CACHE) await caches.delete(name);
      await self.clients.claim();
    })(),
  );
});

self.addEventListener("message", (event) => {
  if (event.data === "take over") self.skipWaiting();
  // The first visit loaded this before there was a worker to keep it.
  if (event.data.keep) event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(event.data.keep)));
});

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== scope.origin || !url.pathname.startsWith(scope.pathname)) return;
  const path = url.pathname.slice(scope.pathname.length) || "index.html";
  if (path === "config.json") event.respondWith(fromNetwork(event.request));
  else if (SHELL.includes(path) || /^(locales|examples)\/[^/]+$/.test(path)) event.respondWith(fromCache(path, event.request));
});

/** What a version consists of does not change; what it has not been asked for yet is fetched once. */
async function fromCache(path, request) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(path);
  if (kept) return kept;
  const answer = await fetch(request);
  if (answer.ok) await cache.put(path, answer.clone());
  return answer;
}

/** What a deployment may change at any time: its last state where there is no line. */
async function fromNetwork(request) {
  const cache = await caches.open(CACHE);
  try {
    const answer = await fetch(request);
    if (answer.ok) await cache.put("config.json", answer.clone());
    return answer;
  } catch {
    return (await cache.match("config.json")) ?? Response.error();
  }
}

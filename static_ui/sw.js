/** Keeps the shell of the page, so that it opens without a line. The list and its version: `python tools/page.py`. */

// generated: start
const VERSION = "";
const SHELL = [];
// generated: end

const CACHE = `shell-${VERSION}`;

self.addEventListener("install", (event) => {
  // Past the HTTP cache: all files of one version, and none of another.
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(SHELL.map((path) => new Request(path, { cache: "reload" })))));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) if (name.startsWith("shell-") && name !== CACHE) await caches.delete(name);
      await self.clients.claim();
    })(),
  );
});

self.addEventListener("message", (event) => {
  if (event.data === "take over") self.skipWaiting();
});

const scope = new URL(self.registration.scope);

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

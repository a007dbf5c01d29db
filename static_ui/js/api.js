/** The three functions over HTTP: deadlines, cancelling, retries where they are safe, problems, and what is left of the limits. */

import { apiKey } from "./preferences.js";

const ANSWER_MS = 60_000;
const BUSY_TRIES = 2;
const LONGEST_WAIT_S = 30;

/** The service said no. The fields are those of its problem document. */
export class Problem extends Error {
  constructor({ status, code = "", title = "", detail = "", request_id: requestId = "" }, retryAfter = null) {
    super(detail || title);
    Object.assign(this, { status, code, title, detail, requestId, retryAfter });
  }
}

/** There was no answer. `kind`: offline, network, timeout, broken. */
export class NoAnswer extends Error {
  constructor(kind) {
    super(kind);
    this.kind = kind;
  }
}

/** Where the functions are: config.json beside the page. */
let config;

export async function configure() {
  const answer = await fetch(new URL("../config.json", import.meta.url));
  config = answer.ok ? await answer.json() : {};
}

export const maxRequestBytes = () => config.max_request_bytes ?? 4_000_000;

const addressOf = (name, path) => new URL(path, new URL(config.endpoints?.[name] ?? "./", document.baseURI));

/** What the last answers said about the limits of this key: name -> {most, left, resetsAt}. */
export const limits = new Map();

/**
 * Lists of structured fields (RFC 9651), as far as RateLimit and RateLimit-Policy need them: `"predict";r=59;t=30, "quota";r=7`.
 * @returns {Map<string, Record<string, number>>}
 */
export function parseItems(field) {
  const items = new Map();
  for (const [, name, params] of (field ?? "").matchAll(/"((?:[^"\\]|\\.)*)"([^,"]*)/g)) {
    items.set(name, Object.fromEntries([...params.matchAll(/;\s*([a-z]+)=(\d+)/g)].map(([, key, value]) => [key, Number(value)])));
  }
  return items;
}

function noteLimits(headers) {
  const policies = parseItems(headers.get("RateLimit-Policy"));
  for (const [name, { r: left, t: seconds }] of parseItems(headers.get("RateLimit"))) {
    limits.set(name, { left, most: policies.get(name)?.q, resetsAt: seconds == null ? null : Date.now() + seconds * 1000 });
  }
}

/** Seconds of a Retry-After, which may also be a date. */
function retryAfterOf(headers) {
  const field = headers.get("Retry-After");
  if (!field) return null;
  return /^\d+$/.test(field) ? Number(field) : Math.max(1, Math.ceil((Date.parse(field) - Date.now()) / 1000)) || null;
}

async function problemOf(answer) {
  const retryAfter = retryAfterOf(answer.headers);
  try {
    if (answer.headers.get("Content-Type")?.includes("json")) return new Problem({ ...(await answer.json()), status: answer.status }, retryAfter);
  } catch {
    // Cut off; the status is all there is.
  }
  return new Problem({ status: answer.status, requestId: answer.headers.get("X-Request-Id") ?? "" }, retryAfter);
}

/** One request. Ends with an answer below 400, a Problem, a NoAnswer, or the AbortError of the signal. */
async function request(url, { signal, deadlineMs = ANSWER_MS, isOurs = true, ...options } = {}) {
  if (navigator.onLine === false) throw new NoAnswer("offline");
  const key = isOurs && apiKey();
  const headers = { ...options.headers, ...(key && { "X-API-Key": key }) };
  const deadline = AbortSignal.timeout(deadlineMs);
  try {
    const answer = await fetch(url, { ...options, headers, credentials: "omit", cache: "no-store", signal: signal ? AbortSignal.any([signal, deadline]) : deadline });
    if (isOurs) noteLimits(answer.headers);
    if (!answer.ok) throw await problemOf(answer);
    return answer;
  } catch (error) {
    if (error instanceof Problem || signal?.aborted) throw error;
    throw new NoAnswer(deadline.aborted ? "timeout" : navigator.onLine === false ? "offline" : "network");
  }
}

/**
 * The same, and again where the service was busy: a 503 says that nothing was done and nothing counted.
 * Any other failure of a POST is left to the person: the photo may have been diagnosed, and counted, before the line broke.
 */
async function patiently(url, options) {
  for (let tries = 0; ; tries++) {
    try {
      return await request(url, options);
    } catch (error) {
      if (error.status !== 503 || !(error.retryAfter <= LONGEST_WAIT_S) || tries === BUSY_TRIES) throw error;
      options.onBusy?.(error.retryAfter);
      await pause(error.retryAfter * 1000, options.signal);
    }
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });
}

function formOf(photos, field) {
  const form = new FormData();
  for (const photo of photos) form.append(field, photo.blob, photo.name);
  return form;
}

/**
 * Diagnose one plant.
 * @param {import("./photos.js").Photo[]} photos
 * @param {{crop?: string, uris?: string[], signal?: AbortSignal, onBusy?: (seconds: number) => void}} options uris: of uploads, in place of the photos
 */
export async function predict(photos, { crop, uris, ...options }) {
  const url = addressOf("predict", "predict");
  url.search = new URLSearchParams({ top_k: "5", details: "true", ...(crop && { crop }) });
  const body = uris ? { body: JSON.stringify({ image_uris: uris }), headers: { "Content-Type": "application/json" } } : { body: formOf(photos, "image") };
  return (await patiently(url, { method: "POST", ...body, ...options })).json();
}

/** The heat of a photo for a class, in grey. */
export async function heatmap(blob, { target, contrast, ...options }) {
  const url = addressOf("explain", "explain");
  url.search = new URLSearchParams({ format: "heatmap", target, ...(contrast && { contrast }) });
  return (await patiently(url, { method: "POST", body: blob, headers: { "Content-Type": blob.type }, ...options })).blob();
}

/**
 * Diagnose many plants, a photo each.
 * @param {(item: object) => void} onItem called with each item as it arrives
 */
export async function batch(photos, { crop, onItem, ...options }) {
  const url = addressOf("batch", "batch");
  url.search = new URLSearchParams(crop ? { crop } : {});
  const answer = await patiently(url, { method: "POST", body: formOf(photos, "images"), headers: { Accept: "application/x-ndjson" }, deadlineMs: 2 * ANSWER_MS, ...options });
  for await (const item of itemsOf(answer.body, options.signal)) {
    // The last line; without it the stream was broken off.
    if ("summary" in item) return;
    onItem(item);
  }
  throw new NoAnswer(navigator.onLine === false ? "offline" : "broken");
}

/** The documents of a stream, one a line; ends early where the stream does. */
async function* itemsOf(stream, signal) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value = "", done } = await reader.read().catch((error) => {
      if (signal?.aborted) throw error;
      return { done: true };
    });
    const lines = (rest + value).split("\n");
    // What has no line break at its end may be half a document.
    rest = lines.pop();
    for (const line of lines) if (line.trim()) yield JSON.parse(line);
    if (done) return;
  }
}

/** Upload a photo as it is; the address that names it afterwards. */
export async function upload(file, options) {
  const question = JSON.stringify({ content_type: file.type, size: file.size });
  const asked = await patiently(addressOf("predict", "uploads"), { method: "POST", body: question, headers: { "Content-Type": "application/json" }, ...options });
  const { upload_url: url, headers, image_uri: uri } = await asked.json();
  // The address carries its own leave: the key is not for the bucket.
  await request(new URL(url, document.baseURI), { method: "PUT", body: file, headers, deadlineMs: 5 * ANSWER_MS, ...options, isOurs: false });
  return uri;
}

/** Every class of the model; asking also wakes a function that sleeps. */
export async function classes() {
  return (await (await patiently(addressOf("predict", "classes"), {})).json()).classes;
}

/** Whether the model is loaded: false while it is warming up, null if nobody can say. */
export async function isReady(signal) {
  try {
    const answer = await fetch(addressOf("predict", "health/live"), { cache: "no-store", credentials: "omit", signal });
    return answer.ok ? !["idle", "loading"].includes((await answer.json()).model) : null;
  } catch {
    return null;
  }
}

/** What this key has used and has left. */
export async function usage() {
  return (await request(addressOf("predict", "usage"))).json();
}

/** Diagnoses kept in this browser (IndexedDB), and nowhere else. Where there is no IndexedDB, they last as long as the page. */

import { preference } from "./preferences.js";

const NAME = "leaf-check";
const STORE = "diagnoses";

/**
 * @typedef {{id: string, created: number, crop: string, photos: {name: string, blob: Blob, width: number, height: number}[], thumbnail: Blob, answer: object}} Diagnosis
 */

/** Diagnoses of this visit, newest last; all there is if the browser keeps nothing. */
const visit = new Map();

let opened;

function database() {
  opened ??= new Promise((resolve) => {
    let request;
    try {
      request = indexedDB.open(NAME, 1);
    } catch {
      return resolve(null);
    }
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = request.onblocked = () => resolve(null);
  });
  return opened;
}

async function run(mode, work) {
  const db = await database();
  if (!db) return null;
  return new Promise((resolve) => {
    try {
      const transaction = db.transaction(STORE, mode);
      const request = work(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = transaction.onabort = () => resolve(null);
    } catch {
      resolve(null);
    }
  });
}

/** Whether diagnoses are to outlive this visit. */
export const isKept = () => preference("history", "on") === "on";

/** Keep a diagnosis, in place of an earlier one with its id. */
export async function put(diagnosis) {
  visit.set(diagnosis.id, diagnosis);
  if (isKept()) await run("readwrite", (store) => store.put(diagnosis));
}

/** @returns {Promise<Diagnosis|undefined>} */
export async function get(id) {
  return visit.get(id) ?? (await run("readonly", (store) => store.get(id))) ?? undefined;
}

/** All of them, newest first. @returns {Promise<Diagnosis[]>} */
export async function list() {
  const kept = (await run("readonly", (store) => store.getAll())) ?? [];
  const all = new Map([...kept, ...visit.values()].map((each) => [each.id, each]));
  return [...all.values()].sort((a, b) => b.created - a.created);
}

/** Forget one. */
export async function remove(id) {
  visit.delete(id);
  await run("readwrite", (store) => store.delete(id));
}

/** Forget all. */
export async function clear() {
  visit.clear();
  await run("readwrite", (store) => store.clear());
}

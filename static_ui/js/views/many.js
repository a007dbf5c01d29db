/** Many photos, each of a plant of its own: a table that fills as the answers arrive. */

import { batch, maxRequestBytes } from "../api.js";
import { button, download, h, icon, say } from "../dom.js";
import { className, currentLanguage, percent, t } from "../i18n.js";
import { acceptDropsAndPastes, badge, cropField, kindOf, picture, pickers, showProblem, watch } from "../parts.js";
import { prepare, thumbnail } from "../photos.js";
import { preference } from "../preferences.js";
import { go } from "../router.js";
import { choosePhoto } from "./start.js";

/** As many as one request may have; sent in smaller parts, so that the first answers are there soon. */
const MOST_AT_ONCE = 16;
const NOT_SENT = "not_sent";

/**
 * A photo and what became of it. `state`: waiting, sent, ok, failed.
 * @typedef {{index: number, file: File, name: string, state: string, photo?: object, thumbnail?: Blob, item?: object, reason?: string}} Row
 */

/** They outlive a look at another view. @type {Row[]} */
const rows = [];
const shown = { sort: "index", descending: false, filter: "all", text: "" };
let running = null;

/** What a row is called in the filter: healthy, diagnosed, uncertain, rejected, failed, waiting. */
const kindOfRow = ({ state, item }) => (state === "ok" ? kindOf(item) : state === "failed" ? "failed" : "waiting");

const SORTS = {
  index: (row) => row.index,
  name: (row) => row.name,
  result: (row) => (row.state === "ok" ? className(row.item.predictions[0]) : "\uffff"),
  probability: (row) => (row.state === "ok" ? row.item.predictions[0].probability : -1),
  kind: (row) => kindOfRow(row),
};

/** Phones show rows as a grid, which by itself is no table to a screen reader; so the roles are said. */
const cell = (name, ...children) => h(`td.${name}`, { role: "cell" }, ...children);

export function render(root) {
  const place = h("div.place");
  const head = h("div.stack");
  const progress = h("progress", { "aria-label": t("many.progress") });
  const counter = h("p", { "aria-live": "off" });
  const waiting = h("p.hint");
  const bar = h("div.card.progress", { hidden: true }, progress, counter, waiting, button(t("cancel"), { kind: "quiet" }, () => running?.abort()));
  const tools = h("div.tools", { hidden: true });
  const table = h("div.table-frame", { hidden: true, tabindex: "0", role: "region", "aria-labelledby": "many-title" });

  function add(files) {
    for (const file of files) rows.push({ index: rows.length, file, name: file.name, state: "waiting" });
    fill();
    work(rows.filter(({ state }) => state === "waiting"));
  }

  /** Send rows in parts that fit into a request, one part after another; what stops one part stops all. */
  async function work(queue) {
    if (running || !queue.length) return;
    running = new AbortController();
    const { signal } = running;
    for (const row of queue) Object.assign(row, { state: "waiting", reason: undefined });
    place.replaceChildren();
    let stoppedBy = null;
    try {
      while (queue.length && !signal.aborted) {
        const part = await nextPart(queue, signal);
        if (part.length) await send(part, signal);
        // What was added meanwhile has its turn too.
        if (!queue.length) queue.push(...rows.filter(({ state }) => state === "waiting"));
      }
    } catch (error) {
      if (!signal.aborted) stoppedBy = error;
    } finally {
      const reason = t(stoppedBy ? "many.noAnswer" : "cancelled");
      for (const row of rows) if (row.state === "sent" || row.state === "waiting") fail(row, reason);
      running.abort();
      running = null;
      fill();
      say(t("many.done", counts()));
    }
    if (stoppedBy) showProblem(place, stoppedBy, () => work(rows.filter(({ code }) => code === NOT_SENT)));
  }

  async function nextPart(queue, signal) {
    const part = [];
    let bytes = 0;
    while (queue.length && part.length < MOST_AT_ONCE && !signal.aborted) {
      const row = queue[0];
      try {
        row.photo ??= await prepare(row.file);
        row.thumbnail ??= await thumbnail(row.photo.blob);
      } catch (error) {
        queue.shift();
        fail(row, t(`problem.photo.${error.kind ?? "unreadable"}.title`), "unreadable_image");
        fill();
        continue;
      }
      if (part.length && bytes + row.photo.blob.size > maxRequestBytes()) break;
      bytes += row.photo.blob.size;
      queue.shift();
      row.state = "sent";
      part.push(row);
      fill();
    }
    return part;
  }

  async function send(part, signal) {
    const answered = new AbortController();
    const onBusy = watch((text) => ((waiting.textContent = text), say(text)), AbortSignal.any([signal, answered.signal]));
    const onItem = (item) => {
      answered.abort();
      waiting.textContent = "";
      const row = part[item.index];
      if (item.status === "ok") Object.assign(row, { state: "ok", item, code: undefined });
      else fail(row, item.problem.detail, item.problem.code);
      fill();
    };
    try {
      await batch(part.map(({ photo }) => photo), { crop: preference("crop", ""), onItem, onBusy, signal });
    } finally {
      answered.abort();
      waiting.textContent = "";
    }
  }

  function fail(row, reason, code = NOT_SENT) {
    Object.assign(row, { state: "failed", reason, code });
  }

  function counts() {
    const done = rows.filter(({ state }) => state === "ok" || state === "failed");
    return { count: rows.length, done: done.length, failed: done.filter(({ state }) => state === "failed").length };
  }

  let isDue = false;

  /** Draw anew, once for all that arrives in a moment. */
  function fill() {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      drawAll();
    });
  }

  function drawAll() {
    const { count, done, failed } = counts();
    const isEmpty = !count;
    drop.classList.toggle("small", !isEmpty);
    bar.hidden = !running;
    progress.max = count || 1;
    progress.value = done;
    counter.textContent = t("many.counter", { count, done, failed });
    tools.hidden = table.hidden = isEmpty;
    retryAll.hidden = !failed || Boolean(running);
    csv.disabled = !done;
    clear.disabled = Boolean(running);
    drawTable();
  }

  const retryAll = button(t("many.retryAll"), { icon: "again" }, () => work(rows.filter(({ state }) => state === "failed")));
  const csv = button(t("many.csv"), { icon: "down" }, async () => {
    const { table: lines } = await import("../csv.js");
    download(new Blob([lines(rows)], { type: "text/csv" }), "leaves.csv");
  });
  const clear = button(t("many.clear"), { icon: "bin", kind: "quiet" }, () => {
    rows.length = 0;
    fill();
  });
  const filter = h(
    "select",
    { id: "filter", on: { change: () => ((shown.filter = filter.value), fill()) } },
    ["all", "diagnosed", "healthy", "uncertain", "rejected", "failed"].map((kind) => h("option", { value: kind, selected: shown.filter === kind }, t(kind === "all" ? "many.all" : `kind.${kind}`))),
  );
  const search = h("input", { type: "search", id: "search", value: shown.text, on: { input: () => ((shown.text = search.value), fill()) } });
  tools.append(
    h("div.field", null, h("label", { for: "filter" }, t("many.filter")), filter),
    h("div.field", null, h("label", { for: "search" }, t("many.search")), search),
    h("div.actions", null, retryAll, csv, clear),
  );

  const headings = [
    ["index", "#"],
    ["name", t("many.name")],
    ["kind", t("many.kind")],
    ["result", t("many.result")],
    ["probability", t("many.probability")],
  ].map(([key, label]) => {
    const sort = () => {
      shown.descending = shown.sort === key && !shown.descending;
      shown.sort = key;
      fill();
    };
    return h(`th.${key}`, { scope: "col", role: "columnheader", "data-sort": key }, h("button", { type: "button", on: { click: sort } }, label, h("span.arrow", { "aria-hidden": "true" })));
  });
  const bodyOfTable = h("tbody", { role: "rowgroup" });
  table.append(
    h("table", { role: "table" }, h("caption.unseen", null, t("many.title")), h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, h("th.picture", { scope: "col", role: "columnheader" }, h("span.unseen", null, t("many.photo"))), headings, h("th", { scope: "col", role: "columnheader" }, h("span.unseen", null, t("many.actions"))))), bodyOfTable),
  );

  function drawTable() {
    for (const heading of headings) {
      const isSorted = heading.dataset.sort === shown.sort;
      if (isSorted) heading.setAttribute("aria-sort", shown.descending ? "descending" : "ascending");
      else heading.removeAttribute("aria-sort");
    }
    const value = SORTS[shown.sort];
    const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, currentLanguage()));
    const wanted = rows
      .filter((row) => shown.filter === "all" || kindOfRow(row) === shown.filter)
      .filter((row) => `${row.name} ${row.item ? className(row.item.predictions[0]) : ""}`.toLowerCase().includes(shown.text.toLowerCase()))
      .sort((a, b) => (compare(value(a), value(b)) || a.index - b.index) * (shown.descending ? -1 : 1));
    bodyOfTable.replaceChildren(...wanted.map(rowElement));
  }

  const drawn = new WeakMap();

  /** The row's element, made anew only if the row has changed: the focus stays where it is. */
  function rowElement(row) {
    const state = `${row.state} ${Boolean(row.thumbnail)} ${Boolean(running)} ${currentLanguage()}`;
    const known = drawn.get(row);
    if (known?.state === state) return known.element;
    const best = row.item && row.state === "ok" ? row.item.predictions[0] : null;
    const kind = kindOfRow(row);
    const retry = () => work([row]);
    const closer = () => {
      choosePhoto(row.photo);
      go("/");
    };
    const element = h(
      `tr.${kind}`,
      { role: "row" },
      cell("picture", row.thumbnail ? picture(row.thumbnail, "") : h("span.blank")),
      cell("index", String(row.index + 1)),
      h("th.name", { scope: "row", role: "rowheader", dir: "auto" }, row.name),
      cell("kind", kind === "waiting" ? h("span.hint", null, t(row.state === "sent" ? "many.sent" : "many.waiting")) : badge(kind)),
      cell("result", best && row.item.decision !== "rejected" ? className(best) : row.reason ? h("span", { dir: "auto" }, row.reason) : ""),
      cell("probability", best && row.item.decision !== "rejected" ? percent(best.probability) : ""),
      cell(
        "act",
        row.state === "failed" && !running && h("button.round", { type: "button", "aria-label": t("many.retry", { name: row.name }), on: { click: retry } }, icon("again")),
        row.state === "ok" && h("button.round", { type: "button", "aria-label": t("many.closer", { name: row.name }), on: { click: closer } }, icon("eye")),
      ),
    );
    drawn.set(row, { state, element });
    return element;
  }

  const drop = h("div.card.drop", null, h("div.actions", null, pickers(add, { isFirst: true })), h("p.hint.for-mouse", null, t("many.drop")));
  head.append(drop, h("div.card", null, cropField()));
  root.append(h("section.hero", null, h("h1", { id: "many-title" }, t("many.title")), h("p.lead", null, t("many.lead"))), head, bar, place, tools, table);
  drawAll();
  return acceptDropsAndPastes(root, add);
}

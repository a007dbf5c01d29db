/** Parts that several views have: waiting, what went wrong, choosing photos, the crop, the badge of a decision. */

import { classes, isReady, NoAnswer, Problem } from "./api.js";
import { button, focusOn, h, icon, say, urlOf } from "./dom.js";
import { bytes, cropName, currentLanguage, date, t } from "./i18n.js";
import { PhotoError } from "./photos.js";
import { preference, prefer } from "./preferences.js";

const SLOW_MS = 2500;
const LOOK_AGAIN_MS = 2000;

/**
 * Do something that takes a while, and show that it does: what is waited for, and a way out.
 * @param {HTMLElement} place shows the waiting, and afterwards nothing or what went wrong
 * @param {string} label
 * @param {(handles: {signal: AbortSignal, onBusy: (seconds: number) => void}) => Promise<void>} work
 */
export async function waitFor(place, label, work) {
  const control = new AbortController();
  const message = h("p", null, label);
  const cancel = button(t("cancel"), { kind: "quiet" }, () => control.abort());
  const card = h("div.card.waiting", null, h("div.spinner", { "aria-hidden": "true" }), message, cancel);
  const tell = (text) => {
    message.textContent = text;
    say(text);
  };
  place.replaceChildren(card);
  say(label);
  cancel.focus({ preventScroll: true });
  const onBusy = watch(tell, control.signal);
  try {
    await work({ signal: control.signal, onBusy });
    if (card.isConnected) place.replaceChildren();
  } catch (error) {
    if (control.signal.aborted) {
      place.replaceChildren();
      say(t("cancelled"));
    } else {
      showProblem(place, error, () => waitFor(place, label, work));
    }
  } finally {
    control.abort();
  }
}

/**
 * Say why it takes long, from when it does: the model is warming up, the service is busy, or the line is slow.
 * @param {(text: string) => void} tell
 * @param {AbortSignal} signal ends it
 * @returns {(seconds: number) => void} to be told for how long the service is busy
 */
export function watch(tell, signal) {
  let told = "";
  let busyUntil = 0;
  let timer = setTimeout(look, SLOW_MS);
  signal.addEventListener("abort", () => clearTimeout(timer));
  async function look() {
    const ready = await isReady(signal);
    if (signal.aborted) return;
    const text = t(ready === false ? "wait.warming" : "wait.slow");
    if (text !== told && Date.now() > busyUntil) tell((told = text));
    timer = setTimeout(look, LOOK_AGAIN_MS);
  }
  return (seconds) => {
    busyUntil = Date.now() + seconds * 1000;
    tell((told = t("wait.busy", { count: seconds })));
  };
}

/** What to say about an error, and which way on: again, key, wait, or none. */
function explain(error) {
  if (error instanceof PhotoError) return { key: `photo.${error.kind}`, params: { name: error.fileName }, icon: "image" };
  if (error instanceof NoAnswer) return { key: error.kind, icon: "off", next: error.kind === "offline" ? "online" : "again" };
  if (!(error instanceof Problem)) {
    // Ours to mend, so it belongs into the console too.
    console.error(error);
    return { key: "internal", icon: "alert", next: "again" };
  }
  const { status, code, retryAfter } = error;
  if (status === 401) return { key: code === "key_required" ? "key" : "wrongKey", icon: "key", next: "key" };
  if (status === 402) return { key: "quota", icon: "clock", params: { when: retryAfter ? date(Date.now() + retryAfter * 1000) : "" }, next: "key" };
  if (status === 403) return { key: "forbidden", icon: "key", next: "key" };
  if (status === 413) return { key: "tooLarge", icon: "image" };
  if (status === 429) return { key: "rate", icon: "clock", next: "wait" };
  if (status === 503) return { key: code === "model_unavailable" ? "model" : "busy", icon: "clock", next: retryAfter ? "wait" : "again" };
  if (status >= 500) return { key: "internal", icon: "alert", next: "again" };
  return { key: "refused", icon: "alert" };
}

/**
 * Show what went wrong and what to do next.
 * @param {() => void} [again] tries again
 */
export function showProblem(place, error, again) {
  const { key, params = {}, icon: symbol, next } = explain(error);
  const title = h("h2", null, t(`problem.${key}.title`));
  const said = error instanceof Problem && error.detail;
  const actions = h("div.actions");
  const card = h(
    "div.card.problem",
    { role: "alert" },
    h("div.problem-icon", null, icon(symbol)),
    title,
    h("p", null, t(`problem.${key}.text`, params)),
    said && h("p.small", null, t("problem.said"), " ", h("q", { lang: "en", dir: "auto" }, said)),
    error.requestId && h("p.small", null, t("problem.request"), " ", h("code", null, error.requestId)),
    actions,
  );
  if (again && next === "again") actions.append(button(t("again"), { icon: "again", kind: "main" }, again));
  if (again && next === "wait") actions.append(countdown(error.retryAfter ?? 1, again));
  if (again && next === "online") window.addEventListener("online", () => card.isConnected && again(), { once: true });
  if (next === "key") actions.append(h("a.button.main", { href: "#/settings" }, icon("key"), h("span", null, t("problem.enterKey"))));
  if (again && next === "key") actions.append(button(t("again"), { icon: "again" }, again));
  place.replaceChildren(card);
  focusOn(title);
}

/** A button that can be pressed when the time is over. */
function countdown(seconds, again) {
  const end = Date.now() + seconds * 1000;
  const element = button("", { icon: "again", kind: "main", disabled: true }, again);
  const label = element.querySelector("span");
  const tick = () => {
    const left = Math.ceil((end - Date.now()) / 1000);
    element.disabled = left > 0;
    label.textContent = left > 0 ? t("againIn", { count: left }) : t("again");
    if (left > 0) setTimeout(tick, 250);
    else if (element.isConnected) {
      say(t("again"));
      element.focus({ preventScroll: true });
    }
  };
  tick();
  return element;
}

/**
 * Ways to choose photos: the camera, files, and by whoever calls this, drop and paste.
 * @param {(files: Blob[]) => void} onFiles
 */
export function pickers(onFiles, { isFirst = false, several = true, cameraLabel = t("pick.camera"), filesLabel = t(several ? "pick.files" : "pick.file") } = {}) {
  const input = (props) => h("input.unseen", { type: "file", tabindex: "-1", "aria-hidden": "true", accept: "image/*", ...props, on: { change: taken } });
  function taken(event) {
    const files = [...event.target.files];
    // The same file may be chosen again.
    event.target.value = "";
    if (files.length) onFiles(files);
  }
  const files = input({ multiple: several, "data-for": "files" });
  const camera = input({ capture: "environment", "data-for": "camera" });
  const shoot = async () => {
    // A phone has a better camera program than a page can be.
    if (matchMedia("(pointer: coarse)").matches || !navigator.mediaDevices?.getUserMedia) return camera.click();
    const { takePhoto } = await import("./camera.js");
    const photo = await takePhoto();
    if (photo) onFiles([photo]);
  };
  return [
    button(cameraLabel, { icon: "camera", kind: isFirst ? "main" : "" }, shoot),
    button(filesLabel, { icon: "image" }, () => files.click()),
    files,
    camera,
  ];
}

/** Take what is dropped on an element or pasted anywhere; the function that ends it. */
export function acceptDropsAndPastes(element, onFiles) {
  const control = new AbortController();
  const { signal } = control;
  let depth = 0;
  const over = (isOver) => element.classList.toggle("over", isOver);
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  window.addEventListener("dragenter", (event) => hasFiles(event) && over(++depth > 0), { signal });
  window.addEventListener("dragleave", (event) => hasFiles(event) && over(--depth > 0), { signal });
  window.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault(), { signal });
  const take = (event, transfer) => {
    const files = [...(transfer?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    onFiles(files);
  };
  window.addEventListener(
    "drop",
    (event) => {
      depth = 0;
      over(false);
      take(event, event.dataTransfer);
    },
    { signal },
  );
  window.addEventListener("paste", (event) => take(event, event.clipboardData), { signal });
  return () => control.abort();
}

let knownCrops = JSON.parse(preference("crops", "[]"));

/** "Which plant is it?": optional, remembered; its crops are those of the model. */
export function cropField({ value = preference("crop", ""), onChange = (crop) => prefer("crop", crop || null) } = {}) {
  const select = h("select", { id: "crop", on: { change: () => onChange(select.value) } });
  const fill = (chosen) => {
    const crops = [...new Set([...knownCrops, ...(chosen ? [chosen] : [])])];
    const named = crops.map((crop) => [crop, cropName(crop)]).sort((a, b) => a[1].localeCompare(b[1], currentLanguage()));
    select.replaceChildren(h("option", { value: "" }, t("crop.any")), ...named.map(([crop, name]) => h("option", { value: crop }, name)));
    select.value = chosen;
  };
  fill(value);
  loadCrops().then((crops) => crops.length && fill(select.value));
  return h("div.field", null, h("label", { for: "crop" }, t("crop.label")), select, h("p.hint", null, t("crop.hint")));
}

let loading;

function loadCrops() {
  loading ??= classes().then(
    (all) => {
      knownCrops = [...new Set(all.map(({ crop }) => crop))];
      prefer("crops", JSON.stringify(knownCrops));
      return knownCrops;
    },
    () => {
      // Without the crops the page works as well; the next view asks again.
      loading = undefined;
      return [];
    },
  );
  return loading;
}

const ICONS = { diagnosed: "alert", healthy: "check", uncertain: "question", rejected: "none", failed: "alert" };

/** What kind of answer it is: healthy, diagnosed, uncertain or rejected. */
export const kindOf = (answer) => (answer.decision === "diagnosed" && answer.predictions[0].healthy ? "healthy" : answer.decision);

/** A kind of answer as colour, icon and word. */
export function badge(kind) {
  return h(`span.badge.${kind}`, null, icon(ICONS[kind]), h("span", null, t(`kind.${kind}`)));
}

/** A photo with what was made of it: original size, sent size. */
export function sizesOf(photo) {
  const size = (width, height, count) => `${width}\u00a0×\u00a0${height}, ${bytes(count)}`;
  return h(
    "p.sizes",
    null,
    t("photo.original", { size: size(photo.originalWidth, photo.originalHeight, photo.originalSize) }),
    h("br"),
    t("photo.sent", { size: size(photo.width, photo.height, photo.blob.size) }),
  );
}

/** A picture of a blob. */
export const picture = (blob, alt, props) => h("img", { src: urlOf(blob), alt, ...props });

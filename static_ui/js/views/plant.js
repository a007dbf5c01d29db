/** A diagnosis: what it is, how sure that is, what it rests on, what to do. */

import { heatmap, predict } from "../api.js";
import { button, h, icon, say, urlOf } from "../dom.js";
import { className, cropName, currentLanguage, date, diseaseName, percent, t } from "../i18n.js";
import { badge, cropField, kindOf, picture, pickers, waitFor } from "../parts.js";
import { prepare } from "../photos.js";
import { show } from "../router.js";
import { get, put } from "../store.js";
import { kept, MOST_PHOTOS } from "./start.js";

const STRENGTH = 70;

export async function render(root, id) {
  const record = await get(id);
  if (!record) {
    root.append(h("h1", null, t("plant.gone")), h("p", null, t("plant.goneText")), h("a.button.main", { href: "#/" }, t("plant.new")));
    return;
  }
  const { answer } = record;
  const place = h("div.place");
  /** Ask once more about this plant, with what is known by now. */
  const again = ({ crop = record.crop, files = [] }) =>
    waitFor(place, t("wait.diagnosing"), async ({ signal, onBusy }) => {
      const photos = [...record.photos];
      for (const file of files.slice(0, MOST_PHOTOS - photos.length)) photos.push(kept(await prepare(file)));
      const next = await predict(photos, { crop, signal, onBusy });
      await put({ ...record, crop, photos, answer: next });
      if (root.isConnected) await show();
    });

  root.append(
    h(
      "div.columns",
      null,
      verdict(record),
      evidence(record),
      h("div.rest.stack", null, place, answer.decision !== "rejected" && bars(answer), help(record, again)),
    ),
    ...[answer.decision !== "rejected" && advice(answer), foot(record)].filter(Boolean),
  );
  say(summary(record));
}

/** The answer in one line. */
function summary({ answer }) {
  const kind = kindOf(answer);
  const [best] = answer.predictions;
  return t(`verdict.${kind}.title`, { name: className(best), crop: cropName(best.crop), disease: diseaseName(best.disease ?? "") });
}

function verdict(record) {
  const { answer } = record;
  const kind = kindOf(answer);
  const [best] = answer.predictions;
  const params = { crop: cropName(best.crop), probability: percent(best.probability), leaf: percent(answer.is_leaf.probability) };
  return h(
    `section.card.verdict.${kind}`,
    null,
    badge(kind),
    h("h1", null, summary(record)),
    h("p", null, t(`verdict.${kind}.text`, params)),
    kind !== "rejected" && h("p.healthy-line", null, t("verdict.healthyShare", { probability: percent(answer.is_healthy.probability) })),
    record.photos.length > 1 && h("p.hint", null, t("verdict.from", { count: record.photos.length })),
    record.crop && h("p.hint", null, t("verdict.crop", { crop: cropName(record.crop) })),
  );
}

function bars({ predictions }) {
  const rows = predictions.map((prediction) => {
    const fill = h("span.fill");
    fill.style.setProperty("--share", prediction.probability);
    return h("li", null, h("span.bar-name", null, className(prediction)), h("span.bar-share", null, percent(prediction.probability)), h("span.bar", { "aria-hidden": "true" }, fill));
  });
  return h("section.card", { "aria-labelledby": "bars" }, h("h2", { id: "bars" }, t("bars.title")), h("ol.bars", null, rows), h("p.hint", null, t("bars.hint")));
}

/** What helps to be surer, and more photos of the same plant. */
function help(record, again) {
  const { answer } = record;
  const canAdd = record.photos.length < MOST_PHOTOS && answer.decision !== "rejected";
  const tips = { uncertain: ["crop", "close", "light", "both"], rejected: ["one", "close", "light"] }[answer.decision];
  let crop = record.crop;
  return h(
    "section.card.help",
    { "aria-labelledby": "help" },
    h("h2", { id: "help" }, t(tips ? `help.${answer.decision}` : "help.more")),
    tips && h("ul.ticks", null, tips.map((tip) => h("li", null, icon("check"), t(`tips.${tip}`)))),
    answer.decision === "uncertain" && [
      cropField({ value: crop, onChange: (next) => (crop = next) }),
      h("div.actions", null, button(t("help.withCrop"), { icon: "again", kind: "main" }, () => again({ crop }))),
    ],
    canAdd && h("div.actions", null, pickers((files) => again({ files }), { cameraLabel: t("help.another"), filesLabel: t("pick.files") })),
    h("div.actions", null, h("a.button", { href: "#/" }, icon("plus"), h("span", null, t("plant.new")))),
  );
}

/** The photo, and the heat over it on request. */
function evidence({ answer, photos }) {
  let chosen = 0;
  const image = picture(photos[0].blob, t("photo.number", { number: 1 }));
  const canvas = h("canvas.heat", { role: "img", "aria-label": t("heat.alt"), hidden: true });
  const place = h("div.place");
  const controls = h("div.stack");
  const options = (first) => [first && h("option", { value: "" }, first), ...answer.predictions.map((each) => h("option", { value: each.class_id }, className(each)))];
  const target = h("select", { id: "target", on: { change: look } }, options());
  const contrast = h("select", { id: "contrast", on: { change: look } }, options(t("heat.nothing")));
  const strength = h("input", { type: "range", id: "strength", min: "0", max: "100", value: String(STRENGTH), on: { input: () => blend() } });
  let heat = null;
  let drawing = null;

  async function blend() {
    drawing ??= await import("../heat.js");
    if (heat) drawing.draw(canvas, heat, Number(strength.value) / 100);
  }

  function look() {
    const asked = { target: target.value, contrast: contrast.value === target.value ? "" : contrast.value };
    return waitFor(place, t("heat.looking"), async ({ signal, onBusy }) => {
      const blob = await heatmap(photos[chosen].blob, { ...asked, signal, onBusy });
      drawing ??= await import("../heat.js");
      heat = await drawing.read(blob);
      await blend();
      canvas.hidden = false;
      const isFirst = !controls.contains(strength);
      controls.replaceChildren(
        h("div.field", null, h("label", { for: "strength" }, t("heat.strength")), strength),
        h("div.pair", null, h("div.field", null, h("label", { for: "target" }, t("heat.target")), target), h("div.field", null, h("label", { for: "contrast" }, t("heat.contrast")), contrast)),
        h("p.hint", null, t("heat.hint")),
      );
      say(t("heat.shown"));
      if (isFirst) strength.focus({ preventScroll: true });
    });
  }

  function choosePhoto(index) {
    chosen = index;
    const photo = photos[index];
    image.src = urlOf(photo.blob);
    image.alt = t("photo.number", { number: index + 1 });
    figure.style.setProperty("--aspect", photo.width / photo.height);
    canvas.hidden = true;
    heat = null;
    for (const [at, strip] of [...strips.children].entries()) strip.setAttribute("aria-pressed", String(at === index));
    if (controls.contains(strength)) look();
  }

  const strips = h("div.strips", null, photos.length > 1 && photos.map((photo, index) =>
    h("button.strip", { type: "button", "aria-pressed": String(index === 0), "aria-label": t("photo.number", { number: index + 1 }), on: { click: () => choosePhoto(index) } }, picture(photo.blob, "")),
  ));
  if (answer.decision !== "rejected") controls.append(h("div.actions", null, button(t("heat.show"), { icon: "eye" }, look)));
  const figure = h("div.photo-frame", null, image, canvas);
  figure.style.setProperty("--aspect", photos[0].width / photos[0].height);
  return h("figure.evidence", null, figure, strips, controls, place);
}

/** What the diseases named mean for the plant. The service writes it in English. */
function advice({ decision, predictions, advice_note: note }) {
  const named = (decision === "diagnosed" ? predictions.slice(0, 1) : predictions.slice(0, 3)).filter(({ details }) => details);
  if (!named.length) return null;
  return h(
    "section.card.advice",
    { "aria-labelledby": "advice" },
    h("h2", { id: "advice" }, t("advice.title")),
    currentLanguage() !== "en" && h("p.hint", null, t("advice.english")),
    named.map((prediction, index) => {
      const text = adviceFor(prediction.details);
      return named.length === 1 ? text : h("details", { open: index === 0 }, h("summary", null, className(prediction)), text);
    }),
    h("p.hint", { lang: "en" }, note),
  );
}

function adviceFor(details) {
  const list = (title, items) => items?.length > 0 && [h("h3", null, t(title)), h("ul", { lang: "en" }, items.map((item) => h("li", null, item)))];
  const organisms = details.organisms?.map(({ name }) => name).join(", ");
  return h(
    "div.advice-text",
    null,
    organisms && h("p.hint", null, t(`cause.${details.cause}`), " · ", h("i", { lang: "la" }, organisms)),
    h("p", { lang: "en" }, details.looks),
    details.report && h("p.report", { lang: "en" }, icon("alert"), h("span", null, details.report)),
    list("advice.now", details.now),
    list("advice.prevent", details.prevent),
    list("advice.lookAlikes", details.look_alikes),
    h("h3", null, t("advice.sources")),
    h("ul.sources", { lang: "en" }, (details.sources ?? []).map(source)),
  );
}

function source({ title, publisher, url }) {
  const text = `${title}, ${publisher}`;
  return h("li", null, /^https?:\/\//.test(url ?? "") ? h("a", { href: url, rel: "noreferrer noopener", target: "_blank" }, text) : text);
}

/** Share, print, and which model said this when. */
function foot(record) {
  const { answer, created } = record;
  const text = () =>
    [
      summary(record),
      answer.decision !== "rejected" && answer.predictions.map((each) => `${className(each)}: ${percent(each.probability)}`).join("\n"),
      `${date(created)} · ${answer.model.name} ${answer.model.version}`,
      t("footer.note"),
    ].filter(Boolean).join("\n\n");
  const copy = button(t("share.copy"), { icon: "copy" }, async () => {
    try {
      await navigator.clipboard.writeText(text());
      say(t("share.copied"));
      copy.querySelector("span").textContent = t("share.copied");
    } catch {
      say(t("share.notCopied"));
      copy.querySelector("span").textContent = t("share.notCopied");
    }
  });
  const share = async () => {
    const file = new File([record.photos[0].blob], "leaf.jpg", { type: "image/jpeg" });
    const withPhoto = { title: t("app.name"), text: text(), files: [file] };
    try {
      await navigator.share(navigator.canShare?.(withPhoto) ? withPhoto : { title: withPhoto.title, text: withPhoto.text });
    } catch {
      // Closed again: no matter.
    }
  };
  return h(
    "section.foot",
    null,
    h(
      "div.actions",
      null,
      navigator.share && button(t("share.share"), { icon: "share" }, share),
      button(t("share.print"), { icon: "print" }, () => window.print()),
      copy,
    ),
    h("p.hint", null, `${date(created)} · ${answer.model.name} ${answer.model.version} · `, h("code", null, answer.request_id)),
  );
}

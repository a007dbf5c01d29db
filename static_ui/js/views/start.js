/** One plant: choose photos, say which plant it is, ask. */

import { predict, upload } from "../api.js";
import { button, forget, h, icon, say } from "../dom.js";
import { t } from "../i18n.js";
import { acceptDropsAndPastes, cropField, picture, pickers, showProblem, sizesOf, waitFor } from "../parts.js";
import { prepare, thumbnail } from "../photos.js";
import { preference } from "../preferences.js";
import { go } from "../router.js";
import { put } from "../store.js";

export const MOST_PHOTOS = 5;
const EXAMPLES = ["apple-cedar-rust-3.jpg", "apple-cedar-rust-1.jpg", "apple-cedar-rust-2.jpg"];

/** Photos chosen and not yet diagnosed; they outlive a look at another view. @type {import("../photos.js").Photo[]} */
const draft = [];
let sendsOriginals = false;

/** What is kept of a photo with its diagnosis: as it was sent, not the original. */
export const kept = ({ name, blob, width, height }) => ({ name, blob, width, height });

/** Let another view put a photo here. */
export function choosePhoto(photo) {
  draft.splice(0, draft.length, photo);
}

export function render(root) {
  const place = h("div.place");
  const body = h("div.stack");

  async function add(files) {
    if (root.querySelector(".waiting")) return;
    place.replaceChildren();
    for (const file of files.slice(0, MOST_PHOTOS - draft.length)) {
      try {
        draft.push(await prepare(file));
      } catch (error) {
        showProblem(place, error);
      }
    }
    fill();
    if (files.length > MOST_PHOTOS) place.prepend(h("p.card.note", { role: "status" }, t("start.tooMany", { count: MOST_PHOTOS }), " ", h("a", { href: "#/many" }, t("nav.many"))));
    if (draft.length) {
      say(t("start.chosen", { count: draft.length }));
      if (!place.querySelector(".problem")) body.querySelector(".ask")?.focus();
    }
  }

  function fill() {
    body.replaceChildren(...(draft.length ? chosen() : empty()));
  }

  function empty() {
    return [
      h(
        "div.card.drop",
        null,
        h("div.drop-art", { "aria-hidden": "true" }, icon("leaf")),
        h("div.actions", null, pickers(add, { isFirst: true })),
        h("p.hint.for-mouse", null, t("start.drop")),
      ),
      h("section.card.examples", { "aria-labelledby": "examples" }, h("h2", { id: "examples" }, t("start.examples")), h("div.row", null, EXAMPLES.map(example))),
      h("section.tips", { "aria-labelledby": "tips" }, h("h2", { id: "tips" }, t("tips.title")), h("ul", null, ["one", "close", "light", "both"].map((tip) => h("li", null, icon("check"), t(`tips.${tip}`))))),
    ];
  }

  function example(name, index) {
    const source = `examples/${name}`;
    const take = async () => {
      try {
        const answer = await fetch(source);
        await add([new File([await answer.blob()], name, { type: "image/jpeg" })]);
      } catch (error) {
        showProblem(place, error);
      }
    };
    return h("button.example", { type: "button", on: { click: take } }, h("img", { src: source, alt: t("start.example", { number: index + 1 }), width: "256", height: "256", loading: "lazy" }));
  }

  function chosen() {
    const drop = (photo) => {
      draft.splice(draft.indexOf(photo), 1);
      forget(photo.blob);
      fill();
      say(t("photo.removed"));
      body.querySelector("button")?.focus();
    };
    const cards = draft.map((photo, index) =>
      h(
        "li.photo",
        null,
        picture(photo.blob, t("photo.number", { number: index + 1 })),
        h("div", null, h("p.name", { dir: "auto" }, photo.name), sizesOf(photo)),
        h("button.round", { type: "button", "aria-label": t("photo.remove", { name: photo.name }), on: { click: () => drop(photo) } }, icon("cross")),
      ),
    );
    const larger = draft.some((photo) => photo.original && (photo.originalWidth > photo.width || photo.originalHeight > photo.height));
    const originals = h("input", { type: "checkbox", id: "originals", checked: sendsOriginals, on: { change: () => (sendsOriginals = originals.checked) } });
    return [
      h("ul.photos", null, cards),
      draft.length < MOST_PHOTOS && h("div.actions", null, pickers(add, { cameraLabel: t("start.another"), filesLabel: t("pick.more") })),
      h("p.hint", null, t("photo.clean"), " ", draft.length > 1 && [t("start.same"), " ", h("a", { href: "#/many" }, t("start.different"))]),
      h("div.card", null, cropField(), larger && h("div.check", null, originals, h("label", { for: "originals" }, t("originals.label"), h("span.hint", null, t("originals.hint"))))),
      button(t("start.ask"), { icon: "leaf", kind: "main.big.ask" }, ask),
    ].filter(Boolean);
  }

  const ask = () => waitFor(place, t("wait.diagnosing"), diagnose);

  async function diagnose({ signal, onBusy }) {
    body.inert = true;
    try {
      const crop = preference("crop", "");
      const uris = sendsOriginals ? await Promise.all(draft.map((photo) => upload(photo.original ?? photo.blob, { signal }))) : undefined;
      const answer = await predict(draft, { crop, uris, signal, onBusy });
      const photos = draft.map(kept);
      const id = newId();
      await put({ id, created: Date.now(), crop, photos, thumbnail: await thumbnail(photos[0].blob), answer });
      draft.length = 0;
      go(`/plant/${id}`);
    } finally {
      body.inert = false;
    }
  }

  root.append(h("section.hero", null, h("h1", null, t("start.title")), h("p.lead", null, t("start.lead"))), body, place);
  fill();
  return acceptDropsAndPastes(root, add);
}

/** Not crypto.randomUUID: a page served over plain HTTP in a greenhouse does not have it. */
function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Diagnoses kept in this browser. */

import { button, h, icon, say } from "../dom.js";
import { className, date, t } from "../i18n.js";
import { badge, kindOf, picture } from "../parts.js";
import { show } from "../router.js";
import { clear, isKept, list, remove } from "../store.js";

export async function render(root) {
  const all = await list();
  const forgetAll = button(t("history.clear"), { icon: "bin", kind: "quiet" }, async () => {
    if (!window.confirm(t("history.confirm"))) return;
    await clear();
    say(t("history.cleared"));
    await show();
  });
  root.append(h("section.hero", null, h("h1", null, t("history.title")), h("p.lead", null, t(isKept() ? "history.lead" : "history.off"))));
  if (all.length) root.append(h("ul.entries", null, all.map(entry)), h("div.actions", null, forgetAll));
  else root.append(h("p.card.note", null, t("history.empty")));
}

function entry({ id, created, thumbnail, answer }) {
  const kind = kindOf(answer);
  const title = kind === "rejected" ? t("kind.rejected") : className(answer.predictions[0]);
  const element = h(
    "li.card.entry",
    null,
    picture(thumbnail, ""),
    h("div", null, h("a", { href: `#/plant/${id}` }, title), badge(kind), h("p.hint", null, date(created))),
    h("button.round", { type: "button", "aria-label": t("history.delete", { name: title, date: date(created) }), on: { click: forgetOne } }, icon("bin")),
  );
  async function forgetOne() {
    await remove(id);
    say(t("history.deleted"));
    await show();
  }
  return element;
}

/** Key, usage, looks, and what is kept. */

import { limits, usage } from "../api.js";
import { button, h, icon, say } from "../dom.js";
import { date, t } from "../i18n.js";
import { cropField } from "../parts.js";
import { apiKey, applyTheme, isKeyKept, prefer, preference, useKey } from "../preferences.js";
import { show } from "../router.js";

export function render(root) {
  root.append(
    h("section.hero", null, h("h1", null, t("settings.title"))),
    h("div.settings", null, keyCard(), usageCard(), looksCard(), h("section.card", { "aria-labelledby": "s-plant" }, h("h2", { id: "s-plant" }, t("settings.plant")), cropField()), historyCard()),
  );
}

function keyCard() {
  const key = h("input", { type: "password", id: "key", autocomplete: "off", spellcheck: "false", value: apiKey() ?? "", placeholder: "pd_…" });
  const seen = h("button.round", { type: "button", "aria-label": t("key.show"), "aria-pressed": "false", on: { click: toggle } }, icon("eye"));
  const kept = h("input", { type: "checkbox", id: "keep", checked: isKeyKept() });
  function toggle() {
    const isSeen = key.type === "password";
    key.type = isSeen ? "text" : "password";
    seen.setAttribute("aria-pressed", String(isSeen));
  }
  async function save(event) {
    event.preventDefault();
    useKey(key.value.trim() || null, kept.checked);
    await show();
    say(t(apiKey() ? "key.saved" : "key.forgotten"));
  }
  async function drop() {
    useKey(null, false);
    await show();
    say(t("key.forgotten"));
  }
  return h(
    "section.card",
    { "aria-labelledby": "s-key" },
    h("h2", { id: "s-key" }, t("key.title")),
    h("p.hint", null, t("key.text")),
    h(
      "form.stack",
      { on: { submit: save } },
      h("div.field", null, h("label", { for: "key" }, t("key.label")), h("div.with-button", null, key, seen)),
      h("div.check", null, kept, h("label", { for: "keep" }, t("key.keep"), h("span.hint", null, t("key.keepHint")))),
      h("div.actions", null, h("button.button.main", { type: "submit" }, icon("check"), h("span", null, t("key.save"))), apiKey() && button(t("key.forget"), { icon: "bin" }, drop)),
    ),
  );
}

function usageCard() {
  const place = h("div.stack", { "aria-live": "polite" });
  const known = [...limits].map(([name, limit]) => limitLine(name, limit));
  place.replaceChildren(...(known.length ? known : [h("p.hint", null, t("usage.none"))]));
  if (apiKey()) {
    usage().then(
      (told) => place.replaceChildren(...toldLines(told)),
      (error) => place.append(h("p.hint", null, t(error.status === 401 ? "problem.wrongKey.title" : "usage.unknown"))),
    );
  }
  return h("section.card", { "aria-labelledby": "s-usage" }, h("h2", { id: "s-usage" }, t("usage.title")), place);
}

/** What `GET /usage` says: the plan, and each of its limits. */
function toldLines({ plan, limits: told }) {
  const lines = told.map(({ name, photos, left, resets_at }) => limitLine(name, { left, most: photos, resetsAt: Date.parse(resets_at) }));
  return [plan && h("p", null, h("b", null, t("usage.plan")), " ", plan), ...lines].filter(Boolean);
}

function limitLine(name, { left, most, resetsAt }) {
  const label = t(`limit.${["predict", "batch", "explain", "quota"].includes(name) ? name : "other"}`, { name });
  const rest = most == null ? t("usage.left", { left }) : t("usage.leftOf", { left, most });
  return h("p", null, h("b", null, label), " ", rest, resetsAt && h("span.hint", null, ` ${t("usage.resets", { when: date(resetsAt) })}`));
}

function looksCard() {
  const choose = (event) => {
    prefer("theme", event.target.value);
    applyTheme();
  };
  const now = preference("theme", "auto");
  return h(
    "section.card",
    null,
    h(
      "fieldset",
      null,
      h("legend", null, t("theme.title")),
      h("div.choices", null, ["auto", "light", "dark"].map((theme) => h("label.choice", null, h("input", { type: "radio", name: "theme", value: theme, checked: theme === now, on: { change: choose } }), t(`theme.${theme}`)))),
    ),
  );
}

function historyCard() {
  const kept = h("input", { type: "checkbox", id: "history", checked: preference("history", "on") === "on", on: { change: () => prefer("history", kept.checked ? "on" : "off") } });
  return h("section.card", { "aria-labelledby": "s-history" }, h("h2", { id: "s-history" }, t("history.title")), h("div.check", null, kept, h("label", { for: "history" }, t("settings.history"), h("span.hint", null, t("settings.historyHint")))));
}

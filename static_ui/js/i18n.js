/** Texts in the language of the person: locales/<language>.json, numbers and dates by Intl. */

import { preference, prefer } from "./preferences.js";

/** Languages there is a file for, in their own names. Another one: add its file and a line here. */
export const LANGUAGES = { en: "English", de: "Deutsch", es: "Español", fr: "Français", hi: "हिन्दी" };

let language = "en";
/** The language as it is used where this browser is from: en-GB, de-CH. */
let locale = "en";
let texts = {};
let plural = new Intl.PluralRules("en");

/** Load the language that was chosen here before, or else the first of the browser's that there is. */
export async function start() {
  const wanted = [preference("language"), ...navigator.languages.map((tag) => tag.split("-")[0]), "en"];
  const language = wanted.find((each) => Object.hasOwn(LANGUAGES, each));
  // Without a line there may be English alone.
  await load(language).catch(() => load("en"));
}

/** Change the language and remember it. */
export async function choose(next) {
  await load(next);
  prefer("language", next);
}

async function load(next) {
  const answer = await fetch(new URL(`../locales/${next}.json`, import.meta.url));
  if (!answer.ok) throw new Error(`locales/${next}.json: ${answer.status}`);
  texts = await answer.json();
  language = next;
  locale = navigator.languages.find((tag) => tag.split("-")[0] === next) ?? next;
  plural = new Intl.PluralRules(next);
  document.documentElement.lang = next;
  document.documentElement.dir = texts["language.direction"];
  for (const element of document.querySelectorAll("[data-i18n]")) element.textContent = t(element.dataset.i18n);
  for (const element of document.querySelectorAll("[data-i18n-label]")) element.setAttribute("aria-label", t(element.dataset.i18nLabel));
  document.title = t("app.name");
}

export const currentLanguage = () => language;

/** A text. `{name}` stands for params.name; where a text has forms, params.count chooses among `key.one`, `key.other` and the like. */
export function t(key, params = {}) {
  const form = "count" in params ? (texts[`${key}.${plural.select(params.count)}`] ?? texts[`${key}.other`]) : undefined;
  const text = form ?? texts[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => (typeof params[name] === "number" ? number(params[name]) : (params[name] ?? "")));
}

/** A translation that need not be there. */
export const tryText = (key, fallback) => texts[key] ?? fallback;

export const number = (value, options) => new Intl.NumberFormat(locale, options).format(value);

export const percent = (share) => number(share, { style: "percent", maximumFractionDigits: share > 0 && share < 0.01 ? 1 : 0 });

export const date = (time) => new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" }).format(time);

/** Bytes as a person says them. */
export function bytes(count) {
  const [unit, value] = count >= 1e6 ? ["megabyte", count / 1e6] : count >= 1e3 ? ["kilobyte", count / 1e3] : ["byte", count];
  return number(value, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: value < 10 && unit === "megabyte" ? 1 : 0 });
}

/** Name of a crop in this language. */
export const cropName = (crop) => tryText(`crop.${crop}`, crop);

/** Name of a disease in this language. */
export const diseaseName = (disease) => tryText(`disease.${disease}`, disease);

/** Name of a prediction: "Apple: scab", "Apple: healthy". */
export function className({ crop, disease, healthy }) {
  return t("class.name", { crop: cropName(crop), disease: healthy ? t("class.healthy") : diseaseName(disease ?? "") });
}

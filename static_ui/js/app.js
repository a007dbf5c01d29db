/** Where the page begins. */

import { configure } from "./api.js";
import { button, h, icon } from "./dom.js";
import { choose, currentLanguage, LANGUAGES, start, t } from "./i18n.js";
import { applyTheme } from "./preferences.js";
import { listen, show } from "./router.js";

applyTheme();

const language = document.getElementById("language");
for (const [code, name] of Object.entries(LANGUAGES)) language.append(h("option", { value: code, lang: code }, name));
language.addEventListener("change", async () => {
  await choose(language.value);
  await show({ isFirst: true });
});

await Promise.all([start(), configure()]);
language.value = currentLanguage();
listen();
await show({ isFirst: true });

const notices = document.getElementById("notices");
const offline = h("p.notice.offline", { role: "status" });
const showLine = () => (navigator.onLine ? offline.remove() : (offline.replaceChildren(icon("off"), t("offline")), notices.append(offline)));
window.addEventListener("online", showLine);
window.addEventListener("offline", showLine);
showLine();

if ("serviceWorker" in navigator) installWorker().catch((error) => console.info("no service worker:", error.message));

/** Keep the shell for when there is no line; tell when a newer one has arrived. */
async function installWorker() {
  const script = new URL("../sw.js", import.meta.url).href;
  const url = window.trustedTypes ? trustedTypes.createPolicy("page", { createScriptURL: () => script }).createScriptURL("") : script;
  const registration = await navigator.serviceWorker.register(url, { updateViaCache: "none" });
  navigator.serviceWorker.ready.then(({ active }) => active.postMessage({ keep: ["config.json", `locales/${currentLanguage()}.json`] }));
  const offer = () => {
    if (!registration.waiting || !navigator.serviceWorker.controller || notices.querySelector(".update")) return;
    const reload = button(t("update.now"), {}, () => registration.waiting?.postMessage("take over"));
    notices.append(h("div.notice.update", { role: "status" }, h("p", null, t("update.text")), reload));
  };
  offer();
  registration.addEventListener("updatefound", () => {
    registration.installing?.addEventListener("statechange", offer);
  });
  const wasControlled = Boolean(navigator.serviceWorker.controller);
  navigator.serviceWorker.addEventListener("controllerchange", () => wasControlled && location.reload());
}

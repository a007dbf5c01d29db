/** The interface, from the OpenAPI documents of the functions: they say it themselves, and nobody else is asked. */

import { SAMPLES } from "./samples.js";

function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(props ?? {})) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

/** Text in which `code` is marked. */
const prose = (text) => text.split(/`([^`]+)`/).map((part, index) => (index % 2 ? h("code", null, part) : part));

const byId = (id) => document.getElementById(id);

/** The documents: the one beside this page, or else those of the functions that config.json names. */
async function documents() {
  const beside = await read(new URL("./", document.baseURI));
  if (beside) return [beside];
  const answer = await fetch(new URL("config.json", document.baseURI));
  const { endpoints } = answer.ok ? await answer.json() : {};
  const bases = new Set(Object.values(endpoints ?? {}).map((address) => new URL(address, document.baseURI).href));
  return (await Promise.all([...bases].map((base) => read(new URL(base))))).filter(Boolean);
}

async function read(base) {
  try {
    const answer = await fetch(new URL("openapi.json", base));
    return answer.ok && answer.headers.get("Content-Type")?.includes("json") ? { base, document: await answer.json() } : null;
  } catch {
    return null;
  }
}

/** What a program sends there first: the photo as a form, or JSON. */
function callOf(base, document, path, method, operation) {
  const content = operation.requestBody?.content ?? {};
  const form = content["multipart/form-data"]?.schema;
  const json = !form && content["application/json"]?.schema;
  const examples = Object.entries(json?.properties ?? {}).map(([name, property]) => [name, property.examples?.[0] ?? property.default]);
  return {
    method: method.toUpperCase(),
    url: new URL(path.slice(1), base).href,
    needsKey: Boolean(operation.security?.length ?? document.security?.length),
    field: form ? Object.keys(form.properties)[0] : null,
    json: json ? Object.fromEntries(examples.filter(([, example]) => example !== undefined)) : null,
  };
}

const LANGUAGES = Object.keys(SAMPLES);
let language = LANGUAGES[0];

function chooseLanguage(next) {
  language = next;
  for (const button of byId("languages").children) button.setAttribute("aria-pressed", String(button.textContent === next));
  for (const sample of document.querySelectorAll("[data-language]")) sample.hidden = sample.dataset.language !== next;
}

function sample(call, name) {
  const code = SAMPLES[name](call);
  const copy = h("button", { type: "button", "aria-label": `Copy the ${name} example of ${call.method} ${new URL(call.url).pathname}`, onclick: take }, "Copy");
  async function take() {
    try {
      await navigator.clipboard.writeText(code);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(block.querySelector("code"));
      copy.textContent = "Selected";
    }
    byId("status").textContent = copy.textContent;
    setTimeout(() => (copy.textContent = "Copy"), 2000);
  }
  const block = h("div", { class: "sample", "data-language": name, hidden: name === language ? null : "" }, h("pre", { tabindex: "0", role: "group", "aria-label": `${name} example` }, h("code", null, code)), copy);
  return block;
}

const nameOf = (reference) => reference.split("/").pop();

/** A type in words: string, integer, A or B, list of A. Names of schemas lead to them. */
function typeOf(schema) {
  if (schema.$ref) return h("a", { href: `#${nameOf(schema.$ref)}` }, nameOf(schema.$ref));
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return choices.flatMap((choice, index) => [index ? " or " : "", typeOf(choice)]);
  if (schema.enum) return schema.enum.flatMap((value, index) => [index ? " or " : "", h("code", null, JSON.stringify(value))]);
  if ("const" in schema) return h("code", null, JSON.stringify(schema.const));
  if (schema.type === "array") return ["list of ", typeOf(schema.items ?? { type: "anything" })];
  if (schema.format === "binary") return "file";
  return schema.type ?? "anything";
}

function limitsOf(schema) {
  const said = { minimum: "at least", maximum: "at most", exclusiveMinimum: "above", maxLength: "characters at most", maxItems: "entries at most" };
  return Object.entries(said).filter(([key]) => key in schema).map(([key, words]) => (key.startsWith("max") && key !== "maximum" ? `${schema[key]} ${words}` : `${words} ${schema[key]}`));
}

function table(caption, head, rows) {
  if (!rows.length) return null;
  return h(
    "div",
    { class: "frame", tabindex: "0", role: "group", "aria-label": caption },
    h("table", null, h("caption", null, caption), h("thead", null, h("tr", null, head.map((each) => h("th", { scope: "col" }, each)))), h("tbody", null, rows.map(([first, ...rest]) => h("tr", null, h("th", { scope: "row" }, first), rest.map((each) => h("td", null, each)))))),
  );
}

function operationOf({ base, document }, path, method, operation) {
  const call = callOf(base, document, path, method, operation);
  // An example runs as it stands, and nobody has that job, or these uploads.
  const isSampled = !path.includes("{") && operation["x-sample"] !== false;
  const id = `${method}${path.replaceAll("/", "-")}`;
  const parameters = (operation.parameters ?? []).map(({ name, in: where, required, description, schema }) => [
    h("code", null, name),
    [typeOf(schema), limitsOf(schema).map((limit) => `, ${limit}`)],
    required ? "required" : schema.default == null || String(schema.default) === "" ? "" : h("code", null, JSON.stringify(schema.default)),
    [where !== "query" && `${where}: `, prose(description ?? "")],
  ]);
  const bodies = Object.entries(operation.requestBody?.content ?? {}).map(([type, { schema }]) => [
    h("code", null, type),
    schema.properties ? Object.entries(schema.properties).flatMap(([name, property], index) => [index ? h("br") : "", h("code", null, name), ": ", typeOf(property), property.description && [", ", prose(property.description)]]) : typeOf(schema),
  ]);
  const answers = Object.entries(operation.responses).flatMap(([status, { description, content }]) =>
    Object.entries(content ?? { "": {} }).map(([type, { schema }]) => [h("code", null, status), description, h("code", null, type), schema ? typeOf(schema) : ""]),
  );
  return {
    id,
    title: `${call.method} ${path}`,
    element: h(
      "section",
      { id, "aria-labelledby": `${id}-title` },
      h("h2", { id: `${id}-title` }, h("span", { class: `method ${method}` }, call.method), " ", path),
      (operation.description ?? "").split("\n\n").map((paragraph) => h("p", null, prose(paragraph))),
      call.needsKey && h("p", { class: "key" }, "Needs a key, as ", h("code", null, "X-API-Key"), " or ", h("code", null, "Authorization: Bearer"), "."),
      isSampled && LANGUAGES.map((name) => sample(call, name)),
      table("Query and headers", ["name", "type", "default", "meaning"], parameters),
      table("Body", ["type", "content"], bodies),
      table("Answers", ["status", "meaning", "type", "schema"], answers),
    ),
  };
}

function schemaOf([name, schema]) {
  const required = new Set(schema.required ?? []);
  const rows = Object.entries(schema.properties ?? {}).map(([field, property]) => [
    h("code", null, field),
    [typeOf(property), limitsOf(property).map((limit) => `, ${limit}`)],
    [prose(property.description ?? ""), !required.has(field) && " (may be left out)"],
  ]);
  return h("section", { id: name, "aria-labelledby": `${name}-title` }, h("h3", { id: `${name}-title` }, name), h("p", null, prose((schema.description ?? "").split("\n")[0])), rows.length ? table(name, ["field", "type", "meaning"], rows) : h("p", null, typeOf(schema)));
}

async function start() {
  for (const name of LANGUAGES) byId("languages").append(h("button", { type: "button", "aria-pressed": String(name === language), onclick: () => chooseLanguage(name) }, name));
  const found = await documents();
  if (!found.length) {
    byId("about").textContent = "The service does not answer. Its address stands in config.json beside this page.";
    return;
  }
  const operations = new Map();
  const schemas = new Map();
  for (const each of found) {
    for (const [path, methods] of Object.entries(each.document.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        const made = operationOf(each, path, method, operation);
        if (!operations.has(made.title)) operations.set(made.title, made);
      }
    }
    for (const [name, schema] of Object.entries(each.document.components?.schemas ?? {})) schemas.set(name, schema);
  }
  // What costs something comes first.
  const sorted = [...operations.values()].sort((a, b) => b.title.startsWith("POST") - a.title.startsWith("POST"));
  const { info } = found[0].document;
  byId("about").replaceChildren(`${info.title} ${info.version}. ${info.summary ?? ""} The examples run as they stand, in a folder with a photo called leaf.jpg.`);
  byId("contents").replaceChildren(h("ul", null, sorted.map(({ id, title }) => h("li", null, h("a", { href: `#${id}` }, title))), h("li", null, h("a", { href: "#schemas" }, "Schemas")), h("li", null, h("a", { href: new URL("openapi.json", found[0].base).href }, "openapi.json"))));
  byId("operations").replaceChildren(...sorted.map(({ element }) => element), h("section", { id: "schemas" }, h("h2", null, "Schemas"), [...schemas].sort(([a], [b]) => a.localeCompare(b)).map(schemaOf)));
  if (location.hash) document.querySelector(`[id="${CSS.escape(location.hash.slice(1))}"]`)?.scrollIntoView();
}

await start();

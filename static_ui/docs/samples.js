/** Examples that run as they stand, in a folder with a photo called leaf.jpg; the key is in the environment as PLANT_KEY. */

const PHOTO = "leaf.jpg";

/**
 * @typedef {{method: string, url: string, needsKey: boolean, field: string|null, json: object|null}} Call field: of a form, for the photo
 */

/** The same call in three languages. @param {Call} call */
export const SAMPLES = {
  curl({ method, url, needsKey, field, json }) {
    return [
      `curl ${method === "GET" || field || json ? "" : `-X ${method} `}"${url}"`,
      needsKey && '-H "X-API-Key: $PLANT_KEY"',
      field && `-F ${field}=@${PHOTO}`,
      json && `--json '${JSON.stringify(json)}'`,
    ]
      .filter(Boolean)
      .join(" \\\n  ");
  },

  Python({ method, url, needsKey, field, json }) {
    const args = [
      `"${url}"`,
      needsKey && 'headers={"X-API-Key": os.environ["PLANT_KEY"]}',
      field && `files={"${field}": open("${PHOTO}", "rb")}`,
      json && `json=${JSON.stringify(json)}`,
    ].filter(Boolean);
    return [
      needsKey && "import os",
      needsKey && "",
      "import httpx",
      "",
      `answer = httpx.${method.toLowerCase()}(`,
      ...args.map((arg) => `    ${arg},`),
      "    timeout=60,",
      ")",
      "answer.raise_for_status()",
      "print(answer.json())",
    ]
      .filter((line) => line !== false)
      .join("\n");
  },

  JavaScript({ method, url, needsKey, field, json }) {
    const headers = [needsKey && '"X-API-Key": process.env.PLANT_KEY', json && '"Content-Type": "application/json"'].filter(Boolean);
    const options = [
      method !== "GET" && `method: "${method}"`,
      headers.length && `headers: { ${headers.join(", ")} }`,
      field && "body: form",
      json && `body: JSON.stringify(${JSON.stringify(json)})`,
    ].filter(Boolean);
    return [
      field && 'import { openAsBlob } from "node:fs"; // in a browser: the file of an <input type="file">',
      field && "",
      field && "const form = new FormData();",
      field && `form.append("${field}", await openAsBlob("${PHOTO}"), "${PHOTO}");`,
      `const answer = await fetch("${url}"${options.length ? `, {\n${options.map((option) => `  ${option},\n`).join("")}}` : ""});`,
      "if (!answer.ok) throw new Error((await answer.json()).detail);",
      "console.log(await answer.json());",
    ]
      .filter((line) => line != null && line !== false)
      .join("\n");
  },
};

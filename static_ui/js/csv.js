/** Results as a table that a spreadsheet opens: the columns of the service's own CSV. */

const COLUMNS = ["index", "name", "status", "decision", "class_id", "crop", "disease", "healthy", "probability", "others", "is_leaf", "is_healthy", "width", "height", "format", "error", "detail"];

/** @param {import("./views/many.js").Row[]} rows */
export function table(rows) {
  // The byte order mark tells Excel that this is UTF-8.
  return `\ufeff${[COLUMNS, ...rows.map(cells)].map((line) => line.map(cell).join(",")).join("\r\n")}\r\n`;
}

function cells({ index, name, state, item, photo, reason, code }) {
  const row = { index, name };
  if (state === "ok") {
    const [best, ...others] = item.predictions;
    Object.assign(row, best, {
      status: "ok",
      decision: item.decision,
      others: others.map((each) => `${each.class_id} ${each.probability}`).join("; "),
      is_leaf: item.is_leaf.probability,
      is_healthy: item.is_healthy.probability,
      width: photo.originalWidth,
      height: photo.originalHeight,
      format: item.images[0].format,
    });
  } else {
    Object.assign(row, { status: state === "failed" ? "error" : state, error: code, detail: reason });
  }
  return COLUMNS.map((column) => row[column]);
}

/** What a spreadsheet would take for a formula is marked as text: https://owasp.org/www-community/attacks/CSV_Injection */
function cell(value) {
  let text = String(value ?? "");
  if (typeof value === "string" && /^\s*[=+\-@\t\r\n\uff1d\uff0b\uff20]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

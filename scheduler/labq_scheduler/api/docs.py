"""A page that shows the OpenAPI description without any network: labs are often offline."""

from __future__ import annotations

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>labq API</title>
<style>
 body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff }
 h2 { margin-top: 2rem; border-bottom: 1px solid #ccc } summary { cursor: pointer; padding: .2rem 0 }
 code, pre { font: 13px/1.4 ui-monospace, monospace } pre { background: #f4f4f4; padding: .6rem; overflow: auto }
 b { display: inline-block; min-width: 4.2rem } .d { color: #555; margin-left: .6rem }
 td { padding: .1rem .8rem .1rem 0; vertical-align: top }
 @media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818 } pre { background: #262626 } .d { color: #aaa } }
</style>
<h1>labq API</h1>
<p>Send <code>Authorization: Bearer TOKEN</code>. The machine-readable description is
<a href="/openapi.json">/openapi.json</a>.</p>
<main>Loading…</main>
<script>
const text = (tag, content, parent, name) => {
  const node = document.createElement(tag); node.textContent = content ?? ""; if (name) node.className = name;
  parent.append(node); return node;
};
const named = schema => schema?.$ref ? schema.$ref.split("/").pop()
  : schema?.items ? "list of " + named(schema.items) : schema?.type ?? "";
const table = (title, rows, parent) => {
  if (!rows.length) return; text("p", title, parent);
  const body = parent.appendChild(document.createElement("table"));
  for (const row of rows) { const line = body.insertRow(); for (const cell of row) line.insertCell().append(cell); }
};
fetch("/openapi.json").then(answer => answer.json()).then(api => {
  const main = document.querySelector("main"); main.textContent = ""; const groups = new Map();
  for (const [path, methods] of Object.entries(api.paths)) for (const [method, op] of Object.entries(methods)) {
    const tag = op.tags?.[0] ?? "other"; if (!groups.has(tag)) groups.set(tag, []);
    groups.get(tag).push([path, method, op]);
  }
  for (const [tag, routes] of groups) {
    text("h2", tag, main);
    for (const [path, method, op] of routes) {
      const box = main.appendChild(document.createElement("details")), head = text("summary", "", box);
      text("b", method.toUpperCase(), head); text("code", path, head);
      text("span", (op.description ?? op.summary ?? "").split("\\n")[0], head, "d");
      text("p", op.description, box);
      table("Parameters", (op.parameters ?? []).map(p => [p.name, p.in, p.description ?? ""]), box);
      const sent = Object.entries(op.requestBody?.content ?? {});
      table("Body", sent.map(([media, c]) => [media, named(c.schema)]), box);
      table("Answers", Object.entries(op.responses ?? {}).map(([status, answer]) =>
        [status, named(Object.values(answer.content ?? {})[0]?.schema), answer.description ?? ""]), box);
    }
  }
  text("h2", "schemas", main);
  for (const [name, schema] of Object.entries(api.components?.schemas ?? {})) {
    const box = main.appendChild(document.createElement("details")); text("summary", name, box);
    text("pre", JSON.stringify(schema, null, 2), box);
  }
}).catch(error => { document.querySelector("main").textContent = "openapi.json cannot be read: " + error; });
</script></html>
"""

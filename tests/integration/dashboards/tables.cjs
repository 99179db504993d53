// Shows the tables of the dashboards as Grafana does: its own transformations and its own words for values.
//
//   node tables.cjs FOLDER-WITH-NODE_MODULES <in.json >out.json
//
// In: {title: {panel, answers: {refId: result of an instant query}}}. Out: {title: [[name of column, …], [cell, …], …]}.
const { createRequire } = require('module');
const load = createRequire(process.argv[2] + '/');

// The package expects a browser.
const { JSDOM } = load('jsdom');
const { window } = new JSDOM('<html></html>', { url: 'http://localhost/' });
window.matchMedia = () => ({ matches: false });
for (const name of ['document', 'localStorage', 'HTMLElement', 'DOMParser', 'Element', 'Node']) globalThis[name] = window[name];
globalThis.window = window;
const navigator = { language: 'en-US', languages: ['en-US'], userAgent: '' };
Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true });

const grafana = load('@grafana/data');
const { lastValueFrom } = load('rxjs');
// It tells how long each transformation took, where the answer goes.
console.time = console.timeEnd = console.log = () => {};
const known = Object.values(grafana.standardTransformers);
const once = known.filter((one, at) => known.findIndex((other) => other.id === one.id) === at);
grafana.standardTransformersRegistry.setInit(() => once.map((one) => ({ id: one.id, name: one.name, transformation: one })));
const OPTIONS = ['unit', 'min', 'max', 'decimals', 'noValue', 'thresholds', 'mappings', 'links', 'color', 'custom.width', 'custom.cellOptions'];
const options = new grafana.Registry(() => OPTIONS.map((id) => ({
  id, name: id, path: id.replace('custom.', ''), isCustom: id.startsWith('custom.'), process: (value) => value, shouldApply: () => true,
})));

// As the Prometheus source does for an instant query in the form of a table: a column for each label, "" where it is missing.
function frame(refId, series, many) {
  if (!series.length) return grafana.toDataFrame({ refId, fields: [] });
  const labels = [...new Set(series.flatMap((one) => Object.keys(one.metric)))].sort();
  return grafana.toDataFrame({ refId, fields: [
    { name: 'Time', type: 'time', values: series.map(() => 0) },
    ...labels.map((name) => ({ name, type: 'string', values: series.map((one) => one.metric[name] ?? '') })),
    { name: many ? `Value #${refId}` : 'Value', type: 'number', values: series.map((one) => parseFloat(one.value[1])) },
  ] });
}

async function shown({ panel, answers }) {
  const frames = panel.targets.map(({ refId }) => frame(refId, answers[refId], panel.targets.length > 1));
  const data = grafana.applyFieldOverrides({
    data: await lastValueFrom(grafana.transformDataFrame(panel.transformations, frames)),
    fieldConfig: panel.fieldConfig, replaceVariables: (text) => text, theme: grafana.createTheme(), timeZone: 'utc',
    fieldConfigRegistry: options,
  });
  if (data.length !== 1) throw new Error(`${panel.title}: ${data.length} tables`);
  const fields = data[0].fields;
  const cell = (field, at) => grafana.formattedValueToString(field.display(field.values[at]));
  const rows = Array.from({ length: data[0].length }, (_, at) => fields.map((field) => cell(field, at)));
  return [fields.map((field) => grafana.getFieldDisplayName(field, data[0], data)), ...rows];
}

(async () => {
  const asked = JSON.parse(require('fs').readFileSync(0, 'utf8'));
  const out = {};
  for (const [title, one] of Object.entries(asked)) out[title] = await shown(one);
  process.stdout.write(JSON.stringify(out));
})();

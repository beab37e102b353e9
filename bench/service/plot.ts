import { operations } from "../lib/workload.ts";
import type { Row } from "./measure.ts";

const panel = { width: 330, height: 300, left: 54, top: 44 } as const;
const plot = { width: 260, height: 210 } as const;
const colours = ["#555", "#0b62c4", "#3fa0e0", "#7fc4c0", "#d97706", "#b42318", "#7a3fb0", "#b58adb"];

/**
 * Plots requests per second over requests at a time as SVG: a panel for each call, both axes logarithmic. The background is drawn
 * too, so that it is readable in dark mode.
 */
export function plotOf(rows: readonly Row[], caption: string): string {
  const names = [...new Set(rows.map(({ target }) => target))];
  const panels = operations.filter((operation) => rows.some((row) => row.operation === operation));
  const width = panels.length * panel.width + 20;
  const height = panel.height + 24 + Math.ceil(names.length / 4) * 20;
  const colourOf = (name: string) => colours[names.indexOf(name) % colours.length]!;
  const drawn = panels.map((operation, i) => {
    const of = rows.filter((row) => row.operation === operation);
    const lines = names.map((name) =>
      line(
        of.filter(({ target }) => target === name),
        rows,
        colourOf(name),
      ),
    );
    return `<g transform="translate(${i * panel.width + panel.left},${panel.top})">${axes(rows, operation)}${lines.join("")}</g>`;
  });
  const legend = names.map((name, i) => {
    const [x, y] = [panel.left + (i % 4) * ((width - panel.left) / 4), panel.height + 8 + (i >> 2) * 20];
    return `<rect x="${x}" y="${y - 9}" width="10" height="10" fill="${colourOf(name)}"/>${text(x + 15, y, name)}`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11" fill="#444">
<title>Requests per second of each server, by requests at a time</title>
<rect width="${width}" height="${height}" fill="#fff"/>
${text(panel.left, 16, `requests/s by requests at a time. ${caption}`)}
${drawn.join("\n")}
${legend.join("\n")}
</svg>
`;
}

interface Scale {
  readonly lowest: number;
  readonly highest: number;
  /** Maps the lowest value to 0 and the highest to 1, logarithmically. */
  at(value: number): number;
}

function scale(values: readonly number[]): Scale {
  const [lowest, highest] = [Math.min(...values), Math.max(...values)];
  const range = Math.log(highest / lowest) || 1;
  return { lowest, highest, at: (value) => Math.log(value / lowest) / range };
}

const xScale = (rows: readonly Row[]) => scale(rows.map(({ concurrency }) => concurrency));
const yScale = (rows: readonly Row[]) => {
  const rates = rows.map(({ requestsPerSecond }) => requestsPerSecond);
  const power = (value: number, round: (exponent: number) => number) => 10 ** round(Math.log10(value));
  return scale([power(Math.min(...rates), Math.floor), power(Math.max(...rates), Math.ceil)]);
};

function axes(rows: readonly Row[], title: string): string {
  const [x, y] = [xScale(rows), yScale(rows)];
  const parts = [
    `<text x="${plot.width / 2}" y="-8" text-anchor="middle" font-weight="bold">${title}</text>`,
  ];
  for (let value = y.lowest; value <= y.highest; value *= 10) {
    const at = (1 - y.at(value)) * plot.height;
    parts.push(`<path d="M0 ${at.toFixed(1)}H${plot.width}" stroke="#ddd"/>`);
    parts.push(
      `<text x="-6" y="${(at + 4).toFixed(1)}" text-anchor="end">${value.toLocaleString("en")}</text>`,
    );
  }
  for (const value of new Set(rows.map(({ concurrency }) => concurrency))) {
    const at = x.at(value) * plot.width;
    parts.push(
      `<text x="${at.toFixed(1)}" y="${plot.height + 16}" text-anchor="middle">${value.toString()}</text>`,
    );
  }
  return parts.join("");
}

function line(of: readonly Row[], rows: readonly Row[], colour: string): string {
  const [x, y] = [xScale(rows), yScale(rows)];
  const points = of.map(({ concurrency, requestsPerSecond }) => [
    (x.at(concurrency) * plot.width).toFixed(1),
    ((1 - y.at(requestsPerSecond)) * plot.height).toFixed(1),
  ]);
  const dots = points.map(([cx, cy]) => `<circle cx="${cx}" cy="${cy}" r="3" fill="${colour}"/>`);
  return `<polyline points="${points.map((point) => point.join(",")).join(" ")}" fill="none" stroke="${colour}" stroke-width="1.5"/>${dots.join("")}`;
}

function text(x: number, y: number, content: string): string {
  const escaped = content.replace(/[&<]/g, (character) => (character === "&" ? "&amp;" : "&lt;"));
  return `<text x="${x}" y="${y}">${escaped}</text>`;
}

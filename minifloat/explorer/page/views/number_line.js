"use strict";
// The number line: a row of ticks for each format, and the number that was typed.

const LINES = [["linear", "linear"], ["log", "log₂"], ["bell", "under a bell"]];
const MARGIN_LEFT = 16;
const ROW = 46;
const BELL = 90;

/** Return the width of pictures, in pixels: that of the page, so that letters have their size. */
function pictureWidth() {
  return Math.max(300, Math.min(1160, document.getElementById("view").clientWidth - 40));
}

/** Return the largest magnitude to show: of all formats, but not over 8 times the shortest one. */
function linearExtent(formats) {
  const sizes = formats.map((format) => Math.max(Math.abs(largestOf(format)), Math.abs(lowestOf(format))));
  return Math.min(Math.max(...sizes), 8 * Math.min(...sizes)) * 1.04;
}

/** Return the place of a value, null outside, by the kind of line. */
function scaleOfLine(kind, formats, width) {
  const inner = width - 2 * MARGIN_LEFT;
  if (kind === "log") return logScale(formats, inner);
  const extent = kind === "bell" ? 4 : linearExtent(formats);
  const low = kind === "linear" && formats.every((format) => lowestOf(format) >= 0) ? -0.02 * extent : -extent;
  return {
    place: (value) => (value < low || value > extent ? null : MARGIN_LEFT + ((value - low) / (extent - low)) * inner),
    marks: niceMarks(low, extent, Math.max(4, width / 120)),
  };
}

function niceMarks(low, high, count) {
  const rough = (high - low) / count;
  const ten = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * ten).find((each) => each >= rough);
  const marks = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) marks.push([k * step, String(+(k * step).toPrecision(6))]);
  return marks;
}

function logScale(formats, inner) {
  const low = Math.floor(Math.log2(Math.min(...formats.map(smallestOf)))) - 0.5;
  const high = Math.ceil(Math.log2(Math.max(...formats.map(largestOf)))) + 0.5;
  const step = Math.ceil((high - low) / (inner / 80));
  const marks = [];
  for (let k = Math.ceil(low / step) * step; k <= high; k += step) marks.push([2 ** k, Math.abs(k) <= 3 ? String(2 ** k) : powerText(k)]);
  const place = (value) => {
    const at = Math.log2(value);
    return !(value > 0) || at < low || at > high ? null : MARGIN_LEFT + ((at - low) / (high - low)) * inner;
  };
  return { place, marks };
}

/** Return the factor by which values are shown under the bell: a block's absmax is 3.4 sigma. */
function bellFactor(format) {
  return 3.4 / maxAbsOf(format);
}

function numberLine(kind, formats, x) {
  const width = pictureWidth();
  const { place, marks } = scaleOfLine(kind, formats, width);
  const top = kind === "bell" ? BELL : 10;
  const height = top + ROW * formats.length + 26;
  const parts = [];
  if (kind === "bell") parts.push(bellCurve(place, top));
  formats.forEach((format, at) => parts.push(ticksOf(format, kind, place, width, top + ROW * at + 18)));
  const bottom = top + ROW * formats.length;
  for (const [value, text] of marks) {
    const at = place(value);
    if (at === null) continue;
    parts.push(svg("line", { class: "mark", x1: at, x2: at, y1: bottom + 2, y2: bottom + 7 }));
    parts.push(svg("text", { class: "mark-text", x: at, y: bottom + 21, "text-anchor": "middle" }, text.replace("-", "−")));
  }
  const shown = x.kind === "finite" && kind !== "bell" ? place(kind === "log" ? Math.abs(toFloat64(x)) : toFloat64(x)) : null;
  if (shown !== null) {
    parts.push(svg("line", { class: "typed", x1: shown, x2: shown, y1: top - 6, y2: bottom + 2 }));
    parts.push(svg("circle", { class: "typed-dot", cx: shown, cy: top - 6, r: 4 }));
  }
  const names = formats.map((format) => format.name).join(", ");
  const label = `Number line, ${kind}: the values of ${names}`;
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "line" }, parts);
}

function ticksOf(format, kind, place, width, y) {
  const factor = kind === "bell" ? bellFactor(format) : 1;
  const values = [...new Set(orderedCodes(format).map((code) => format.value(code) + 0))];
  const places = new Set();
  const parts = [svg("line", { class: "axis", x1: MARGIN_LEFT, x2: width - MARGIN_LEFT, y1: y + 12, y2: y + 12 })];
  for (const value of values) {
    const at = place(value * factor);
    if (at === null || places.has(Math.round(at))) continue; // where ticks would lie on each other
    places.add(Math.round(at));
    parts.push(svg("line", { class: "tick", x1: at, x2: at, y1: y + 2, y2: y + 22 }, svg("title", {}, valueText(value))));
  }
  parts.push(svg("text", { class: "row-name", x: MARGIN_LEFT, y: y - 4 }, format.name));
  return parts;
}

function bellCurve(place, bottom) {
  const points = [];
  for (let z = -4; z <= 4.001; z += 0.1) points.push(`${place(Math.min(z, 4))},${bottom - (bottom - 8) * Math.exp((-z * z) / 2)}`);
  return svg("polygon", { class: "bell", points: `${place(-4)},${bottom} ${points.join(" ")} ${place(4)},${bottom}` });
}

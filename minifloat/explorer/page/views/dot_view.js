"use strict";
// The view of dot products: the same products in two matrix units.

const MOST_TERMS = 64;
const PAIRS = [
  ["hopper/e4m3fn/float32", "blackwell/e4m3fn/float32", "FP8 on Hopper and Blackwell"],
  ["volta/float16/float32", "hopper/float16/float32", "FP16 on Volta and Hopper"],
  ["hopper/bfloat16/float32", "cdna3/bfloat16/float32", "BF16 on NVIDIA and AMD"],
  ["blackwell/mxfp4/float32", "blackwell/nvfp4/float32", "MXFP4 and NVFP4"],
];

/** Return the numbers of a typed list; an Error names the wrong one. */
function listOfState(text, label) {
  const words = text.split(/[\s,;]+/).filter(Boolean);
  const numbers = words.map(parseNumber);
  const wrong = numbers.findIndex((x) => x === null || x.kind !== "finite" || !Number.isFinite(toFloat64(x)));
  if (wrong >= 0) throw new Error(`${label} has "${words[wrong]}", which is no finite number`);
  if (numbers.length > MOST_TERMS) throw new Error(`${label} has ${numbers.length} numbers; at most ${MOST_TERMS} are shown`);
  return numbers;
}

function showDot() {
  let found;
  try {
    const [a, b] = [listOfState(state.a, "A"), listOfState(state.b, "B")];
    if (a.length !== b.length) throw new Error(`A has ${a.length} numbers and B has ${b.length}`);
    if (a.length === 0) throw new Error("type some numbers");
    const c = parseNumber(state.c);
    if (c?.kind !== "finite") throw new Error("C must be a finite number");
    found = ["unit1", "unit2"].map((each) => ({ name: state[each], unit: TABLES.units[state[each]], ...dotInUnit(state[each], a, b, c), c }));
  } catch (error) {
    return [dotInputs(error.message)];
  }
  return [dotInputs(null), h("div", { class: "cards" }, found.map(resultCard)), ...found.map(alignmentPanel)];
}

function dotInputs(error) {
  const units = Object.keys(TABLES.units).map((name) => [name, name]);
  for (const each of ["unit1", "unit2"]) if (!Object.hasOwn(TABLES.units, state[each])) state[each] = START[each];
  const chips = PAIRS.map(([unit1, unit2, text], at) =>
    h("button", { id: `pair-${at}`, type: "button", class: "chip", "aria-pressed": String(state.unit1 === unit1 && state.unit2 === unit2), onclick: () => update({ unit1, unit2 }) }, text),
  );
  return h(
    "section",
    { class: "panel block-inputs" },
    h(
      "div",
      { class: "two" },
      choiceField("unit1", "Unit 1: architecture / input / output", state.unit1, units, (unit1) => update({ unit1 })),
      choiceField("unit2", "Unit 2", state.unit2, units, (unit2) => update({ unit2 })),
    ),
    h("div", { class: "chips", role: "group", "aria-label": "Pairs of units" }, chips),
    h(
      "div",
      { class: "two" },
      textField("a", "A", state.a, (a) => update({ a }), { rows: 2 }),
      textField("b", "B", state.b, (b) => update({ b }), { rows: 2 }),
    ),
    h("div", { class: "start" }, textField("c", "C, to which the products are added", state.c, (c) => update({ c }))),
    error && h("p", { class: "error", role: "alert" }, `Not possible: ${error}.`),
  );
}

/** Return the sum of the products of operands as the unit has them, and C, exactly. */
function exactDot({ xs, ys, c, factor }) {
  const products = xs.map((x, at) => [x, ys[at]].flatMap(({ value, scale }) => (scale ? [value, scale] : [value])).reduce(multiply));
  const sum = factor.map(fromFloat64).reduce(multiply, exactSum(products));
  return add(sum, c);
}

function resultCard({ name, unit, result, ...rest }, at) {
  const exact = exactDot(rest);
  const read = (operands) => operands.map(({ value, scale }) => numberText(scale ? multiply(value, scale) : value, 8)).join(", ").replaceAll("-", "−");
  const pairs = [
    ["A as read", read(rest.xs)],
    ["B as read", read(rest.ys)],
    ["Exact sum", numberText(exact, 16).replace("-", "−")],
  ];
  if (rest.factor.length > 0) pairs.splice(2, 0, ["Tensor scales", rest.factor.map((each) => valueText(each)).join(" and ")]);
  if (result.kind === "finite") {
    const error = subtract(result, exact);
    const relative = isZero(exact) || isZero(error) ? "" : ` (relative ${Math.abs(toFloat64(divide(error, exact))).toExponential(2)})`;
    pairs.push(["Error", isZero(error) ? "0, exact" : roughText(error).replace("-", "−") + relative]);
  }
  pairs.push(["Adds", addsText(unit)]);
  pairs.push(["Model", h("code", {}, unit.text)]);
  pairs.push(["Source", sourceText(unit.source)]);
  return h(
    "section",
    { class: "card panel" },
    h("h2", {}, name),
    h("p", { class: "value" }, h("output", { id: `result-${at}`, "data-of": name }, numberText(result, 17).replace("-", "−"))),
    h("dl", { class: "pairs" }, pairs.flatMap(([term, text]) => [h("dt", {}, term), h("dd", {}, text)])),
  );
}

const SOURCES = {
  1: ["arXiv 2511.10909", "https://arxiv.org/abs/2511.10909"],
  2: ["arXiv 2512.07004", "https://arxiv.org/abs/2512.07004"],
  3: ["PeerJ CS 7:e330", "https://doi.org/10.7717/peerj-cs.330"],
};

/** Return a source such as "[1] table 4; [2]" with links. */
function sourceText(source) {
  return source.split(/\[(\d)\]/).map((part, at) => (at % 2 ? h("a", { href: SOURCES[part][1] }, SOURCES[part][0]) : part));
}

function addsText(unit) {
  const terms = unit.terms ?? 1;
  const at = terms > 1 ? `${terms} products at once` : "one product after another";
  if (unit.bits === undefined) return `${at}, exactly, then rounds to ${unit.sum[0]}`;
  return `${at}, cut ${unit.bits} bits below the largest exponent, then rounds ${unit.rounding.replaceAll("_", " ")} to ${unit.sum[0]}`;
}

/** Draw the terms of the first step: which of their bits the unit keeps. */
function alignmentPanel({ name, unit, steps }) {
  const step = steps.find(({ top }) => top !== undefined);
  const title = `Terms in ${name}`;
  if (!step) {
    const text = "This unit cuts no term: each sum is exact until it is rounded.";
    return h("section", { class: "panel" }, h("h2", {}, title), h("p", { class: "note" }, steps.length ? text : "The result is an infinity or NaN."), sumsText(steps));
  }
  const first = steps.indexOf(step);
  const count = steps.length > 1 ? `, step ${first + 1} of ${steps.length}` : "";
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, title + count),
    scrollBox(`terms-${name}`, title, alignmentChart(step, unit)),
    h("p", { class: "note" }, `Each row is a term at its place, the highest bit on the left. The unit aligns all to the exponent ${step.top} and keeps bits down to ${powerText(step.place)}; bits in red are lost.`),
    sumsText(steps),
  );
}

function sumsText(steps) {
  if (steps.length < 2) return null;
  const sums = steps.map(({ result }) => numberText(result, 12).replace("-", "−"));
  return h("p", { class: "says" }, `Running sums: ${sums.join(", then ")}.`);
}

const WIDEST_CELL = 15; // of a bit, in pixels
const MOST_COLUMNS = 64;

function alignmentChart(step, unit) {
  const rows = [...step.grouped.map((value, at) => [unit.group > 1 ? `${at * unit.group}…` : String(at), value]), ["C", step.start]].filter(([, value]) => value.kind === "finite");
  const high = Math.max(step.top + 2, ...rows.filter(([, value]) => !isZero(value)).map(([, value]) => floorLog2(value)));
  const lows = rows.filter(([, value]) => !isZero(value)).map(([, value]) => lowestBit(value));
  const low = Math.max(Math.min(step.place - 2, ...lows), high - MOST_COLUMNS);
  const left = 110;
  const cell = Math.max(7, Math.min(WIDEST_CELL, (pictureWidth() - left - 12) / (high - low + 1)));
  const width = left + (high - low + 1) * cell + 10;
  const top = 26;
  const parts = [];
  const place = (bit) => left + (high - bit) * cell;
  parts.push(svg("rect", { class: "window", x: place(step.top), y: top - 4, width: (step.top - step.place + 1) * cell, height: rows.length * 20 + 6, rx: 4 }));
  for (const bit of [step.top, step.place]) parts.push(svg("text", { class: "mark-text", x: place(bit) + cell / 2, y: 15, "text-anchor": "middle" }, powerText(bit)));
  rows.forEach(([name, value], at) => {
    const y = top + at * 20 + 12;
    parts.push(svg("text", { class: "row-name", x: 4, y }, `${name}: ${numberText(value, 6).replace("-", "−").replace("≈ ", "")}`));
    if (isZero(value)) return;
    for (let bit = floorLog2(value); bit >= Math.max(low, lowestBit(value)); bit--) {
      const digit = wholeSteps(value, bit).steps & 1n ? "1" : "0";
      parts.push(svg("text", { class: bit < step.place ? "lost-bit" : "kept-bit", x: place(bit) + cell / 2, y, "text-anchor": "middle" }, digit));
    }
  });
  return svg("svg", { class: "terms", style: `font-size: ${Math.min(13, 1.3 * cell)}px`, viewBox: `0 0 ${width} ${top + rows.length * 20 + 8}`, width, role: "img", "aria-label": `${rows.length} terms; those with bits below ${powerText(step.place)} lose them` }, parts);
}

/** Return the exponent of the lowest bit of a dyadic number. */
function lowestBit(value) {
  const { num, den } = reduced(value);
  return bitLength(num & -num) - bitLength(den);
}

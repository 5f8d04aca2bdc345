"use strict";
// Matrix units: how one adds products, step by step, from its line in tables.js.
//
// A term is {value, exponent}; the exponent is the one that the unit reads, NOTHING of a zero. A
// format of sums is [name, mantissa bits, lowest exponent, largest].

const NOTHING = -1e6;
const ONE = integer(1);

/** Return a number rounded to a format of sums; beyond it is infinity. */
function roundSum(x, [, mantissaBits, emin, largest], mode, flush = false) {
  if (x.kind !== "finite" || x.num === 0n) return x;
  const last = Math.max(floorLog2(x), emin) - mantissaBits;
  let { steps, exact } = wholeSteps(x, last);
  if (!exact && mode === "nearest_even") {
    const side = compare(subtract(magnitude(x), scaled(steps, last)), scaled(1n, last - 1));
    if (side > 0 || (side === 0 && steps & 1n)) steps += 1n;
  }
  const rounded = scaled(steps, last, x.negative);
  if (compare(magnitude(rounded), fromFloat64(largest)) > 0) return infinity(x.negative);
  const isTiny = flush && compare(magnitude(rounded), scaled(1n, emin)) < 0;
  return isTiny ? rational(x.negative, 0n) : rounded;
}

/** Return a number cut to a multiple of 2**place, toward zero or downward. */
function cutAt(x, place, downward = false) {
  const { steps, exact } = wholeSteps(x, place);
  return scaled(downward && x.negative && !exact ? steps + 1n : steps, place, x.negative);
}

function exponentOf(x, emin) {
  return x.kind !== "finite" || x.num === 0n ? NOTHING : Math.max(floorLog2(x), emin);
}

/** Return the infinity or NaN that a sum of such numbers is, or null if all are finite. */
function specialSum(numbers) {
  const found = numbers.filter((x) => x.kind !== "finite");
  if (found.length === 0) return null;
  const isMixed = found.some((x) => x.kind === "nan" || x.negative !== found[0].negative);
  return isMixed ? NOT_A_NUMBER : found[0];
}

function exactSum(numbers) {
  return numbers.length ? numbers.reduce(add) : rational(false, 0n);
}

/** Return the result of a unit and its steps; operands are {value, emin, scale, scaleEmin}. */
function unitDot(unit, xs, ys, start) {
  const steps = [];
  const flushed = (x, emin) => (unit.flush && compare(magnitude(x), scaled(1n, emin)) < 0 ? rational(x.negative, 0n) : x);
  const own = (x) => (x.value.kind === "finite" ? { ...x, value: flushed(x.value, x.emin) } : x);
  const terms = permuted(
    xs.map((x, at) => termOf(unit, own(x), own(ys[at]))),
    unit.order,
  );
  const from = start.kind === "finite" ? flushed(start, -126) : start;
  const result = unit.promote ? promoted(unit, terms, from, steps) : ordered(unit, terms, from, steps);
  return { result, steps };
}

function termOf(unit, x, y) {
  let value = ieeeMultiply(x.value, y.value);
  let exponent = NOTHING;
  if (value.kind === "finite" && value.num > 0n) {
    // groups are aligned by the exponents of their scales alone
    exponent = unit.group > 1 ? 0 : exponentOf(x.value, x.emin) + exponentOf(y.value, y.emin);
  }
  for (const { scale, scaleEmin } of [x, y]) {
    if (!scale) continue;
    value = ieeeMultiply(value, scale);
    if (exponent !== NOTHING) exponent += exponentOf(scale, scaleEmin);
  }
  if (value.kind !== "finite" || value.num === 0n) exponent = NOTHING;
  const isInfinite = unit.limit !== undefined && value.kind === "finite" && compare(magnitude(value), scaled(1n, unit.limit)) >= 0;
  if (isInfinite) value = infinity(value.negative);
  if (unit.product) value = roundSum(value, unit.product, "nearest_even", unit.flush);
  return { value, exponent };
}

function permuted(terms, order) {
  const [word, size] = (order ?? "").split(":");
  if (word !== "split") return terms;
  const found = [];
  const nothing = { value: rational(false, 0n), exponent: NOTHING };
  for (let at = 0; at < terms.length; at += +size) {
    const block = terms.slice(at, at + +size);
    while (block.length < +size) block.push(nothing);
    for (const parity of [0, 1]) found.push(...block.filter((_, k) => (k >> 1) % 2 === parity));
  }
  return found;
}

function promoted(unit, terms, start, steps) {
  let total = start;
  for (let at = 0; at < terms.length; at += unit.promote) {
    const part = chain(unit, terms.slice(at, at + unit.promote), rational(false, 0n), steps);
    total = specialSum([total, part]) ?? roundSum(add(total, part), unit.outer, "nearest_even");
    steps.push({ outer: part, result: total });
  }
  return total;
}

function ordered(unit, terms, start, steps) {
  const [word, size] = (unit.order ?? "").split(":");
  if (word !== "pairwise") return chain(unit, terms, start, steps);
  let total = start;
  for (let at = 0; at < terms.length; at += +size) {
    const part = halves(unit, terms.slice(at, at + +size).map(({ value }) => value));
    const before = total;
    total = plus(unit, total, part);
    steps.push({ terms: terms.slice(at, at + +size), start: before, result: total });
  }
  return total;
}

function plus(unit, x, y) {
  return specialSum([x, y]) ?? roundSum(add(x, y), unit.sum, unit.rounding, unit.flush);
}

function halves(unit, values) {
  if (values.length === 1) return values[0];
  const half = Math.ceil(values.length / 2);
  const left = halves(unit, values.slice(0, half));
  const begun = half === 1 && left.kind === "finite" ? roundSum(left, unit.sum, unit.rounding, unit.flush) : left;
  return plus(unit, begun, halves(unit, values.slice(half)));
}

function chain(unit, terms, start, steps) {
  const size = unit.terms ?? 1;
  let total = start;
  for (let at = 0; at < terms.length; at += size) {
    const some = terms.slice(at, at + size);
    const step = { terms: some, start: total };
    total = addStep(unit, some, total, step);
    steps.push({ ...step, result: total });
  }
  return total;
}

/** Return the sum after one step, and note in `step` where terms were cut. */
function addStep(unit, terms, total, step) {
  const special = specialSum([...terms.map(({ value }) => value), total]);
  if (special) return special;
  const values = terms.map(({ value }) => value);
  if (unit.bits === undefined) return roundSum(add(exactSum(values), total), unit.sum, unit.rounding, unit.flush);
  if (unit.late !== undefined) return lateStep(unit, terms, total, step);
  const exponents = terms.map(({ exponent }) => exponent);
  const top = Math.max(...exponents, exponentOf(total, unit.sum[2]), unit.floor ?? NOTHING);
  if (top === NOTHING) return rational(false, 0n);
  const group = unit.group ?? 1;
  const grouped = [];
  for (let at = 0; at < values.length; at += group) grouped.push(exactSum(values.slice(at, at + group)));
  const cut = [...grouped, total].map((value) => cutAt(value, top - unit.bits));
  Object.assign(step, { top, place: top - unit.bits, grouped, cut });
  const sum = exactSum(cut);
  return isZero(sum) ? rational(false, 0n) : roundSum(sum, unit.sum, unit.rounding); // 0 has no sign
}

/** The same where the running sum enters after the products (AMD). */
function lateStep(unit, terms, total, step) {
  const { bits, late, sum } = unit;
  const zero = rational(false, 0n);
  const lanes = unit.lanes ?? 1;
  const sums = [];
  for (let lane = 0; lane < lanes; lane++) {
    const own = terms.filter((_, at) => at % lanes === lane);
    const top = Math.max(NOTHING, ...own.map(({ exponent }) => exponent));
    const values = own.filter(({ value }) => !isZero(value)).map(({ value }) => cutAt(value, top - bits));
    sums.push({ value: exactSum(values), top });
  }
  let top = Math.max(...sums.map((each) => each.top));
  const cutSums = sums.filter(({ value }) => !isZero(value)).map(({ value }) => cutAt(value, top - bits, true));
  let together = exactSum(cutSums);
  const own = Math.max(sum[2], exponentOf(total, sum[2]));
  const kept = unit.drops && own < top - bits - 1 ? zero : total;
  top = Math.max(top, own);
  Object.assign(step, { top, place: top - bits, grouped: terms.map(({ value }) => value) });
  together = add(cutAt(together, top - late - 1, true), cutAt(kept, top - bits, true));
  if (isZero(together)) return zero;
  const last = Math.max(floorLog2(together), sum[2]) - late;
  return roundSum(cutAt(together, last, true), sum, unit.rounding);
}

/** Return the operands of typed numbers: rounded to the unit's format, or quantized with scales. */
function unitOperands(unit, name, numbers) {
  if (unit.scale) return scaledOperands(unit, name, numbers);
  const inputName = unit.inputs[0];
  const operands = numbers.map((x) => ({ value: toInput(x, inputName), emin: unit.emin }));
  return { operands, tensorScale: null };
}

function toInput(x, name) {
  if (name === "float64") return asFloat64(x);
  if (name === "float32") return fromFloat64(toFloat32(x));
  const format = parseFormat(name);
  const mode = name === "tf32" ? "toward_zero" : "nearest_even"; // as the units cut float32 numbers
  const source = name === "tf32" ? fromFloat64(toFloat32(x)) : x;
  const { code } = encode(source, format, { mode, overflow: "saturate_finite", nan: "zero" });
  return fromFloat64(format.value(code));
}

/** Return a number rounded once to float32. */
function toFloat32(x) {
  return toFloat64(roundSum(x, FLOAT32_SUM, "nearest_even"));
}

const FLOAT32_SUM = ["float32", 23, -126, FLOAT32_GRID.largest];

function scaledOperands(unit, name, numbers) {
  const recipe = parseRecipe(name.split("/")[1]);
  const row = quantizeRow(numbers.map(toFloat64), recipe);
  const scaleEmin = recipe.scale.emin;
  const operands = row.blocks.flatMap(({ codes, format, scale }) =>
    codes.map((code) => ({
      value: fromFloat64(format.value(code)),
      emin: format.emin,
      scale: fromFloat64(scale),
      scaleEmin,
    })),
  );
  return { operands, tensorScale: row.tensorScale };
}

/** Return the dot product of typed numbers in a unit: result, steps, operands. */
function dotInUnit(name, xs, ys, start) {
  const unit = TABLES.units[name];
  const [a, b] = [xs, ys].map((row) => unitOperands(unit, name, row));
  const factor = [a, b].map(({ tensorScale }) => tensorScale).filter((each) => each !== null);
  const isFactored = factor.length > 0;
  const c = startOf(unit, start);
  const found = unitDot(unit, a.operands, b.operands, isFactored ? rational(false, 0n) : c);
  if (isFactored) found.result = afterFactor(found.result, factor, c);
  return { ...found, xs: a.operands, ys: b.operands, factor };
}

function startOf(unit, start) {
  if (start.kind !== "finite") return start;
  if (unit.output === "float64") return asFloat64(start);
  const wide = fromFloat64(toFloat32(start));
  return unit.output === "float16" ? roundSum(wide, ["float16", 10, -14, 65504], "nearest_even") : wide;
}

/** Return a sum times the tensor scales, in float64 and then float32, and C added in float32. */
function afterFactor(sum, factors, c) {
  const factor = factors.reduce((a, b) => a * b, 1);
  const scaledSum = Math.fround(toFloat64(sum) * factor);
  return fromFloat64(Math.fround(scaledSum + toFloat64(c)));
}

"use strict";
// Recipes: how a row of weights becomes codes and scales, as `minifloat.quantize` does it.
//
// Weights are float64 numbers. Scales come from float64 quotients; a weight is rounded once, from the
// exact quotient of the weight and its scale.

const SCALE_ROUNDINGS = ["nearest_even", "floor", "ceil", "nearest", "even", "up", "down"];

const FLOAT32_GRID = { name: "float32", bits: 32, mantissaBits: 23, emin: -126, hasZero: true };
FLOAT32_GRID.smallest = 2 ** -149;
FLOAT32_GRID.largest = (2 - 2 ** -23) * 2 ** 127;

/** Return the format of scales: its grid of positive values. */
function parseScaleFormat(name) {
  if (name === "float32") return FLOAT32_GRID;
  const format = parseFormat(name);
  if (format.kindOfFormat !== "exmy") throw new Error("a scale must be float32 or an ExMy");
  return {
    name: format.name,
    bits: format.bits,
    format,
    mantissaBits: format.mantissaBits,
    emin: format.emin,
    hasZero: format.hasZero,
    smallest: smallestOf(format),
    largest: largestOf(format),
  };
}

/** Return the recipe of a text FORMAT[/BLOCK[/SCALE[:ROUNDING][/OPTIONS]]] or of a name. */
function parseRecipe(text) {
  const typed = text.trim().toLowerCase();
  const full = TABLES.recipes[typed]?.[0] ?? typed;
  const [formats, blockText = "128", scaleText = "float16", options = ""] = full.split("/").map((part) => part.trim());
  const candidates = formats.split("|").map((word) => {
    const [name, at] = word.split("@");
    const format = parseFormat(name);
    return { format, absmaxAt: at === undefined ? maxAbsOf(format) : Number(at) };
  });
  if (candidates.some(({ absmaxAt }) => !(absmaxAt > 0))) throw new Error("behind @ stands a number above 0");
  const [scaleName, rounding] = scaleText.split(":");
  const scale = parseScaleFormat(scaleName);
  const scaleRounding = rounding ?? (scale.mantissaBits ? "nearest_even" : "floor");
  if (!SCALE_ROUNDINGS.includes(scaleRounding)) throw new Error(`scales are rounded by ${SCALE_ROUNDINGS.join(", ")}`);
  const recipe = { text: full, candidates, block: parseBlock(blockText), scale, scaleRounding };
  for (const option of options ? options.split("+") : []) {
    const tensor = /^tensor-scale(\d+(?:\.\d+)?)?$/.exec(option);
    if (tensor) Object.assign(recipe, { tensorScale: true, largestScale: tensor[1] ? +tensor[1] : null });
    else if (option === "one-scale") recipe.oneScale = true;
    else if (option === "absmean") recipe.absmean = true;
    else throw new Error(`the explorer does not compute "${option}"; minifloat.quantize does`);
  }
  return recipe;
}

function parseBlock(text) {
  if (text === "channel" || text === "tensor") return Infinity; // the whole row
  if (!/^\d{1,6}$/.test(text) || +text < 1) throw new Error("a block must be a number of weights here");
  return +text;
}

/** Return the nearest scale to a wanted one, never 0; null beyond the format. */
function nearestScale(scale, wanted) {
  if (!scale.format) {
    const rounded = Math.fround(wanted);
    return rounded > scale.largest ? null : Math.max(rounded, scale.smallest);
  }
  const { code } = roundToNeighbour(fromFloat64(wanted), scale.format, "nearest_even", {});
  return code === null ? null : Math.max(scale.format.value(code), scale.smallest);
}

/** Return absmax rounded to a power of two as the rule says; null beyond the format. */
function powerScale(recipe, absmaxAt, precision, absmax, tensor) {
  const { scale, scaleRounding } = recipe;
  const exact = divide(fromFloat64(absmax), fromFloat64(tensor));
  const emax = floorLog2(fromFloat64(absmaxAt));
  const low = floorLog2(exact);
  const significand = divide(exact, scaled(1n, low));
  let power = low - emax;
  if (scaleRounding === "up" || scaleRounding === "down") {
    const ratio = divide(fromFloat64(absmax), fromFloat64(tensor * absmaxAt));
    power = floorLog2(ratio);
    if (scaleRounding === "up" && compare(ratio, scaled(1n, power)) !== 0) power++;
  } else {
    const carry = {
      ceil: (s) => compare(s, integer(1)) !== 0,
      nearest: (s) => compare(s, rational(false, 3n, 2n)) >= 0,
      even: (s) => compare(s, subtract(integer(2), scaled(1n, -precision))) >= 0,
      floor: () => false,
    }[scaleRounding];
    if (carry(significand)) power++;
  }
  if (power > Math.floor(Math.log2(scale.largest))) return null;
  const lowest = Math.ceil(Math.log2(scale.smallest));
  return Math.max(2 ** Math.max(power, lowest), scale.smallest);
}

function precisionOf(format) {
  if (format.kindOfFormat === "exmy") return format.mantissaBits + 1;
  if (format.kindOfFormat === "integer") return format.bits - Number(format.signed);
  throw new Error(`scales of ${format.name} cannot be rounded by "even", since it has no precision`);
}

/** Return the scale of a block's absmax under one candidate; null beyond the format. */
function scaleOf(recipe, candidate, absmax, tensor) {
  const { scale, scaleRounding } = recipe;
  if (absmax === 0) return scale.hasZero ? 0 : scale.smallest;
  if (scaleRounding !== "nearest_even") {
    const precision = scaleRounding === "even" ? precisionOf(candidate.format) : 0;
    return powerScale(recipe, candidate.absmaxAt, precision, absmax, tensor);
  }
  const wanted = absmax / (candidate.absmaxAt * tensor);
  return wanted > 0 ? nearestScale(scale, wanted) : scale.smallest;
}

const float32View = new DataView(new ArrayBuffer(4));

/** Return the float32 number that is so many steps above a positive one. */
function stepFloat32(value, steps) {
  float32View.setFloat32(0, value);
  float32View.setInt32(0, float32View.getInt32(0) + steps);
  return float32View.getFloat32(0);
}

/** Return the factor of all scales, from the largest magnitude of the row. */
function tensorScaleOf(recipe, absmax) {
  const { scale, scaleRounding, candidates } = recipe;
  const arePowers = scaleRounding !== "nearest_even" || scale.mantissaBits === 0;
  const most = recipe.largestScale ?? (arePowers ? 1 : scale.largest);
  const exact = absmax / candidates[0].absmaxAt / most;
  let tensor = Math.fround(exact);
  if (scaleRounding === "down" && tensor > exact) tensor = stepFloat32(tensor, -1);
  if (scaleRounding === "up" && tensor < exact) tensor = stepFloat32(tensor, 1);
  if (tensor === 0) return exact === 0 ? 1 : 2 ** -149;
  return scaleOf(recipe, candidates[0], absmax, tensor) === null ? stepFloat32(tensor, 1) : tensor;
}

/** Return the block's absmax, or the mean of magnitudes that takes its place. */
function extentOf(recipe, block) {
  const absmax = Math.max(...block.map(Math.abs));
  if (!recipe.absmean) return absmax;
  const sum = block.map((w) => magnitude(fromFloat64(w))).reduce(add);
  const mean = toFloat64(divide(sum, integer(block.length)));
  return mean * recipe.candidates[0].absmaxAt || absmax;
}

/** Return what multiplies the scales of each candidate: the tensor scale, stretched. */
function factorsOf(recipe, tensor) {
  if (!recipe.oneScale) return recipe.candidates.map(() => tensor);
  const own = recipe.candidates[0].absmaxAt;
  return recipe.candidates.map(({ absmaxAt }) => {
    const factor = (tensor * own) / absmaxAt;
    return Math.fround(Math.min(Math.max(factor, 2 ** -126), FLOAT32_GRID.largest));
  });
}

/** Return the code of a weight, rounded once from the exact quotient. */
function weightCode(weight, format, scale, factor) {
  if (weight === 0) return encode(fromFloat64(weight), format).code;
  const divisor = multiply(fromFloat64(scale || 1), fromFloat64(factor));
  return encode(divide(fromFloat64(weight), divisor), format).code;
}

const MARGIN = 1 - 2 ** -40; // errors that differ by less are equal

/** Return the codes and the error of a block as one candidate. */
function asCandidate(block, { format }, scale, factor) {
  const codes = block.map((weight) => weightCode(weight, format, scale, factor));
  const divisor = (scale > 0 ? scale : 1) * factor;
  let error = 0;
  block.forEach((weight, at) => {
    const rest = weight - format.value(codes[at]) * divisor;
    error += rest * rest;
  });
  return { codes, error };
}

/** Return a row of finite weights as blocks: scale, choice, codes, values. */
function quantizeRow(weights, recipe) {
  const width = Math.min(recipe.block, weights.length);
  const blocks = [];
  for (let at = 0; at < weights.length; at += width) blocks.push(weights.slice(at, at + width));
  const extents = blocks.map((block) => extentOf(recipe, block));
  const tensor = recipe.tensorScale ? tensorScaleOf(recipe, Math.max(...extents)) : 1;
  const factors = factorsOf(recipe, tensor);
  return {
    tensorScale: recipe.tensorScale ? tensor : null,
    blocks: blocks.map((block, at) => quantizeBlock(block, recipe, extents[at], tensor, factors)),
  };
}

function quantizeBlock(block, recipe, extent, tensor, factors) {
  const first = scaleOf(recipe, recipe.candidates[0], extent, tensor);
  if (first === null) throw new Error(`the scale of a block is beyond ${recipe.scale.name}; use a wider one`);
  let best = null;
  recipe.candidates.forEach((candidate, choice) => {
    const own = recipe.oneScale || choice === 0 ? first : scaleOf(recipe, candidate, extent, tensor);
    const scale = own ?? recipe.scale.largest; // an alternative's scale saturates
    const found = asCandidate(block, candidate, scale, factors[choice]);
    if (best === null || found.error < best.error * MARGIN) {
      best = { ...found, scale, choice, extent, format: candidate.format, factor: factors[choice] };
    }
  });
  const values = best.codes.map((code) => weightValue(code, best));
  return { weights: block, values, ...best };
}

/** Return what a code means: value times scale times factor, rounded once to float32. */
function weightValue(code, { format, scale, factor }) {
  const product = multiply(fromFloat64(format.value(code)), multiply(fromFloat64(scale), fromFloat64(factor)));
  return Math.fround(toFloat64(product));
}

/** Return the code of a scale, with the choice in its sign bit where there are two candidates. */
function scaleCode(recipe, { scale, choice }) {
  const { format, bits } = recipe.scale;
  const sign = choice === 1 && hasFlagInSign(recipe) ? 2 ** (bits - 1) : 0;
  if (format) return encode(fromFloat64(scale), format).code + sign;
  float32View.setFloat32(0, scale);
  return float32View.getUint32(0) + sign;
}

/** Return whether the sign bit of a scale tells which of two formats a block is. */
function hasFlagInSign(recipe) {
  if (recipe.candidates.length !== 2) return false;
  const [one, other] = recipe.candidates.map(({ format }) => format.name);
  const { format } = recipe.scale;
  const hasFreeSign = !format || (format.signed && !format.nanAtMinusZero);
  return (one !== other || recipe.oneScale) && hasFreeSign;
}

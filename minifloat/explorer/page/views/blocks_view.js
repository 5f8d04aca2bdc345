"use strict";
// The view of blocks: a row of weights by a recipe, its codes, scales and bytes.

const RECIPES_SHOWN = ["mxfp4", "nvfp4", "if4", "four_over_six", "e2m2/128/float16", "int5/128/float16", "nf4", "int4/32/float16"];
const MOST_WEIGHTS = 128;

/** Return so many numbers that look normal, the same for a seed: sums of a linear congruence. */
function drawnWeights(count, seed) {
  let word = seed >>> 0;
  const uniform = () => {
    word = (Math.imul(word, 1664525) + 1013904223) >>> 0;
    return word / 2 ** 32;
  };
  return Array.from({ length: count }, () => {
    let sum = -6;
    for (let k = 0; k < 12; k++) sum += uniform();
    return Math.round(sum * 1000) / 1000;
  });
}

/** Return the weights of the state: typed ones, or 64 drawn ones. */
function weightsOfState() {
  const text = state.weights.trim();
  const drawn = /^random:(\d{1,9})$/.exec(text);
  if (text === "" || drawn) return drawnWeights(ROW_OF_TABLES, drawn ? +drawn[1] : 1);
  const numbers = text.split(/[\s,;]+/).filter(Boolean).map((word) => [word, parseNumber(word)]);
  const wrong = numbers.find(([, x]) => x === null || x.kind !== "finite" || !Number.isFinite(toFloat64(x)));
  if (wrong) throw new Error(`"${wrong[0]}" is no finite number`);
  if (numbers.length > MOST_WEIGHTS) throw new Error(`at most ${MOST_WEIGHTS} weights are shown, these are ${numbers.length}`);
  return numbers.map(([, x]) => toFloat64(x));
}

function showBlocks() {
  let result;
  try {
    const recipe = parseRecipe(state.recipe);
    const weights = weightsOfState();
    result = { recipe, weights, row: quantizeRow(weights, recipe) };
  } catch (error) {
    result = { error: error.message };
  }
  const panels = [blockInputs(result)];
  if (result.row) panels.push(summaryPanel(result), h("div", { class: "blocks" }, blockPanels(result)), bytesPanel(result));
  return panels;
}

function blockInputs({ error }) {
  const chips = RECIPES_SHOWN.map((text, at) =>
    h("button", { id: `recipe-${at}`, type: "button", class: "chip", "aria-pressed": String(state.recipe === text), onclick: () => update({ recipe: text, layout: "" }) }, text),
  );
  const seed = Number(/^random:(\d+)$/.exec(state.weights)?.[1] ?? 1);
  return h(
    "section",
    { class: "panel block-inputs" },
    textField("recipe", "Recipe", state.recipe, (recipe) => update({ recipe, layout: "" }), { list: "recipe-names", class: "name" }),
    h("div", { class: "chips", role: "group", "aria-label": "Recipes" }, chips),
    h(
      "div",
      { class: "weights" },
      textField("weights", "Weights, up to 128; empty: 64 drawn ones", state.weights, (weights) => update({ weights }), { rows: 2, placeholder: "0.7, -0.1, 1/3, 1.3 …" }),
      h("button", { id: "draw", type: "button", class: "quiet", onclick: () => update({ weights: `random:${seed + 1}` }) }, "Draw others"),
    ),
    error && h("p", { class: "error", role: "alert" }, `Not possible: ${error}.`),
  );
}

function summaryPanel({ recipe, row, weights }) {
  const values = row.blocks.flatMap((block) => block.values);
  let signal = 0;
  let noise = 0;
  weights.forEach((weight, at) => {
    signal += weight * weight;
    noise += (weight - values[at]) ** 2;
  });
  const pairs = [["Recipe", recipe.text]];
  const source = Object.values(TABLES.recipes).find(([text]) => text === recipe.text)?.[1];
  if (source) pairs.push(["Source", source]);
  pairs.push(["Bits per weight", bitsPerWeight(recipe)]);
  if (row.tensorScale !== null) pairs.push(["Tensor scale", `${valueText(row.tensorScale)} (float32)`]);
  pairs.push(["SQNR of this row", noise > 0 ? `${(10 * Math.log10(signal / noise)).toFixed(2)} dB` : "no error"]);
  const exact = TABLES.sqnr[recipe.text];
  if (exact !== undefined) pairs.push(["Exact SQNR, N(0,1)", `${exact.toFixed(2)} dB, expected over all blocks`]);
  const cost = TABLES.costs[recipe.candidates[0].format.name];
  if (cost) pairs.push([`Circuit of ${recipe.candidates[0].format.name}`, costText(cost)]);
  return h("section", { class: "panel" }, h("dl", { class: "pairs wide" }, pairs.flatMap(([name, text]) => [h("dt", {}, name), h("dd", {}, text)])));
}

function bitsPerWeight(recipe) {
  const { bits } = recipe.candidates[0].format;
  if (!Number.isFinite(recipe.block)) return String(bits);
  const flag = recipe.candidates.length > 1 && !hasFlagInSign(recipe) ? flagBits(recipe) : 0;
  return String(+(bits + (recipe.scale.bits + flag) / recipe.block).toFixed(4));
}

/** Return the bits that say which candidate a block is, where the sign of its scale does not. */
function flagBits(recipe) {
  const names = new Set(recipe.candidates.map(({ format }) => format.name));
  return names.size === 1 && !recipe.oneScale ? 0 : Math.ceil(Math.log2(recipe.candidates.length));
}

function blockPanels({ recipe, row }) {
  let first = 0;
  return row.blocks.map((block, at) => {
    const panel = blockPanel(recipe, row, block, at, first);
    first += block.weights.length;
    return panel;
  });
}

function blockPanel(recipe, row, block, at, first) {
  const { format, scale, factor, extent } = block;
  const code = scaleCode(recipe, block);
  const many = row.blocks.length > 1;
  const title = many ? `Block ${at + 1} of ${row.blocks.length}` : "Block";
  const divisor = (scale || 1) * factor;
  const facts = [
    `${recipe.absmean ? "mean magnitude × largest" : "absmax"} ${shortText(extent)}`,
    `scale ${valueText(scale)}`,
    `${recipe.scale.name} ${hexOf(code, recipe.scale.bits)}`,
  ];
  if (recipe.candidates.length > 1) facts.push(`becomes ${candidateText(recipe.candidates[block.choice])}`);
  const rows = block.weights.map((weight, k) => weightRow(block, weight, k, first + k, divisor));
  const table = tableOf(
    `${title}: each weight is divided by ${valueText(divisor)} and rounded to ${format.name}`,
    ["#", "weight", "÷ scale", "code", "value", "× scale", "error"],
    rows,
  );
  return h(
    "section",
    { class: "panel" },
    h("div", { class: "panel-head" }, h("h2", {}, title), h("p", { class: "facts" }, facts.join(" · "))),
    blockChart(block, divisor, isBeside(row) ? (pictureWidth() - 50) / 2 : pictureWidth()),
    at === 0 && h("p", { class: "note" }, "A circle is a weight, a bar what it becomes; lines are the values that the scale makes possible."),
    h("details", { id: `block-${at}`, class: "own" }, h("summary", {}, `${block.weights.length} weights in a table`), scrollBox(`block-box-${at}`, title, table)),
  );
}

const ROOM_FOR_TWO = 960; // pixels

/** Return whether blocks stand side by side. */
function isBeside(row) {
  return row.blocks.length > 1 && pictureWidth() > ROOM_FOR_TWO;
}

function candidateText({ format, absmaxAt }) {
  return absmaxAt === maxAbsOf(format) ? format.name : `${format.name}, absmax at ${absmaxAt}`;
}

function weightRow(block, weight, k, number, divisor) {
  const { format, codes, values } = block;
  const code = codes[k];
  return [
    String(number),
    shortText(weight),
    shortText(+(weight / divisor).toPrecision(5)),
    h("span", { class: "mono" }, colouredBits(format, code)),
    valueText(format.value(code)),
    shortText(values[k]),
    shortText(+(values[k] - weight).toPrecision(3)),
  ];
}

/** Return the bits of a code, each field in its colour. */
function colouredBits(format, code) {
  const text = bitText(code, format.bits);
  let at = 0;
  return format.fields.map(([name, width]) => h("span", { class: `ink-${name}` }, text.slice(at, (at += width)), " "));
}

const MOST_LEVELS = 400;

/** Draw the weights of a block, and the levels that they may become. */
function blockChart(block, divisor, width) {
  const { weights, values, format } = block;
  const height = 190;
  const largest = Math.max(...weights.map(Math.abs), ...values.map(Math.abs)) || 1;
  const y = (value) => height / 2 - (value / largest) * (height / 2 - 10);
  const step = (width - 2 * MARGIN_LEFT) / weights.length;
  const levels = [...new Set(orderedCodes(format).map((code) => y(format.value(code) * divisor)))].filter((at) => at >= 0 && at <= height);
  const parts = levels.slice(0, MOST_LEVELS).map((at) => svg("line", { class: "level", x1: MARGIN_LEFT, x2: width - MARGIN_LEFT, y1: at, y2: at }));
  weights.forEach((weight, k) => {
    const x = MARGIN_LEFT + (k + 0.5) * step;
    parts.push(svg("line", { class: "error-bar", x1: x, x2: x, y1: y(weight), y2: y(values[k]) }));
    parts.push(svg("circle", { class: "weight-dot", cx: x, cy: y(weight), r: Math.min(5, step / 3) }));
    parts.push(svg("rect", { class: "value-dot", x: x - Math.min(7, step / 2.5), y: y(values[k]) - 1.75, width: 2 * Math.min(7, step / 2.5), height: 3.5 }, svg("title", {}, `${weight} becomes ${values[k]}`)));
  });
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "line", role: "img", "aria-label": `${weights.length} weights, the levels of ${format.name} and what each weight becomes` }, parts);
}

function bytesPanel({ recipe, row, weights }) {
  const layouts = layoutsOf(recipe, weights.length);
  const names = Object.keys(layouts);
  const chosen = names.includes(state.layout) ? state.layout : names[0];
  const codes = row.blocks.flatMap((block) => block.codes);
  const scales = row.blocks.map((block) => scaleCode(recipe, block));
  const tensors = layouts[chosen].map((tensor) => h("div", { class: "tensor" }, tensorHead(tensor), hexDump(bytesOfTensor(tensor, recipe, codes, scales, row.tensorScale))));
  const isPart = recipe.text in TABLES.layouts && weights.length !== ROW_OF_TABLES && Object.keys(TABLES.layouts[recipe.text]).length > 0;
  return h(
    "section",
    { class: "panel" },
    h("div", { class: "panel-head" }, h("h2", {}, "Bytes in a checkpoint"), switchField("layout", "Layout of a checkpoint", chosen, names.map((name) => [name, name]), (layout) => update({ layout }))),
    h("p", { class: "note" }, layoutNote(chosen, isPart)),
    tensors,
  );
}

function layoutNote(name, isPart) {
  if (isPart) return "Layouts of other tools are shown for rows of 64 weights.";
  const rows = { gptq: 8, gptq_v2: 8, awq: 8, "gpt-oss": 32 }[name];
  if (rows) return `This layout packs along outputs: the row is the first of ${rows}, and the others are 0. A byte's title says what is in it.`;
  if (name === "fpe2m2") return "The authors write an exact zero with sign 1, the code of −0. A byte's title says what is in it.";
  return "As the tool's loader reads them, lowest address first. A byte’s title says what is in it.";
}

function tensorHead({ name, dtype, shape, size, tensorScale }) {
  const note = tensorScale > 0 ? " — the tensor scale" : tensorScale < 0 ? " — 1 / the tensor scale" : "";
  const facts = shape ? `${dtype} [${shape.join(", ")}], ${size} bytes` : dtype;
  return h("h3", {}, h("code", {}, name), h("span", { class: "facts" }, ` ${facts}${note}`));
}

/** Return [byte, title, kind] of each byte of a tensor. */
function bytesOfTensor(tensor, recipe, codes, scales, tensorScale) {
  const own = tensor.name === "sign_map" ? codes.map((code) => code || 16) : codes;
  if (tensor.dense) {
    const { bits } = recipe.candidates[0].format;
    return [...packDense(tensor.of === "scales" ? scales : own, tensor.of === "scales" ? recipe.scale.bits : bits)].map((byte, at) => {
      const width = tensor.of === "scales" ? recipe.scale.bits : bits;
      const [first, last] = [Math.floor((8 * at) / width), Math.min(Math.floor((8 * at + 7) / width), codes.length - 1)];
      const what = tensor.of === "scales" ? "scale" : "code";
      return [byte, first === last ? `${what} ${first}` : `${what}s ${first} to ${last}`, what];
    });
  }
  const { bytes, origins } = packTensor(tensor, own, scales, tensorScale);
  return [...bytes].map((byte, at) => {
    const from = [...origins[at]];
    const isScale = from.some((each) => each.startsWith("s"));
    const title = from.map((each) => (each.startsWith("s") ? `scale ${each.slice(1)}` : `code ${each}`)).join(", ");
    return [byte, title || "the same for all weights", from.length === 0 ? "fixed" : isScale ? "scale" : "code"];
  });
}

const MOST_BYTES = 512;

function hexDump(bytes) {
  const shown = bytes.slice(0, MOST_BYTES);
  const cells = shown.map(([byte, title, kind]) => h("span", { class: `byte ${kind}`, title }, byte.toString(16).padStart(2, "0")));
  const rest = bytes.length > MOST_BYTES ? h("span", { class: "facts" }, ` and ${bytes.length - MOST_BYTES} more`) : "";
  return h("div", { class: "dump mono" }, cells, rest);
}

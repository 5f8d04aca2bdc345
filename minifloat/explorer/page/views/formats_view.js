"use strict";
// The view of formats: a number in up to four formats, side by side.

const MOST_FORMATS = 4;
const EXAMPLES = ["0.3", "1/3", "-1.7", "0x1.8p-2", "100", "-0", "inf", "nan"];
const ADDED = ["e4m3fn", "nf4", "e3m1", "e2m1"];

function formatNames() {
  return state.formats.split(",").slice(0, MOST_FORMATS);
}

/** Return {name, format} or {name, error} of each card. */
function formatsOfState() {
  return formatNames().map((name) => {
    try {
      return { name, format: parseFormat(name) };
    } catch (error) {
      return { name, error: error.message };
    }
  });
}

function randomOfState() {
  const bits = Math.min(Math.max(Math.round(Number(state.bits)) || 24, 1), 28);
  const word = Math.min(Math.max(Math.round(Number(state.word)) || 0, 0), 2 ** bits - 1);
  return { word, bits };
}

/** Return the code of a card: that of the typed number, or the one that was typed itself. */
function codeOfCard(at, format, x) {
  const [card, code] = state.code.split(":").map(Number);
  const isTyped = state.code !== "" && card === at && Number.isInteger(code) && code >= 0 && code < format.codeCount;
  if (isTyped) return { code };
  return encode(x, format, { nan: "zero" });
}

function showFormats() {
  const x = parseNumber(state.x);
  const cards = formatsOfState();
  const good = cards.filter(({ format }) => format).map(({ format }) => format);
  return [
    numberPanel(x),
    h("div", { class: "cards", "data-count": cards.length }, cards.map((card, at) => formatCard(card, at, x))),
    x && good.length > 0 && linePanel(good, x),
    x && good.length > 0 && modesPanel(good, x),
  ];
}

function numberPanel(x) {
  const change = (text) => update({ x: text, code: "" });
  const examples = EXAMPLES.map((text, at) =>
    h("button", { id: `example-${at}`, type: "button", class: "chip", onclick: () => change(text) }, text.replace("inf", "∞")),
  );
  return h(
    "section",
    { class: "panel number-panel" },
    textField("x", "Number", state.x, change, { class: "big", "aria-describedby": "x-says" }),
    h("div", { class: "chips", role: "group", "aria-label": "Examples of numbers" }, examples),
    h("button", { id: "add-format", type: "button", class: "quiet", disabled: formatNames().length >= MOST_FORMATS, onclick: addFormat }, "+ Add a format"),
    h("p", { id: "x-says", class: x ? "says" : "says error" }, x ? sayNumber(x) : "No number: type 0.3, 1/3, 0x1.8p-2, 0b1.01, 2^-24, inf or nan."),
  );
}

function sayNumber(x) {
  if (x.kind !== "finite") return x.kind === "nan" ? "Not a number." : "Infinity.";
  const isFloat = compare(x, asFloat64(x)) === 0;
  const decimal = exactDecimal(x, 24);
  const fraction = fractionText(x);
  const hexadecimal = hexText(x);
  const parts = [decimal ?? numberText(x)];
  if (fraction.length < 40 && fraction.includes("/")) parts.push(fraction);
  if (hexadecimal) parts.push(hexadecimal);
  return `Read exactly as ${parts.join(" = ")}${isFloat ? "." : "; no float64 has this value, and it is rounded once all the same."}`;
}

function formatCard({ name, format, error }, at, x) {
  const names = formatNames();
  const rename = (text) => update({ formats: names.with(at, text.replaceAll(",", "")).join(","), code: "" });
  const remove = () => update({ formats: names.toSpliced(at, 1).join(","), code: "" });
  return h(
    "section",
    { class: "card panel", "aria-label": `Format ${at + 1}: ${name}` },
    h(
      "div",
      { class: "card-head" },
      textField(`format-${at}`, `Format ${at + 1}`, name, rename, { list: "format-names", class: "name" }),
      names.length > 1 && h("button", { id: `remove-${at}`, type: "button", class: "quiet", onclick: remove, title: `Remove ${name}`, "aria-label": `Remove ${name}` }, "×"),
    ),
    format ? cardBody(format, at, x) : h("p", { class: "error", role: "alert" }, error),
  );
}

function addFormat() {
  const names = formatNames();
  update({ formats: [...names, ADDED.find((name) => !names.includes(name))].join(",") });
}

function cardBody(format, at, x) {
  if (!x) return [];
  const { code, error } = codeOfCard(at, format, x);
  const body = error ? h("p", { class: "error" }, "NaN has no code here, and there is no zero.") : codeFacts(format, at, code, x);
  return [h("p", { class: "facts" }, factsOf(format)), body, ownFormat(format, at)];
}

function factsOf(format) {
  const facts = [`${format.bits} bits`];
  if (format.kindOfFormat === "exmy") {
    facts.push(`bias ${format.bias}`);
    if (format.specials !== "none") facts.push(format.specials);
    if (!format.subnormals) facts.push("no subnormals");
  }
  if (format.kindOfFormat === "codebook") facts.push(`${format.codeCount} values`);
  facts.push(`largest ${valueText(largestOf(format))}`, `smallest ${valueText(smallestOf(format))}`);
  return facts.join(" · ");
}

function codeFacts(format, at, code, x) {
  const value = format.value(code);
  const kind = format.kind(code);
  return [
    bitRow(format, at, code),
    h("p", { class: "value" }, h("output", { id: `value-${at}`, "data-of": format.name }, valueText(value)), h("span", { class: "kind" }, kind === "zero" ? "" : kind)),
    h("p", { class: "meaning" }, meaningOf(format, code)),
    h("dl", { class: "pairs" }, pairsOf(format, code, value, x)),
  ];
}

/** Return the bits as buttons that flip them, and a field for the code. */
function bitRow(format, at, code) {
  const put = (other, text = hexOf(other, format.bits)) => update({ x: typedText(format.value(other)), code: `${at}:${text}` });
  const fields = [];
  let bit = format.bits;
  for (const [name, width] of format.fields) {
    const buttons = [];
    for (let k = 0; k < width; k++) {
      bit--;
      const own = bit;
      const flipped = Math.floor(code / 2 ** own) % 2 ? code - 2 ** own : code + 2 ** own;
      const digit = flipped < code ? "1" : "0";
      const isValid = flipped < format.codeCount;
      buttons.push(
        h("button", { id: `bit-${at}-${own}`, type: "button", class: "bit", disabled: !isValid, "aria-label": `bit ${own}, ${name}: ${digit}`, onclick: () => put(flipped) }, digit),
      );
    }
    fields.push(h("span", { class: `bits ${name}` }, h("span", { class: "bit-group" }, buttons), h("span", { class: "bit-name" }, width > 2 || name === "sign" ? name : name.slice(0, 3))));
  }
  const type = (text) => {
    const typed = parseNumber(text);
    const isCode = typed?.kind === "finite" && !typed.negative && typed.num % typed.den === 0n && typed.num / typed.den < BigInt(format.codeCount);
    if (isCode) put(Number(typed.num / typed.den), text.trim());
  };
  const [card, typedCode] = state.code.split(":");
  const isTyped = state.code !== "" && Number(card) === at && Number(typedCode) === code;
  const shown = isTyped ? typedCode : hexOf(code, format.bits);
  return h(
    "div",
    { class: "bit-row" },
    h("div", { class: format.bits > 9 ? "bit-fields many" : "bit-fields", role: "group", "aria-label": "Bits of the code; a press flips one" }, fields),
    textField(`code-${at}`, "Code", shown, type, { class: "code", onchange: () => draw() }),
  );
}

/** Return how a code comes to its value, in a formula. */
function meaningOf(format, code) {
  if (format.kindOfFormat === "codebook") return `entry ${code} of the table`;
  if (format.kindOfFormat === "integer") {
    return format.kind(code) === "unused" ? "unused, so that each value has its negative" : format.signed ? "two’s complement" : "unsigned integer";
  }
  const kind = format.kind(code);
  if (kind === "nan") return "not a number";
  const isNegative = format.signed && code >= format.signBit;
  const sign = isNegative ? "−" : "";
  if (kind === "inf") return `${sign}infinity`;
  const size = isNegative ? code - format.signBit : code;
  const m = format.mantissaBits;
  if (kind === "zero") return "zero";
  const [significand, exponent] = format.significand(size);
  const digits = (significand % 2 ** m).toString(2).padStart(m, "0");
  const whole = significand >= 2 ** m ? "1" : "0";
  return [`${sign}${whole}${m ? "." + digits : ""}₂ × 2`, h("sup", {}, String(exponent + m).replace("-", "−"))];
}

function pairsOf(format, code, value, x) {
  const pairs = [];
  const add = (name, ...content) => pairs.push(h("dt", {}, name), h("dd", {}, content));
  if (Number.isFinite(value) && x.kind === "finite") {
    const error = subtract(fromFloat64(value), x);
    const relative = isZero(x) || isZero(error) ? "" : ` (${(100 * Math.abs(toFloat64(divide(error, x)))).toPrecision(3)}\u00a0%)`;
    add("Error", isZero(error) ? "0, exact" : numberText(error, 10).replace("-", "−") + relative);
  }
  if (Number.isFinite(value)) {
    const codes = orderedCodes(format);
    const at = codes.indexOf(code);
    const step = (direction) => {
      let k = at + direction;
      while (k >= 0 && k < codes.length && format.value(codes[k]) === value) k += direction;
      return k >= 0 && k < codes.length ? valueText(format.value(codes[k])) : "none";
    };
    add("Neighbours", `${step(-1)} and ${step(1)}`);
    add("Rounds here", intervalText(interval(code, format, "nearest_even")));
  }
  const cost = TABLES.costs[format.name];
  if (cost) add("Circuit", costText(cost));
  const quality = TABLES.sqnr[`${format.name}/128/float16`];
  if (quality !== undefined) add("SQNR", `${quality.toFixed(2)} dB, N(0,1) in absmax blocks of 128`);
  return pairs;
}

/** Return the decision points around a code, as an interval. */
function intervalText({ low, high }) {
  const end = (side, open, closed, infinite) => (side === null ? infinite : [side.included ? closed : open, numberText(side.at, 10).replace("-", "−")]);
  const left = low === null ? "(−∞" : end(low, "(", "[").join("");
  const right = high === null ? "∞)" : end(high, ")", "]").reverse().join("");
  return `${left}, ${right}`;
}

function costText({ transistors, lut6 }) {
  const parts = [];
  if (transistors) parts.push(`${Math.round(transistors)} transistors`);
  if (lut6) parts.push(`${Math.round(lut6)} LUT6`);
  return `${parts.join(", ")} a lane of an exact dot product`;
}

/** Return the fields of an ExMy, to build any other. */
function ownFormat(format, at) {
  if (format.kindOfFormat !== "exmy") return null;
  const change = (fields) => {
    try {
      const { exponentBits, mantissaBits, bias, signed, subnormals, specials } = { ...format, ...fields };
      const isUsual = format.bias === defaultBias(format.exponentBits, format.specials) && fields.bias === undefined;
      const other = new ExMy({
        exponentBits,
        mantissaBits,
        bias: isUsual ? defaultBias(exponentBits, specials) : bias,
        signed,
        subnormals,
        specials,
      });
      update({ formats: formatNames().with(at, other.name).join(","), code: "" });
    } catch (error) {
      document.getElementById(`own-says-${at}`).textContent = `Not possible: ${error.message}.`;
    }
  };
  const number = (field, label, min, max) =>
    textField(`${field}-${at}`, label, String(format[field]), (text) => /^-?\d+$/.test(text) && change({ [field]: +text }), { type: "number", min, max });
  const flag = (field, label) =>
    h("label", { class: "flag" }, h("input", { id: `${field}-${at}`, type: "checkbox", checked: format[field], onchange: (event) => change({ [field]: event.target.checked }) }), label);
  return h(
    "details",
    { id: `own-${at}`, class: "own" },
    h("summary", {}, "Change its fields"),
    h(
      "div",
      { class: "own-fields" },
      number("exponentBits", "Exponent bits", 1, 15),
      number("mantissaBits", "Mantissa bits", 0, 14),
      number("bias", "Bias", -1000, 1000),
      choiceField(`specials-${at}`, "Infinities, NaN", format.specials, SPECIALS.map((each) => [each, each]), (specials) => change({ specials })),
      flag("signed", "Sign"),
      flag("subnormals", "Subnormals"),
    ),
    h("p", { id: `own-says-${at}`, class: "error", role: "status" }),
  );
}

function linePanel(formats, x) {
  return h(
    "section",
    { class: "panel" },
    h("div", { class: "panel-head" }, h("h2", {}, "Number line"), switchField("line", "Kind of number line", state.line, LINES, (line) => update({ line }))),
    numberLine(state.line, formats, x),
    h("p", { class: "note" }, LINE_NOTES[state.line]),
  );
}

const LINE_NOTES = {
  linear: "Each tick is a value; the line marks the number. A format much wider than the others runs out of the picture.",
  log: "Positive values, each binade as wide as the next; a sign is left away.",
  bell: "Values of a block whose largest weight, at 3.4 sigma, becomes the largest value: where a format spends its codes under normally distributed weights.",
};

function modesPanel(formats, x) {
  const random = randomOfState();
  const head = ["Rounding mode", ...formats.map((format) => format.name)];
  const rows = Object.entries(MODES).map(([mode, meaning]) => [
    { text: [h("code", {}, mode), h("span", { class: "meaning" }, meaning)] },
    ...formats.map((format) => outcomesOf(x, format, mode, random)),
  ]);
  const nans = formats.map((format) => grouped(Object.keys(NAN_POLICIES).map((nan) => [nan, outcomeText(encode(NOT_A_NUMBER, format, { nan }), format)]), "nan="));
  rows.push([{ text: [h("code", {}, "NaN"), h("span", { class: "meaning" }, "what NaN becomes, by the policy nan=")] }, ...nans]);
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, "All rounding modes and policies"),
    h(
      "div",
      { class: "random-fields" },
      textField("word", "Random word", state.word, (word) => update({ word }), { inputmode: "numeric" }),
      textField("bits", "of so many bits", state.bits, (bits) => update({ bits }), { type: "number", min: 1, max: 28 }),
      h("p", { class: "note" }, "Stochastic modes take a random word; the chance of each neighbour stands beside what this word gives."),
    ),
    scrollBox("modes-box", "Rounding modes", tableOf(`What ${state.x} becomes; where policies of overflow differ, each is named`, head, rows)),
  );
}

function outcomeText({ code, error }, format) {
  return error ? "error" : valueText(format.value(code));
}

/** Return what a number becomes in one mode: one value, or one for some policies each. */
function outcomesOf(x, format, mode, random) {
  const found = Object.keys(OVERFLOWS).map((overflow) => [overflow, outcomeText(encode(x, format, { mode, overflow, random }), format)]);
  const content = grouped(found, "");
  const isRandom = Object.hasOwn(STOCHASTIC, mode) && x.kind === "finite";
  if (!isRandom) return content;
  const { near, far, away } = chances(x, format, mode, random.bits);
  if (near === far) return content;
  const percent = (chance) => `${+(100 * chance).toPrecision(4)}\u00a0%`;
  const chance = toFloat64(away);
  const said = [near, far].map(({ value }) => numberText(value, 8).replace("-", "−"));
  return [content, h("span", { class: "meaning" }, `${said[0]}: ${percent(1 - chance)}, ${said[1]}: ${percent(chance)}`)];
}

/** Return outcomes by policy, equal ones together; alone if all are equal. */
function grouped(found, prefix) {
  const groups = new Map();
  for (const [policy, text] of found) groups.set(text, [...(groups.get(text) ?? []), policy]);
  if (groups.size === 1) return [h("strong", {}, found[0][1])];
  return [...groups].map(([text, policies]) => h("span", { class: "outcome" }, h("strong", {}, text), " ", h("span", { class: "meaning" }, prefix + policies.join(", "))));
}

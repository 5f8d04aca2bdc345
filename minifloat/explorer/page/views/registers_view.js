"use strict";
// The view of registers: the bits of one code travel through a register program, step by step.

function programTitle({ format, layout, target, scaleExponent }) {
  const factor = scaleExponent ? `, times ${powerText(scaleExponent)}` : "";
  return `${format}, layout ${layout}, to ${target}${factor}`;
}

/** Return the codes of the state: typed ones, then counting up. */
function codesOfState(program, bits) {
  const count = program.places.length;
  const typed = state.codes.trim() ? state.codes.trim().split(/[\s,;]+/).map(parseNumber) : [];
  const isCode = (x) => x?.kind === "finite" && !x.negative && x.num % x.den === 0n && x.num / x.den < 1n << BigInt(bits);
  if (!typed.every(isCode)) throw new Error(`codes must be whole numbers of 0 to ${2 ** bits - 1}`);
  const codes = typed.slice(0, count).map((x) => Number(x.num / x.den));
  for (let k = codes.length; k < count; k++) codes.push(k % 2 ** bits);
  return codes;
}

/**
 * Return of each register the bits that hang on a bit of one code: {name: {bit: bit of the code}}.
 * A bit of the code is flipped, and the bits that change are marked.
 */
function travelled(program, codes, follow, bits) {
  const before = runProgram(program, packWords(codes, program));
  const found = Object.fromEntries(Object.keys(before).map((name) => [name, {}]));
  for (let bit = 0; bit < bits; bit++) {
    const others = codes.with(follow, codes[follow] ^ (1 << bit));
    const after = runProgram(program, packWords(others, program));
    for (const [name, word] of Object.entries(before)) {
      const changed = (word ^ after[name]) >>> 0;
      for (let at = 0; at < 32; at++) if ((changed >>> at) & 1) found[name][at] = bit;
    }
  }
  return { registers: before, found };
}

function showRegisters() {
  const number = Math.min(Math.max(Number(state.program) || 0, 0), TABLES.programs.length - 1);
  const program = TABLES.programs[number];
  const format = parseFormat(program.format);
  let codes;
  try {
    codes = codesOfState(program, format.bits);
  } catch (error) {
    return [registerInputs(program, number, format, null, 0, error.message)];
  }
  const follow = Math.min(Math.max(Math.round(Number(state.follow)) || 0, 0), codes.length - 1);
  const { registers, found } = travelled(program, codes, follow, format.bits);
  return [
    registerInputs(program, number, format, codes, follow, null),
    outputPanel(program, format, codes, follow, registers),
    stepsPanel(program, format, follow, registers, found),
    textPanel(program),
  ];
}

function registerInputs(program, number, format, codes, follow, error) {
  const options = TABLES.programs.map((each, at) => [String(at), programTitle(each)]);
  const put = (value) => update({ codes: codes.with(follow, value).join(", ") });
  const facts = [`${program.places.length} codes of ${format.bits} bits in ${program.words} word${program.words > 1 ? "s" : ""}`, `${program.steps.length} instructions`, `${(program.steps.length / program.places.length).toFixed(2)} per weight`];
  return h(
    "section",
    { class: "panel block-inputs" },
    choiceField("program", "Program", String(number), options, (program) => update({ program, codes: "", step: "0" })),
    h("p", { class: "facts" }, facts.join(" · ")),
    h(
      "div",
      { class: "follow" },
      textField("codes", "Codes of a group; the rest count up", state.codes, (codes) => update({ codes }), { placeholder: "0, 1, 2, 3 …" }),
      textField("follow", `Follow code number, 0 to ${program.places.length - 1}`, state.follow, (text) => update({ follow: text }), { type: "number", min: 0, max: program.places.length - 1 }),
    ),
    error ? h("p", { class: "error", role: "alert" }, `Not possible: ${error}.`) : flipRow(format, codes[follow], follow, put),
  );
}

function flipRow(format, code, follow, put) {
  let bit = format.bits;
  const fields = format.fields.map(([name, width]) => {
    const buttons = Array.from({ length: width }, () => {
      const own = --bit;
      const digit = (code >> own) & 1;
      const flipped = code ^ (1 << own);
      return h("button", { id: `flip-${own}`, type: "button", class: "bit", disabled: flipped >= format.codeCount, "aria-label": `bit ${own}, ${name}: ${digit}`, onclick: () => put(flipped) }, String(digit));
    });
    return h("span", { class: `bits ${name}` }, h("span", { class: "bit-group" }, buttons), h("span", { class: "bit-name" }, width > 2 || name === "sign" ? name : name.slice(0, 3)));
  });
  return h("div", { class: "bit-fields", role: "group", "aria-label": `Bits of code ${follow}; a press flips one` }, fields, h("p", { class: "is-value" }, `code ${follow} is ${code}, the value ${valueText(format.value(code))}`));
}

function outputPanel(program, format, codes, follow, registers) {
  const half = parseFormat(program.target);
  const word = registers[program.outputs[follow >> 1]];
  const own = (word >>> (follow % 2 ? 16 : 0)) & 0xffff;
  const value = half.value(own);
  const wanted = format.value(codes[follow]);
  const factor = 2 ** program.scaleExponent;
  const expected = program.scaleExponent ? `${valueText(wanted)} × ${powerText(program.scaleExponent)} = ${valueText(wanted * factor)}` : valueText(wanted);
  const isSame = Object.is(value, wanted * factor);
  const note = isSame ? "the same" : "another: this code is no number of the format, and the program does not look for it";
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, "What comes out"),
    h("p", { class: "value" }, h("output", { id: "register-value", "data-of": `code ${follow}` }, valueText(value)), h("span", { class: "kind" }, `${program.target} ${hexOf(own, 16)}, the ${follow % 2 ? "high" : "low"} half of ${program.outputs[follow >> 1]}`)),
    h("p", { class: "says" }, `The code means ${expected}: ${note}.`),
  );
}

function stepsPanel(program, format, follow, registers, found) {
  const onTheWay = waysTo(program, program.outputs[follow >> 1]);
  const hasBits = (name) => onTheWay.has(name) && Object.keys(found[name]).length > 0;
  const rows = [];
  for (let at = 0; at < program.words; at++) rows.push({ name: `w${at}`, text: "input word" });
  program.steps.forEach((step, at) => rows.push({ name: `r${at}`, text: stepText(step), output: program.outputs.includes(`r${at}`) }));
  const shown = state.all ? rows : rows.filter(({ name }) => hasBits(name));
  const step = Math.min(Math.max(Number(state.step) || 0, 0), shown.length);
  const visible = step === 0 ? shown : shown.slice(0, step);
  const go = (next) => update({ step: String(next >= shown.length ? 0 : Math.max(next, 1)) });
  return h(
    "section",
    { class: "panel" },
    h(
      "div",
      { class: "panel-head" },
      h("h2", {}, "Its bits, step by step"),
      h(
        "div",
        { class: "chips" },
        h("button", { id: "first", type: "button", class: "quiet", onclick: () => go(1) }, "From the start"),
        h("button", { id: "next", type: "button", class: "quiet", onclick: () => go(step === 0 ? 1 : step + 1) }, step === 0 ? "Play a step" : `Next step (${step} of ${shown.length})`),
        h("button", { id: "whole", type: "button", class: "quiet", "aria-pressed": String(step === 0), onclick: () => update({ step: "0" }) }, "All at once"),
      ),
    ),
    h("label", { class: "flag" }, h("input", { id: "all", type: "checkbox", checked: state.all !== "", onchange: (event) => update({ all: event.target.checked ? "1" : "", step: "0" }) }), "All registers, also those of other codes"),
    scrollBox("steps", "Registers after each step", stepTable(visible, format, registers, found, step)),
    h("p", { class: "note" }, "Colours mark the bits that hang on the code’s own: sign, exponent, mantissa. The others belong to its neighbours or are constant."),
  );
}

/** Return the registers that an output is computed from, and itself. */
function waysTo(program, output) {
  const found = new Set([output]);
  for (let at = program.steps.length - 1; at >= 0; at--) {
    if (!found.has(`r${at}`)) continue;
    for (const operand of program.steps[at].slice(1)) if (typeof operand === "string") found.add(operand);
  }
  return found;
}

function stepTable(rows, format, registers, found, step) {
  const head = ["register", "instruction", { text: h("span", { class: "word mono" }, "31", h("span", {}, "16"), h("span", {}, "0")), class: "word-head" }];
  return tableOf(
    "A word is read from its top bit, 31, on the left",
    head,
    rows.map(({ name, text, output }, at) => [
      { text: h("code", {}, name + (output ? " →" : "")), class: step && at === rows.length - 1 ? "now" : "" },
      h("code", {}, text),
      { text: wordCells(registers[name], found[name], format), class: "word-cell", "aria-label": `${hexOf(registers[name], 32)}, ${Object.keys(found[name]).length} bits of the code` },
    ]),
  );
}

/** Return a word bit by bit; those that hang on the code are coloured by its fields. */
function wordCells(word, bits, format) {
  const names = fieldOfBits(format);
  const cells = [];
  for (let at = 31; at >= 0; at--) {
    const own = bits[at];
    const gap = at % 16 === 15 && at < 31 ? " half" : at % 4 === 3 && at < 31 ? " nibble" : "";
    cells.push(h("span", { class: `cell${own === undefined ? "" : ` on ${names[own]}`}${gap}`, title: own === undefined ? `bit ${at}` : `bit ${at}: bit ${own} of the code, ${names[own]}` }, (word >>> at) & 1 ? "1" : "0"));
  }
  return h("span", { class: "word mono", "aria-hidden": "true" }, cells);
}

function fieldOfBits(format) {
  return format.fields.flatMap(([name, width]) => Array(width).fill(name)).reverse();
}

function stepText([op, ...operands]) {
  const table = op === "LOP3" ? operands.pop() : null;
  const text = operands.map((each) => (typeof each === "string" ? each : each < 32 ? String(each) : hexOf(each, 32)));
  const meaning = { 0xea: "  (a & b) | c", 0x6a: "  (a & b) ^ c" }[table] ?? "";
  return `${op} ${text.join(", ")}${table === null ? "" : `, ${hexOf(table, 8)}`}${meaning}`;
}

function textPanel(program) {
  const lines = program.steps.map((step, at) => `r${at} = ${stepText(step)}`);
  const text = `${lines.join("\n")}\nout = ${program.outputs.join(", ")}`;
  const own = `minifloat registers ${program.format} --layout ${program.layout} --emit cuda`;
  return h(
    "section",
    { class: "panel" },
    h("details", { id: "program-text", class: "own" }, h("summary", {}, "The whole program"), h("pre", { class: "mono" }, text)),
    h("p", { class: "note" }, "As CUDA: ", h("code", {}, own)),
  );
}

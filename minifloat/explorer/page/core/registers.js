"use strict";
// Register programs: instructions on 32-bit words, one after the other.
//
// Arithmetic on halves is exact, rounded once to nearest even, by the rounding of this page.

const HALF_NAN = 0x7fff;

/** Return the words of a group that hold codes, by the places of a program. */
function packWords(codes, program) {
  const words = new Array(program.words).fill(0);
  program.places.forEach((row, at) => {
    row.forEach((place, bit) => {
      if ((codes[at] >> bit) & 1) words[place >> 5] = (words[place >> 5] | (1 << (place & 31))) >>> 0;
    });
  });
  return words;
}

/** Return the results of all steps: {w0: word, r0: word, ...}. */
function runProgram(program, words) {
  const registers = {};
  words.forEach((word, at) => (registers[`w${at}`] = word >>> 0));
  const half = parseFormat(program.target);
  program.steps.forEach((step, at) => {
    const [op, ...operands] = step;
    const table = op === "LOP3" ? operands.pop() : 0;
    const values = operands.map((each) => (typeof each === "string" ? registers[each] : each));
    registers[`r${at}`] = execute(op, values, { table, half, words: program.table }) >>> 0;
  });
  return registers;
}

function execute(op, [a, b, c], { table, half, words }) {
  switch (op) {
    case "AND":
      return a & b;
    case "OR":
      return a | b;
    case "XOR":
      return a ^ b;
    case "SHL":
      return a << b;
    case "SHR":
      return a >>> b;
    case "LOP3":
      return lop3(a, b, c, table);
    case "PRMT":
      return permuteBytes(a, b, c);
    case "LDS":
      return words[a >>> 2];
    default:
      return joinHalves([0, 16].map((at) => halfOperation(op, [a, b, c].map((word) => (word >>> at) & 0xffff), half)));
  }
}

/** Return any function of three bits: bit 4a + 2b + c of its truth table. */
function lop3(a, b, c, table) {
  let result = 0;
  for (let row = 0; row < 8; row++) {
    if (!((table >> row) & 1)) continue;
    result |= (row & 4 ? a : ~a) & (row & 2 ? b : ~b) & (row & 1 ? c : ~c);
  }
  return result;
}

/** Return bytes of a (0 to 3) and b (4 to 7), as the nibbles of a selector say. */
function permuteBytes(a, b, selector) {
  let result = 0;
  for (let at = 0; at < 4; at++) {
    const nibble = (selector >>> (4 * at)) & 15;
    let byte = ((nibble & 4 ? b : a) >>> (8 * (nibble & 3))) & 255;
    if (nibble & 8) byte = byte & 128 ? 255 : 0;
    result |= byte << (8 * at);
  }
  return result;
}

function joinHalves([low, high]) {
  return low | (high << 16);
}

function halfOperation(op, words, half) {
  const [x, y, z] = words.map((word) => fromFloat64(half.value(word)));
  if (op === "HMUL2") return halfWord(ieeeMultiply(x, y), half);
  if (op === "HADD2") return halfWord(ieeeAdd(x, y), half);
  if (op === "HSUB2") return halfWord(ieeeAdd(x, negated(y)), half);
  return halfWord(ieeeAdd(ieeeMultiply(x, y), z), half); // HFMA2
}

function halfWord(x, half) {
  return x.kind === "nan" ? HALF_NAN : encode(x, half, { overflow: "ieee" }).code;
}

/** Return the exact product, with IEEE's infinities and NaN. */
function ieeeMultiply(x, y) {
  if (x.kind === "finite" && y.kind === "finite") return multiply(x, y);
  if (x.kind === "nan" || y.kind === "nan" || isZero(x) || isZero(y)) return NOT_A_NUMBER;
  return infinity(x.negative !== y.negative);
}

/** Return the exact sum, with IEEE's infinities and NaN. */
function ieeeAdd(x, y) {
  if (x.kind === "finite" && y.kind === "finite") return add(x, y);
  if (x.kind === "nan" || y.kind === "nan") return NOT_A_NUMBER;
  if (x.kind === "infinity" && y.kind === "infinity" && x.negative !== y.negative) return NOT_A_NUMBER;
  return x.kind === "infinity" ? x : y;
}

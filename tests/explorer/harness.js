"use strict";
// What the tests ask the page's own scripts: CASES in, one result for each out.

/** Return the number of 16 hex digits of a float64 word, or of a text such as 1/3. */
function numberOf(text) {
  if (!/^[0-9a-f]{16}$/.test(text)) return parseNumber(text);
  float64View.setBigUint64(0, BigInt("0x" + text));
  return fromFloat64(float64View.getFloat64(0));
}

function formatOf(given) {
  return typeof given === "string" ? parseFormat(given) : formatOfTable(given, "mine");
}

function wordOf(value) {
  float64View.setFloat64(0, value);
  return float64View.getBigUint64(0).toString(16).padStart(16, "0");
}

const outcome = ({ code, error }) => (error ? -1 : code);

const ASKED = {
  /** Every code's value (as a word) and kind. */
  codes({ format }) {
    const own = formatOf(format);
    return [...Array(own.codeCount).keys()].map((code) => [wordOf(own.value(code)), own.kind(code)]);
  },

  /** The name that an ExMy has, and the fields that its name has. */
  name({ format }) {
    const own = formatOf(format);
    const again = parseFormat(own.name);
    return { name: own.name, fields: Object.fromEntries(EXMY_FIELDS.map((field) => [field, again[field]])) };
  },

  /**
   * Codes of numbers under every mode and policy; -1 is an error. Of each mode the codes under
   * "saturate", and those numbers whose codes under the other policies differ: [at, four codes].
   */
  encode({ format, numbers, words, bits }) {
    const own = formatOf(format);
    const modes = Object.keys(MODES);
    const found = Object.fromEntries(modes.map((mode) => [mode, { codes: [], differing: [] }]));
    numbers.map(numberOf).forEach((x, at) => {
      const random = { word: words[at], bits };
      for (const mode of modes) {
        const [first, ...others] = Object.keys(OVERFLOWS).map((overflow) => outcome(encode(x, own, { mode, overflow, random })));
        found[mode].codes.push(first);
        if (others.some((code) => code !== first)) found[mode].differing.push([at, ...others]);
      }
    });
    return found;
  },

  nan({ format }) {
    return Object.keys(NAN_POLICIES).map((nan) => outcome(encode(NOT_A_NUMBER, formatOf(format), { nan })));
  },

  /** The numbers that a mode rounds to each code: [low, included, high, included]. */
  intervals({ format, mode }) {
    const own = formatOf(format);
    const side = (end) => (end === null ? null : [fractionText(end.at), end.included]);
    return orderedCodes(own).map((code) => {
      const { low, high } = interval(code, own, mode);
      return [code, side(low), side(high)];
    });
  },

  /** Texts of numbers: exact fractions, float64 words, and what the page prints. */
  texts({ texts }) {
    return texts.map((text) => {
      const x = parseNumber(text);
      if (x === null) return null;
      if (x.kind !== "finite") return numberText(x);
      return [fractionText(x), wordOf(toFloat64(x)), exactDecimal(x, 2000), hexText(x)];
    });
  },

  quantize({ recipe, weights }) {
    const own = parseRecipe(recipe);
    const row = quantizeRow(weights.map((word) => toFloat64(numberOf(word))), own);
    return {
      tensorScale: row.tensorScale === null ? null : wordOf(row.tensorScale),
      blocks: row.blocks.map((block) => ({
        scale: wordOf(block.scale),
        scaleCode: scaleCode(own, block),
        choice: block.choice,
        codes: block.codes,
        values: block.values.map(wordOf),
      })),
    };
  },

  pack({ recipe, tool, codes, scales, tensorScale }) {
    return TABLES.layouts[recipe][tool].map((tensor) => [
      ...packTensor(tensor, codes, scales, tensorScale).bytes,
    ]);
  },

  dense({ codes, bits }) {
    return [...packDense(codes, bits)];
  },

  /** The results of a program, each register in turn, on words. */
  registers({ program, words }) {
    return words.map((group) => Object.values(runProgram(program, group)));
  },

  program({ index, codes }) {
    const program = TABLES.programs[index];
    return codes.map((group) => {
      const registers = runProgram(program, packWords(group, program));
      return program.outputs.map((name) => registers[name]);
    });
  },

  dot({ unit, pairs }) {
    return pairs.map(([xs, ys, c]) => {
      const { result } = dotInUnit(unit, xs.map(numberOf), ys.map(numberOf), numberOf(c));
      return wordOf(toFloat64(result));
    });
  },
};

const answers = () => CASES.map((each) => ASKED[each.ask](each));

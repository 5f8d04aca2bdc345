"use strict";
// Names of formats: the catalogue of tables.js, and the library's grammar for all others.

const EXMY_NAME = /^(u?)e(\d{1,2})m(\d{1,2})(?:b(-?\d{1,5}))?(none|ieee|fnuz|fn|p3109)?(_nosub)?$/;
const P3109_NAME = /^binary(\d{1,2})p(\d{1,2})([su])([ef])$/;
const INTEGER_NAME = /^(u?)int(\d{1,2})(full)?$/;

function defaultBias(exponentBits, specials) {
  const isHigher = specials === "fnuz" || specials === "p3109";
  return 2 ** (exponentBits - 1) - Number(!isHigher);
}

/** Return the format of a row of tables.js. */
function formatOfTable(row, name) {
  if (row.values) return new CodebookFormat(row.values, name);
  return row.bits ? new IntegerFormat(row.bits, row) : new ExMy(row);
}

/** Return the format of a name; an Error says what is wrong. */
function parseFormat(name) {
  const typed = name.trim().toLowerCase();
  if (typed.startsWith("[")) return ownCodebook(typed);
  const word = TABLES.aliases[typed] ?? typed;
  if (Object.hasOwn(TABLES.catalogue, word)) return formatOfTable(TABLES.catalogue[word], word);
  let match = EXMY_NAME.exec(word);
  if (match) {
    const [, unsigned, e, m, bias, specials = "none", noSubnormals] = match;
    return new ExMy({
      exponentBits: +e,
      mantissaBits: +m,
      bias: bias === undefined ? defaultBias(+e, specials) : +bias,
      signed: !unsigned,
      subnormals: !noSubnormals,
      specials,
    });
  }
  match = P3109_NAME.exec(word);
  if (match) return p3109Format(+match[1], +match[2], match[3] === "s", match[4] === "e");
  match = INTEGER_NAME.exec(word);
  if (match && !(match[1] && match[3])) {
    return new IntegerFormat(+match[2], { signed: !match[1], symmetric: !match[3] });
  }
  throw new Error(`"${name.trim()}" is no format; try e2m2, e4m3fn, int5, nf4, binary8p3se or [-1 0 0.3 1]`);
}

const MOST_VALUES = 256;

/** Return the codebook of values in brackets, with spaces between: [-1 -0.4 0 0.3 1]. */
function ownCodebook(text) {
  const numbers = text.replace(/[[\]]/g, " ").trim().split(/[\s;]+/).map(parseNumber);
  const values = numbers.map((x) => (x?.kind === "finite" ? toFloat64(x) : NaN));
  if (!values.every(Number.isFinite)) throw new Error("a codebook is finite numbers in brackets, such as [-1 -0.4 0 0.3 1]");
  const isTwice = values.some((value, at) => values.slice(at + 1).some((other) => Object.is(value, other)));
  if (values.length < 2 || values.length > MOST_VALUES || isTwice) throw new Error("a codebook has 2 to 256 values, none twice");
  return new CodebookFormat(values, `[${values.map((value) => (Object.is(value, -0) ? "-0" : String(value))).join(" ")}]`);
}

function p3109Format(width, precision, signed, extended) {
  const exponentBits = width - precision + Number(!signed);
  if (width < 3 || precision < 1 || exponentBits < 1) throw new Error("binaryKpP has K of 3 to 16 and P below K");
  return new ExMy({
    exponentBits,
    mantissaBits: precision - 1,
    bias: 2 ** (exponentBits - 1),
    signed,
    specials: extended ? "p3109" : signed ? "fnuz" : "fn",
  });
}

const EXMY_FIELDS = ["exponentBits", "mantissaBits", "bias", "signed", "subnormals", "specials"];

/** Return the name that the library gives an ExMy. */
function nameOfExMy(format) {
  const isSame = (row) => EXMY_FIELDS.every((field) => row[field] === format[field]);
  const short = TABLES.shortNames.find((name) => isSame(TABLES.catalogue[name]));
  if (short) return short;
  const hasUsualBias = format.bias === defaultBias(format.exponentBits, format.specials);
  const { bits, signed, specials } = format;
  if (specials === "p3109" && format.subnormals && hasUsualBias && bits >= 3 && bits <= 16) {
    return `binary${bits}p${format.mantissaBits + 1}${signed ? "s" : "u"}e`;
  }
  const stem = `${signed ? "" : "u"}e${format.exponentBits}m${format.mantissaBits}`;
  const bias = hasUsualBias ? "" : `b${format.bias}`;
  const name = stem + bias + (specials === "none" ? "" : specials) + (format.subnormals ? "" : "_nosub");
  return TABLES.reservedNames.includes(name) ? stem + "none" : name;
}

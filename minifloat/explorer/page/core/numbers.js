"use strict";
// Exact numbers. A number is one of
//   {kind: "finite", negative, num, den}   num / den, with BigInts num >= 0 and den > 0; -0 exists
//   {kind: "infinity", negative}
//   {kind: "nan"}

const NOT_A_NUMBER = { kind: "nan" };
const MOST_DIGITS = 2000; // of a typed number
const MOST_EXPONENT = 5000;

function rational(negative, num, den = 1n) {
  return { kind: "finite", negative, num, den };
}

function infinity(negative) {
  return { kind: "infinity", negative };
}

/** Return significand * 2**exponent, of a BigInt and an integer. */
function scaled(significand, exponent, negative = false) {
  const shift = BigInt(Math.abs(exponent));
  return exponent < 0
    ? rational(negative, significand, 1n << shift)
    : rational(negative, significand << shift);
}

function integer(value) {
  const big = BigInt(value);
  return rational(big < 0n, big < 0n ? -big : big);
}

function isZero(x) {
  return x.kind === "finite" && x.num === 0n;
}

function isNegative(x) {
  return x.kind !== "nan" && x.negative;
}

function negated(x) {
  return x.kind === "nan" ? x : { ...x, negative: !x.negative };
}

function magnitude(x) {
  return isNegative(x) ? negated(x) : x;
}

function signedNumerator(x) {
  return x.negative ? -x.num : x.num;
}

function fromSigned(num, den) {
  return rational(num < 0n, num < 0n ? -num : num, den);
}

function bitLength(big) {
  if (big === 0n) return 0;
  const digits = big.toString(16);
  return 4 * digits.length - Math.clz32(parseInt(digits[0], 16)) + 28;
}

/** Return floor(log2 |x|) of a finite number that is not 0. */
function floorLog2(x) {
  const guess = bitLength(x.num) - bitLength(x.den);
  const shift = BigInt(Math.abs(guess));
  const reaches = guess < 0 ? x.num << shift >= x.den : x.num >= x.den << shift;
  return reaches ? guess : guess - 1;
}

/** Return floor(|x| / 2**exponent) and whether nothing is left. */
function wholeSteps(x, exponent) {
  const shift = BigInt(Math.abs(exponent));
  const num = exponent < 0 ? x.num << shift : x.num;
  const den = exponent < 0 ? x.den : x.den << shift;
  const steps = num / den;
  return { steps, exact: steps * den === num };
}

/** Return -1, 0 or 1; -0 equals 0. Neither may be NaN. */
function compare(a, b) {
  if (a.kind === "infinity" || b.kind === "infinity") {
    const size = (x) => (x.kind === "infinity" ? (x.negative ? -1 : 1) : 0);
    return Math.sign(size(a) - size(b));
  }
  const left = signedNumerator(a) * b.den;
  const right = signedNumerator(b) * a.den;
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Return the sum of finite numbers; 0, not -0, if it is 0, unless both are -0. */
function add(a, b) {
  if (a.num === 0n && b.num === 0n) return rational(a.negative && b.negative, 0n);
  if (a.den === b.den) return fromSigned(signedNumerator(a) + signedNumerator(b), a.den);
  if (a.den % b.den === 0n) {
    return fromSigned(signedNumerator(a) + signedNumerator(b) * (a.den / b.den), a.den);
  }
  if (b.den % a.den === 0n) return add(b, a);
  return fromSigned(
    signedNumerator(a) * b.den + signedNumerator(b) * a.den,
    a.den * b.den,
  );
}

function subtract(a, b) {
  return add(a, negated(b));
}

function multiply(a, b) {
  return rational(a.negative !== b.negative, a.num * b.num, a.den * b.den);
}

/** Return a / b of finite numbers; b is not 0. */
function divide(a, b) {
  return rational(a.negative !== b.negative, a.num * b.den, a.den * b.num);
}

function middle(a, b) {
  return divide(add(a, b), rational(false, 2n));
}

/** Return x with the smallest denominator. */
function reduced(x) {
  if (x.kind !== "finite") return x;
  if (x.num === 0n) return rational(x.negative, 0n);
  let [a, b] = [x.num, x.den];
  while (b) [a, b] = [b, a % b];
  return rational(x.negative, x.num / a, x.den / a);
}

const float64View = new DataView(new ArrayBuffer(8));

/** Return a JavaScript number as it is. */
function fromFloat64(value) {
  if (Number.isNaN(value)) return NOT_A_NUMBER;
  float64View.setFloat64(0, value);
  const high = float64View.getUint32(0);
  const negative = high >>> 31 === 1;
  const field = (high >>> 20) & 0x7ff;
  if (field === 0x7ff) return infinity(negative);
  const mantissa = (BigInt(high & 0xfffff) << 32n) | BigInt(float64View.getUint32(4));
  return scaled(field ? mantissa | (1n << 52n) : mantissa, Math.max(field, 1) - 1075, negative);
}

/** Return the nearest JavaScript number; a tie goes to the even one, overflow to infinity. */
function toFloat64(x) {
  if (x.kind === "nan") return NaN;
  const sign = x.negative ? -1 : 1;
  if (x.kind === "infinity") return sign * Infinity;
  if (x.num === 0n) return sign * 0;
  const last = Math.max(floorLog2(x), -1022) - 52;
  let { steps } = wholeSteps(x, last);
  const rest = compare(subtract(magnitude(x), scaled(steps, last)), scaled(1n, last - 1));
  if (rest > 0 || (rest === 0 && steps & 1n)) steps += 1n;
  return sign * (last > 900 ? Number(steps) * 2 ** 900 * 2 ** (last - 900) : Number(steps) * 2 ** last);
}

/** Return a number rounded to float64, as an exact number. */
function asFloat64(x) {
  return fromFloat64(toFloat64(x));
}

const DECIMAL = /^(\d*)(?:\.(\d*))?(?:e([+-]?\d{1,5}))?$/;
const HEX_FLOAT = /^0x([0-9a-f]*)(?:\.([0-9a-f]*))?(?:p([+-]?\d{1,5}))?$/;
const BINARY = /^0b([01]*)(?:\.([01]*))?(?:p([+-]?\d{1,5}))?$/;
const POWER = /^2(?:\^|\*\*)([+-]?\d{1,5})$/;

/** Return the number that a text means, or null: 0.1  -1/3  0x1.8p-2  0b1.01  2^-24  inf  nan. */
function parseNumber(text) {
  const word = text.trim().toLowerCase().replace(/−/g, "-").replace(/\s+/g, "");
  if (word.length === 0 || word.length > MOST_DIGITS) return null;
  const negative = word[0] === "-";
  const unsigned = word.replace(/^[+-]/, "");
  const size = parseMagnitude(unsigned);
  return size === null || size.kind === "nan" || !negative ? size : negated(size);
}

function parseMagnitude(word) {
  if (word === "nan") return NOT_A_NUMBER;
  if (word === "inf" || word === "infinity" || word === "∞") return infinity(false);
  const parts = word.split("/");
  if (parts.length === 2) {
    const [above, below] = parts.map(parseMagnitude);
    const isFraction = above?.kind === "finite" && below?.kind === "finite" && below.num > 0n;
    return isFraction ? divide(above, below) : null;
  }
  const factors = word.split(/\*(?=2\^)|[x×](?=2\^)/);
  if (factors.length === 2) {
    const [one, other] = factors.map(parseMagnitude);
    return one?.kind === "finite" && other?.kind === "finite" ? multiply(one, other) : null;
  }
  return parsePower(word) ?? parseDigits(word, HEX_FLOAT, 4) ?? parseDigits(word, BINARY, 1) ?? parseDecimal(word);
}

function parsePower(word) {
  const match = POWER.exec(word);
  return match && Math.abs(+match[1]) <= MOST_EXPONENT ? scaled(1n, +match[1]) : null;
}

/** Return a number of binary or hexadecimal digits, each of so many bits. */
function parseDigits(word, pattern, bits) {
  const match = pattern.exec(word);
  if (!match) return null;
  const [, whole, part = "", power = "0"] = match;
  if (whole + part === "" || Math.abs(+power) > MOST_EXPONENT) return null;
  return scaled(BigInt((bits === 4 ? "0x" : "0b") + whole + part), +power - bits * part.length);
}

function parseDecimal(word) {
  const match = DECIMAL.exec(word);
  if (!match) return null;
  const [, whole, part = "", power = "0"] = match;
  if (whole + part === "" || Math.abs(+power) > MOST_EXPONENT) return null;
  const exponent = +power - part.length;
  const ten = 10n ** BigInt(Math.abs(exponent));
  const digits = BigInt(whole + part);
  return exponent < 0 ? rational(false, digits, ten) : rational(false, digits * ten);
}

/** Return the exact decimal text if it has at most so many digits, else null. */
function exactDecimal(x, most = 24) {
  const { negative, num, den } = reduced(x);
  let places = 0;
  let tens = 1n;
  for (let rest = den; rest > 1n; places++, tens *= 10n) {
    if (rest % 10n === 0n) rest /= 10n;
    else if (rest % 2n === 0n) rest /= 2n;
    else if (rest % 5n === 0n) rest /= 5n;
    else return null;
    if (places > 1100) return null;
  }
  const digits = ((num * tens) / den).toString().padStart(places + 1, "0");
  const sign = negative ? "-" : "";
  if (digits.replace(/^0+|0+$/g, "").length > most) return null;
  const whole = digits.slice(0, digits.length - places);
  const part = places ? digits.slice(-places).replace(/0+$/, "") : "";
  if (whole.length > 21 || (whole === "0" && /^0{7}/.test(part))) {
    const significant = digits.replace(/^0+/, "").replace(/0+$/, "");
    const exponent = digits.replace(/^0+/, "").length - places - 1;
    return `${sign}${significant[0]}${significant.length > 1 ? "." + significant.slice(1) : ""}e${exponent}`;
  }
  return sign + whole + (part && "." + part);
}

/** Return a number as text: exact if that is short, else with "≈" and six digits. */
function numberText(x, most = 12) {
  if (x.kind === "nan") return "NaN";
  if (x.kind === "infinity") return x.negative ? "-∞" : "∞";
  const exact = exactDecimal(x, most);
  return exact ?? "≈ " + roughText(x);
}

/** Return about six digits of a finite number, also of one that float64 does not hold. */
function roughText(x) {
  const value = toFloat64(x);
  if (value !== 0 && Number.isFinite(value)) return String(Number(value.toPrecision(6)));
  if (x.num === 0n) return x.negative ? "-0" : "0";
  const power = floorLog2(x);
  return `${x.negative ? "-" : ""}2^${power}…`;
}

function fractionText(x) {
  const { negative, num, den } = reduced(x);
  return `${negative ? "-" : ""}${num}${den === 1n ? "" : "/" + den}`;
}

/** Return a dyadic number as a hex float such as 0x1.8p-2; null of another or a very long one. */
function hexText(x) {
  const { negative, num, den } = reduced(x);
  if (den & (den - 1n)) return null;
  if (num === 0n) return negative ? "-0x0p+0" : "0x0p+0";
  const power = floorLog2(x);
  const width = bitLength(num);
  const fill = BigInt((4 - ((width - 1) % 4)) % 4);
  const part = ((num - (1n << BigInt(width - 1))) << fill).toString(16).padStart((width - 1 + Number(fill)) / 4, "0");
  const digits = part.replace(/0+$/, "");
  if (digits.length > 40) return null;
  return `${negative ? "-" : ""}0x1${digits && "." + digits}p${power < 0 ? "" : "+"}${power}`;
}

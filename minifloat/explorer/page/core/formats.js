"use strict";
// Formats: what codes mean. Each class has the same methods; values of codes are JavaScript
// numbers, which hold every value of every format exactly.
//
// neighbours(x) returns the neighbour of a finite x that is nearer to zero, and the farther one, or
// the only one twice. A neighbour is {value, odd, code}; its code is null outside the format.

const MOST_BITS = 16; // only TF32 is wider
const SPECIALS = ["none", "ieee", "fn", "fnuz", "p3109"];

class ExMy {
  constructor({ exponentBits, mantissaBits, bias, signed = true, subnormals = true, specials = "none" }) {
    this.kindOfFormat = "exmy";
    this.exponentBits = exponentBits;
    this.mantissaBits = mantissaBits;
    this.bias = bias ?? defaultBias(exponentBits, "none");
    this.signed = signed;
    this.subnormals = subnormals;
    this.specials = specials;
    this.check();
  }

  check() {
    const { exponentBits: e, mantissaBits: m } = this;
    const isWhole = (n, low, high) => Number.isInteger(n) && low <= n && n <= high;
    if (!isWhole(e, 1, MOST_BITS)) throw new Error("exponent bits must be 1 to 16");
    if (!isWhole(m, 0, MOST_BITS - 1)) throw new Error("mantissa bits must be 0 to 15");
    if (!Number.isInteger(this.bias)) throw new Error("bias must be an integer");
    if (!SPECIALS.includes(this.specials)) throw new Error("specials must be " + SPECIALS.join(", "));
    if (this.bits > MOST_BITS && !(e === 8 && m === 10 && this.signed)) {
      throw new Error("a code must have at most 16 bits (or be TF32)");
    }
    if (this.specials === "fnuz" && !this.signed) throw new Error("fnuz needs a sign; use fn");
    if (this.nanAtMinusZero && !this.hasZero) throw new Error(`${this.specials} needs a zero; use fn`);
    if (this.maxMagnitude < 0 || (this.hasZero && this.maxMagnitude === 0)) {
      throw new Error("the format has no value above zero; give it more bits");
    }
    const top = (this.maxMagnitude >> m) - this.bias;
    if (this.emin - m < -1074 || top > 1023) {
      throw new Error("every value must be a float64 value; use fewer exponent bits or another bias");
    }
  }

  get bits() {
    return Number(this.signed) + this.exponentBits + this.mantissaBits;
  }

  get codeCount() {
    return 2 ** this.bits;
  }

  get signBit() {
    return this.signed ? 2 ** (this.exponentBits + this.mantissaBits) : 0;
  }

  get emin() {
    return Number(this.subnormals) - this.bias;
  }

  get hasZero() {
    return this.subnormals || this.mantissaBits > 0;
  }

  get nanAtMinusZero() {
    return this.signed && (this.specials === "fnuz" || this.specials === "p3109");
  }

  get hasInfinity() {
    return this.specials === "ieee" || this.specials === "p3109";
  }

  /** Magnitude (code without sign) of the largest finite value. */
  get maxMagnitude() {
    const last = 2 ** (this.exponentBits + this.mantissaBits) - 1;
    if (this.specials === "ieee") return last - 2 ** this.mantissaBits;
    if (this.specials === "fn") return last - 1;
    if (this.specials === "p3109") return this.signed ? last - 1 : last - 2;
    return last;
  }

  get name() {
    return nameOfExMy(this);
  }

  get largestCode() {
    return this.maxMagnitude;
  }

  get lowestCode() {
    return this.signed ? this.signBit + this.maxMagnitude : 0;
  }

  /** The code of NaN that an encoder writes; null if there is none. */
  get nanCode() {
    const last = 2 ** (this.exponentBits + this.mantissaBits) - 1;
    if (this.specials === "none") return null;
    if (this.specials === "ieee") {
      return this.mantissaBits === 0 ? null : last - 2 ** (this.mantissaBits - 1) + 1;
    }
    return this.nanAtMinusZero ? this.signBit : last;
  }

  infinityCode(negative) {
    if (!this.hasInfinity || (negative && !this.signed)) return null;
    return this.maxMagnitude + 1 + (negative ? this.signBit : 0);
  }

  /** Return the significand and the exponent of its last bit; above maxMagnitude the grid goes on. */
  significand(size) {
    const step = 2 ** this.mantissaBits;
    const field = Math.floor(size / step);
    const isSmall = (field === 0 && this.subnormals) || (size === 0 && this.hasZero);
    return isSmall
      ? [size % step, this.emin - this.mantissaBits]
      : [step + (size % step), field - this.bias - this.mantissaBits];
  }

  gridValue(size) {
    const [significand, exponent] = this.significand(size);
    return scaled(BigInt(significand), exponent);
  }

  kind(code) {
    const isNegative = this.signed && code >= this.signBit;
    const size = isNegative ? code - this.signBit : code;
    if (code === this.nanCode) return "nan";
    if (size > this.maxMagnitude) {
      return this.hasInfinity && size === this.maxMagnitude + 1 ? "inf" : "nan";
    }
    if (size === 0 && this.hasZero) return "zero";
    return this.subnormals && size < 2 ** this.mantissaBits ? "subnormal" : "normal";
  }

  value(code) {
    const kind = this.kind(code);
    if (kind === "nan") return NaN;
    const isNegative = this.signed && code >= this.signBit;
    const size = kind === "inf" ? Infinity : this.magnitudeNumber(isNegative ? code - this.signBit : code);
    return isNegative ? -size : size;
  }

  magnitudeNumber(size) {
    const [significand, exponent] = this.significand(size);
    return significand * 2 ** exponent;
  }

  /** Fields from the top bit down: [name, width]. */
  get fields() {
    const all = [["sign", Number(this.signed)], ["exponent", this.exponentBits], ["mantissa", this.mantissaBits]];
    return all.filter(([, width]) => width > 0);
  }

  /** Return the largest magnitude with a value of at most |x|; -1 if there is none. */
  magnitudeBelow(x) {
    if (x.num === 0n) return this.hasZero ? 0 : -1;
    const exponent = Math.max(floorLog2(x), this.emin);
    const { steps } = wholeSteps(x, exponent - this.mantissaBits);
    const at = (exponent - this.emin) * 2 ** this.mantissaBits + Number(steps);
    if (this.subnormals) return at;
    const shifted = at - 2 ** this.mantissaBits; // the lowest binade has no subnormals below it
    return shifted < 0 ? (this.hasZero ? 0 : -1) : shifted;
  }

  neighbours(x) {
    const beyond = this.maxMagnitude + 1;
    const at = Math.min(this.magnitudeBelow(x), beyond);
    if (at < 0) {
      const only = this.neighbour(0, x.negative);
      if (x.num === 0n && !this.signed) only.code = null; // zero is below the range
      return [only, only];
    }
    const near = this.neighbour(at, x.negative);
    if (at === beyond || compare(magnitude(x), magnitude(near.value)) === 0) return [near, near];
    return [near, this.neighbour(at + 1, x.negative)];
  }

  neighbour(size, negative) {
    const value = this.gridValue(size);
    const isZeroHere = value.num === 0n;
    let code = size;
    if (size > this.maxMagnitude) code = null;
    else if (negative && !this.signed) code = isZeroHere ? 0 : null;
    else if (negative) code = isZeroHere && this.nanAtMinusZero ? 0 : size + this.signBit;
    return { value: negative ? negated(value) : value, odd: size % 2 === 1, code };
  }
}

class IntegerFormat {
  constructor(bits, { signed = true, symmetric = true } = {}) {
    if (!Number.isInteger(bits) || bits < (signed ? 2 : 1) || bits > MOST_BITS) {
      throw new Error(`an integer must have ${signed ? 2 : 1} to 16 bits`);
    }
    this.kindOfFormat = "integer";
    this.bits = bits;
    this.signed = signed;
    this.symmetric = signed && symmetric;
  }

  get codeCount() {
    return 2 ** this.bits;
  }

  get largest() {
    return 2 ** (this.bits - Number(this.signed)) - 1;
  }

  get lowest() {
    return this.signed ? -this.largest - Number(!this.symmetric) : 0;
  }

  get name() {
    const full = this.signed && !this.symmetric ? "full" : "";
    return `${this.signed ? "" : "u"}int${this.bits}${full}`;
  }

  get largestCode() {
    return this.largest;
  }

  get lowestCode() {
    return this.lowest < 0 ? this.lowest + this.codeCount : 0;
  }

  get nanCode() {
    return null;
  }

  infinityCode() {
    return null;
  }

  get fields() {
    return this.signed ? [["sign", 1], ["integer", this.bits - 1]] : [["integer", this.bits]];
  }

  kind(code) {
    if (this.symmetric && code === this.codeCount / 2) return "unused";
    return code === 0 ? "zero" : "normal";
  }

  value(code) {
    if (this.kind(code) === "unused") return NaN;
    return this.signed && code >= this.codeCount / 2 ? code - this.codeCount : code;
  }

  neighbours(x) {
    const { steps, exact } = wholeSteps(x, 0);
    const near = this.neighbour(steps, x.negative);
    return [near, exact ? near : this.neighbour(steps + 1n, x.negative)];
  }

  neighbour(size, negative) {
    const value = rational(negative, size);
    const number = Number(negative ? -size : size);
    const isInside = this.lowest <= number && number <= this.largest;
    const code = isInside ? (number < 0 ? number + this.codeCount : Math.abs(number)) : null;
    return { value, odd: (size & 1n) === 1n, code };
  }
}

class CodebookFormat {
  constructor(values, name = "codebook") {
    this.kindOfFormat = "codebook";
    this.values = values;
    this.name = name;
    this.bits = 32 - Math.clz32(values.length - 1);
    // distinct values in order; the codes of each for positive and for negative numbers (of 0 and -0)
    const places = new Map();
    values.forEach((value, code) => {
      const isMinusZero = Object.is(value, -0);
      const place = places.get(value) ?? { value: value + 0, positive: code, negative: code };
      if (!isMinusZero) place.positive = code;
      if (isMinusZero) place.negative = code;
      places.set(value, place);
    });
    this.places = [...places.values()].sort((a, b) => a.value - b.value);
    this.places.forEach((place) => (place.exact = fromFloat64(place.value)));
  }

  get codeCount() {
    return this.values.length;
  }

  get largestCode() {
    return this.places.at(-1).positive;
  }

  get lowestCode() {
    return this.places[0].negative;
  }

  get nanCode() {
    return null;
  }

  infinityCode() {
    return null;
  }

  get fields() {
    return [["index", this.bits]];
  }

  kind(code) {
    return this.values[code] === 0 ? "zero" : "normal";
  }

  value(code) {
    return this.values[code];
  }

  neighbours(x) {
    let at = -1;
    while (at + 1 < this.places.length && compare(this.places[at + 1].exact, x) <= 0) at++;
    const neighbour = ({ exact, positive, negative }) => {
      const code = x.negative ? negative : positive;
      return { value: exact, odd: code % 2 === 1, code };
    };
    if (at >= 0 && compare(this.places[at].exact, x) === 0) {
      const only = neighbour(this.places[at]);
      return [only, only];
    }
    if (at < 0 || at === this.places.length - 1) {
      const outside = { value: x, odd: false, code: null };
      return [outside, outside];
    }
    const [low, high] = [neighbour(this.places[at]), neighbour(this.places[at + 1])];
    const order = compare(magnitude(low.value), magnitude(high.value));
    // between -v and v, the one whose sign is not that of x counts as nearer to zero
    const isLowNear = order < 0 || (order === 0 && !x.negative);
    return isLowNear ? [low, high] : [high, low];
  }
}

/** Return the codes of finite values in the order of values, -0 before 0. */
function orderedCodes(format) {
  if (!format.ordered) {
    const codes = [...Array(format.codeCount).keys()];
    const values = codes.map((code) => format.value(code));
    const isBefore = (a, b) => values[a] - values[b] || Object.is(values[b], -0) - Object.is(values[a], -0);
    Object.defineProperty(format, "ordered", {
      value: codes.filter((code) => Number.isFinite(values[code])).sort(isBefore),
    });
  }
  return format.ordered;
}

function largestOf(format) {
  return format.value(format.largestCode);
}

function lowestOf(format) {
  return format.value(format.lowestCode);
}

/** Return the largest magnitude that exists on both sides of zero. */
function maxAbsOf(format) {
  return lowestOf(format) >= 0 ? largestOf(format) : Math.min(largestOf(format), -lowestOf(format));
}

/** Return the smallest value above zero. */
function smallestOf(format) {
  return format.value(orderedCodes(format).find((code) => format.value(code) > 0));
}

"use strict";
// Rounding: an exact number becomes a code once, by a mode and the policies.
//
// A mode is a count out of 2**bits: how many random words round away from zero. Of a deterministic
// mode all or none do.

const DETERMINISTIC = {
  nearest_even: "nearest, a tie to the even code",
  nearest_away: "nearest, a tie away from zero",
  nearest_zero: "nearest, a tie toward zero",
  nearest_odd: "nearest, a tie to the odd code",
  toward_zero: "toward zero",
  away_from_zero: "away from zero",
  upward: "toward +∞",
  downward: "toward −∞",
  to_odd: "the neighbour with the odd code",
};
const STOCHASTIC = {
  stochastic: "away with the fraction as probability, rounded down to n bits",
  stochastic_b: "the fraction rounded to n bits, ties up",
  stochastic_c: "the fraction rounded to n bits, ties to even",
  stochastic_equal: "either neighbour, as a coin falls",
};
const MODES = { ...DETERMINISTIC, ...STOCHASTIC };
const OVERFLOWS = {
  saturate: "the largest or lowest value, also for infinity",
  saturate_finite: "the same, but infinity stays infinity",
  ieee: "infinity; NaN if there is none; the largest value if there is neither",
  sat_none: "the same, but to_odd always goes beyond",
  raise: "an error",
};
const NAN_POLICIES = { raise: "an error", zero: "zero", max: "the largest value" };

/** Return the fraction of the gap from near to far at which x lies. */
function gapFraction(x, near, far, format) {
  if (format.kindOfFormat === "codebook") {
    // float64 by definition of the library: two differences and a quotient
    const [at, low, high] = [x, near.value, far.value].map(toFloat64);
    return fromFloat64((at - low) / (high - low));
  }
  const fraction = divide(subtract(x, near.value), subtract(far.value, near.value));
  const isInFloat64 = format.kindOfFormat === "exmy" && !format.subnormals; // by definition, too
  return isInFloat64 ? asFloat64(fraction) : fraction;
}

/** Return how many of the 2**bits random words round away from zero. */
function awayCount(fraction, mode, bits) {
  const all = 1n << BigInt(bits);
  const twice = (2n * all * fraction.num) / fraction.den; // floor of the fraction times 2**(bits + 1)
  if (mode === "stochastic") return twice / 2n;
  if (mode === "stochastic_b") return (twice + 1n) / 2n;
  if (mode === "stochastic_c") {
    const low = twice / 2n;
    const isTie = (twice & 1n) === 1n && (2n * all * fraction.num) % fraction.den === 0n;
    return (twice & 1n) === 0n ? low : isTie ? low + (low & 1n) : low + 1n;
  }
  return fraction.num >= fraction.den ? all : fraction.num > 0n ? all / 2n : 0n; // stochastic_equal
}

const lastNumber = {}; // what was found of it: a table asks for the same number in every mode

/** Return the neighbours of a number, with how they lie where they are two. */
function neighboursOf(x, format) {
  if (lastNumber.x !== x || lastNumber.format !== format) {
    const pair = format.neighbours(x);
    const places = pair[0] === pair[1] ? null : placesOf(x, ...pair);
    Object.assign(lastNumber, { x, format, pair, places, fraction: null });
  }
  return lastNumber;
}

function placesOf(x, near, far) {
  const even = near.odd && !far.odd ? far : near;
  const odd = even === far ? near : far;
  // between -v and v of a codebook, the one with the sign of x is `far`
  const inner = compare(magnitude(near.value), magnitude(far.value)) === 0 ? far : near;
  const side = compare(magnitude(subtract(x, near.value)), magnitude(subtract(far.value, x)));
  const nearest = side === 0 ? null : side < 0 ? near : far;
  const isNearLower = compare(near.value, far.value) < 0;
  return { near, far, even, odd, inner, nearest, isNearLower };
}

function fractionOf(x, format) {
  const last = neighboursOf(x, format);
  last.fraction ??= gapFraction(x, ...last.pair, format);
  return last.fraction;
}

/** Return the neighbour that a deterministic mode takes. */
function takeNeighbour({ near, far, even, odd, inner, nearest, isNearLower }, mode) {
  switch (mode) {
    case "nearest_even":
      return nearest ?? even;
    case "nearest_odd":
      return nearest ?? odd;
    case "nearest_zero":
      return nearest ?? inner;
    case "nearest_away":
      return nearest ?? far;
    case "toward_zero":
      return inner;
    case "away_from_zero":
      return far;
    case "upward":
      return isNearLower ? far : near;
    case "downward":
      return isNearLower ? near : far;
    case "to_odd":
      return odd;
  }
  throw new Error(`unknown rounding mode ${mode}`);
}

/** Return what a finite number rounds to, a neighbour; `random` is {word, bits}. */
function roundToNeighbour(x, format, mode, random) {
  const { pair, places } = neighboursOf(x, format);
  const [near, far] = pair;
  if (near === far) return near;
  if (!Object.hasOwn(STOCHASTIC, mode)) return takeNeighbour(places, mode);
  const away = awayCount(fractionOf(x, format), mode, random.bits);
  return BigInt(random.word) + away >= 1n << BigInt(random.bits) ? far : near;
}

/** Return the probability of the farther neighbour as an exact number, and both neighbours. */
function chances(x, format, mode, bits) {
  const [near, far] = neighboursOf(x, format).pair;
  if (near === far) return { near, far, away: rational(false, 0n) };
  const count = awayCount(fractionOf(x, format), mode, bits);
  return { near, far, away: rational(false, count, 1n << BigInt(bits)) };
}

/** Return whether a mode rounds a number beyond one end to the value at this end. */
function stopsAtEnd(endCode, mode, overflow, low) {
  if (mode === "to_odd") return overflow === "ieee" && endCode % 2 === 1;
  return mode === "toward_zero" || (mode === "upward" && low) || (mode === "downward" && !low);
}

function overflowed(format, mode, overflow, low, isInfinite) {
  const end = low ? format.lowestCode : format.largestCode;
  const infinite = format.infinityCode(low);
  if (overflow === "saturate") return { code: end };
  if (overflow === "saturate_finite") return { code: isInfinite && infinite !== null ? infinite : end };
  if (overflow === "raise") return isInfinite && infinite !== null ? { code: infinite } : { error: "overflow" };
  if (!isInfinite && stopsAtEnd(end, mode, overflow, low)) return { code: end };
  return { code: infinite ?? format.nanCode ?? end };
}

function encodeNan(format, nan) {
  if (format.nanCode !== null) return { code: format.nanCode };
  if (nan === "max") return { code: format.largestCode };
  if (nan === "raise") return { error: "NaN" };
  const zeros = [...Array(format.codeCount).keys()].filter((code) => format.value(code) === 0);
  const plus = zeros.find((code) => Object.is(format.value(code), 0));
  return zeros.length ? { code: plus ?? zeros[0] } : { error: "no zero" };
}

const DEFAULTS = { mode: "nearest_even", overflow: "saturate", nan: "raise", random: { word: 0, bits: 24 } };

/** Return {code}, or {error} where a policy says so. */
function encode(x, format, options = {}) {
  const { mode, overflow, nan, random } = { ...DEFAULTS, ...options };
  if (x.kind === "nan") return encodeNan(format, nan);
  if (x.kind === "infinity") return overflowed(format, mode, overflow, x.negative, true);
  const rounded = roundToNeighbour(x, format, mode, random);
  if (rounded.code !== null) return { code: rounded.code };
  const isLow = compare(x, fromFloat64(lowestOf(format))) < 0;
  return overflowed(format, mode, overflow, isLow, false);
}

/** Return the numbers that a mode rounds to a code: the ends, and whether they belong to them. */
function interval(code, format, mode) {
  const codes = orderedCodes(format);
  const at = codes.indexOf(code);
  const value = format.value(code);
  const other = (step) => {
    let k = at + step;
    while (k >= 0 && k < codes.length && format.value(codes[k]) === value) k += step;
    return k >= 0 && k < codes.length ? fromFloat64(format.value(codes[k])) : null;
  };
  const exact = fromFloat64(value);
  const isHere = (x) => format.value(encode(x, format, { mode }).code) === value;
  const end = (beyond) => {
    if (beyond === null) return null; // the format ends here
    const half = middle(exact, beyond);
    const [isNearHere, isFarHere] = [middle(exact, half), middle(half, beyond)].map(isHere);
    const at = isFarHere ? beyond : isNearHere ? half : exact;
    return { at, included: isHere(at) };
  };
  return { low: end(other(-1)), high: end(other(1)) };
}

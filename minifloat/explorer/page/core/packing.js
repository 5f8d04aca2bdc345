"use strict";
// Packing: the bytes of codes and scales in a checkpoint, as tables of places from the library.

const ROW_OF_TABLES = 64; // weights of a row in the tables

/** Return codes of so many bits side by side, the lowest bit of the first one first. */
function packDense(codes, bits) {
  const bytes = new Uint8Array(Math.ceil((codes.length * bits) / 8));
  codes.forEach((code, at) => {
    for (let bit = 0; bit < bits; bit++) {
      const place = at * bits + bit;
      if (Math.floor(code / 2 ** bit) % 2) bytes[place >> 3] |= 1 << (place & 7);
    }
  });
  return bytes;
}

/** Return the bytes of a tensor of a table, and of each byte which codes or scales are in it. */
function packTensor(tensor, codes, scales, tensorScale) {
  const bytes = new Uint8Array(tensor.size);
  const origins = Array.from(bytes, () => new Set());
  for (let at = 0; at < tensor.zeros.length / 2; at++) bytes[at] = parseInt(tensor.zeros.slice(2 * at, 2 * at + 2), 16);
  for (const [kind, index, low, start, width] of tensor.runs) {
    const number = (kind === 1 ? scales : codes)[index];
    for (let bit = 0; bit < width; bit++) {
      const place = start + bit;
      if (Math.floor(number / 2 ** (low + bit)) % 2) bytes[place >> 3] ^= 1 << (place & 7);
      origins[place >> 3].add(`${kind === 1 ? "s" : ""}${index}`);
    }
  }
  if (tensor.tensorScale) {
    const factor = tensor.tensorScale > 0 ? tensorScale : Math.fround(1 / tensorScale);
    new DataView(bytes.buffer).setFloat32(0, factor, true);
  }
  return { bytes, origins };
}

/** Return the layouts that store a row of so many weights: minifloat's own, and those of other tools. */
function layoutsOf(recipe, count) {
  const own = [
    { name: "codes", dtype: "U8, dense", dense: true, of: "codes" },
    { name: "scales", dtype: `${recipe.scale.name}, dense`, dense: true, of: "scales" },
  ];
  const others = count === ROW_OF_TABLES ? (TABLES.layouts[recipe.text] ?? {}) : {};
  return { minifloat: own, ...others };
}

"use strict";
// The state of the page. It is in the address, behind the #, so a link shows the same.

const START = {
  view: "formats",
  x: "0.3",
  formats: "e2m2,int5",
  line: "linear",
  code: "", // CARD:CODE, where bits were flipped or a code typed: a code says more than its value
  word: "0",
  bits: "24",
  recipe: "mxfp4",
  weights: "",
  layout: "",
  program: "0",
  codes: "",
  follow: "5",
  step: "0",
  all: "",
  unit1: "hopper/e4m3fn/float32",
  unit2: "blackwell/e4m3fn/float32",
  a: "448, 0.5, 0.3, 1.1, -448, 0.0625, 2, 3.5",
  b: "1, 0.5, 0.25, 2, 1, 0.0625, 0.75, -0.1",
  c: "0",
};
const OF_VIEW = {
  formats: ["x", "formats", "line", "code", "word", "bits"],
  blocks: ["recipe", "weights", "layout"],
  registers: ["program", "codes", "follow", "step", "all"],
  dot: ["unit1", "unit2", "a", "b", "c"],
};
const LONGEST = 4000; // characters of a value

const state = { ...START };

/** Read the state from the address; what it does not say is as at the start. */
function readAddress() {
  const [view, query = ""] = location.hash.slice(1).split("?");
  Object.assign(state, START);
  if (Object.hasOwn(OF_VIEW, view)) state.view = view;
  for (const [name, value] of new URLSearchParams(query)) {
    if (OF_VIEW[state.view].includes(name)) state[name] = value.slice(0, LONGEST);
  }
}

/** Return the address of the state: the view, and what differs from the start. */
function addressOfState() {
  const query = new URLSearchParams();
  for (const name of OF_VIEW[state.view]) if (state[name] !== START[name]) query.set(name, state[name]);
  const text = query.toString().replaceAll("%2C", ",").replaceAll("%2F", "/").replaceAll("%3A", ":").replaceAll("%7C", "|");
  return `#${state.view}${text && "?" + text}`;
}

"use strict";
// Elements: made by calls, and drawn anew after each change without losing the focus.

const SVG = "http://www.w3.org/2000/svg";

/** Return an element; attributes that begin with "on" are listeners, false ones are left out. */
function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Return a labelled text field; `change` gets its text as it is typed. */
function textField(id, label, value, change, more = {}) {
  const field = h(more.rows ? "textarea" : "input", {
    id,
    value,
    spellcheck: "false",
    autocomplete: "off",
    autocapitalize: "off",
    oninput: (event) => change(event.target.value),
    ...more,
  });
  return h("div", { class: "field" }, h("label", { for: id }, label), field);
}

/** Return a labelled choice; `options` are [value, text]. */
function choiceField(id, label, value, options, change) {
  const items = options.map(([each, text]) => h("option", { value: each, selected: each === value }, text));
  const select = h("select", { id, onchange: (event) => change(event.target.value) }, items);
  return h("div", { class: "field" }, h("label", { for: id }, label), select);
}

/** Return buttons of which one is pressed; `options` are [value, text]. */
function switchField(id, label, value, options, change) {
  const buttons = options.map(([each, text]) =>
    h("button", { id: `${id}-${each}`, type: "button", "aria-pressed": String(each === value), onclick: () => change(each) }, text),
  );
  return h("div", { class: "switch", role: "group", "aria-label": label }, buttons);
}

/** Put new content into an element, with the focus and the caret where they were. */
function redraw(element, content) {
  const { activeElement } = document;
  const id = element.contains(activeElement) ? activeElement.id : "";
  const caret = id && "selectionStart" in activeElement ? [activeElement.selectionStart, activeElement.selectionEnd] : null;
  const opened = [...element.querySelectorAll("details[id][open]")].map((each) => each.id);
  const scrolled = [...element.querySelectorAll(".scroll[id]")].map((each) => [each.id, each.scrollLeft]);
  element.replaceChildren(...[content].flat());
  for (const each of opened) document.getElementById(each)?.setAttribute("open", "");
  for (const [each, left] of scrolled) {
    const again = document.getElementById(each);
    if (again) again.scrollLeft = left;
  }
  if (!id) return;
  const again = document.getElementById(id);
  again?.focus({ preventScroll: true });
  if (again && caret && caret[0] !== null && "setSelectionRange" in again) again.setSelectionRange(...caret);
}

/** Return a table; a row is a list of cells, each text, an element, or {text, ...attributes}. */
function tableOf(caption, head, rows) {
  const cell = (tag, content, scope) => {
    if (content instanceof Node || typeof content !== "object" || Array.isArray(content)) return h(tag, { scope }, content);
    const { text, ...attributes } = content;
    return h(tag, { scope, ...attributes }, text);
  };
  return h(
    "table",
    {},
    h("caption", {}, h("span", {}, caption)),
    h("thead", {}, h("tr", {}, head.map((each) => cell("th", each, "col")))),
    h("tbody", {}, rows.map(([first, ...rest]) => h("tr", {}, cell("th", first, "row"), rest.map((each) => cell("td", each))))),
  );
}

function scrollBox(id, label, ...content) {
  return h("div", { class: "scroll", id, tabindex: "0", role: "region", "aria-label": label }, content);
}

/** Return bits as text in groups, for screen readers and titles. */
function bitText(code, bits) {
  return code.toString(2).padStart(bits, "0");
}

function hexOf(code, bits) {
  return "0x" + code.toString(16).padStart(Math.ceil(bits / 4), "0");
}

/** Return a JavaScript number as short text; exact where that takes few digits. */
function valueText(value) {
  if (Object.is(value, -0)) return "-0";
  if (Number.isNaN(value)) return "NaN";
  return numberText(fromFloat64(value), 12).replace("-", "−");
}

/** Return a power of two with its exponent above the line. */
function powerText(exponent) {
  const above = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
  return "2" + [...String(exponent)].map((digit) => above[digit]).join("");
}

/** Return a JavaScript number as its shortest digits. */
function shortText(value) {
  return typedText(value).replace("-", "−");
}

/** Return a number as text that `parseNumber` reads back. */
function typedText(value) {
  if (Object.is(value, -0)) return "-0";
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value < 0 ? "-inf" : "inf";
  return String(value);
}

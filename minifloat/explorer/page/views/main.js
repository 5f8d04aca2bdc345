"use strict";
// The page: tabs, and the view that the state names.

const VIEWS = {
  formats: ["Formats", showFormats],
  blocks: ["Blocks", showBlocks],
  registers: ["Registers", showRegisters],
  dot: ["Dot products", showDot],
};

/** Change the state, the address and the page. */
function update(changes) {
  Object.assign(state, changes);
  history.replaceState(null, "", addressOfState());
  draw();
}

function draw() {
  const tabs = document.getElementById("tabs");
  redraw(tabs, Object.entries(VIEWS).map(([view, [title]]) => tabOf(view, title)));
  const panel = document.getElementById("view");
  panel.setAttribute("aria-labelledby", `tab-${state.view}`);
  redraw(panel, VIEWS[state.view][1]().filter(Boolean));
  const results = [...panel.querySelectorAll("output")].map((each) => `${each.dataset.of}: ${each.textContent}`);
  document.getElementById("announced").textContent = results.join(", ");
  document.title = `${VIEWS[state.view][0]} · minifloat explorer`;
}

function tabOf(view, title) {
  const isChosen = view === state.view;
  return h(
    "button",
    {
      id: `tab-${view}`,
      type: "button",
      role: "tab",
      "aria-selected": String(isChosen),
      "aria-controls": "view",
      tabindex: isChosen ? "0" : "-1",
      onclick: () => update({ view }),
      onkeydown: (event) => moveTab(event, view),
    },
    title,
  );
}

/** Arrow keys go to the tab beside, as in the pattern of WAI-ARIA. */
function moveTab(event, view) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step) return;
  const views = Object.keys(VIEWS);
  const next = views.at((views.indexOf(view) + step) % views.length);
  document.getElementById(`tab-${view}`).focus();
  update({ view: next });
  document.getElementById(`tab-${next}`).focus();
}

async function copyLink() {
  const says = document.getElementById("copied");
  try {
    await navigator.clipboard.writeText(location.href);
    says.textContent = "Copied.";
  } catch {
    says.textContent = "The link is in the address bar.";
  }
  setTimeout(() => (says.textContent = ""), 3000);
}

function start() {
  const names = document.getElementById("format-names");
  names.append(...Object.keys(TABLES.catalogue).map((name) => h("option", { value: name })));
  const recipes = document.getElementById("recipe-names");
  recipes.append(...Object.keys(TABLES.recipes).map((name) => h("option", { value: name })));
  document.getElementById("copy").addEventListener("click", copyLink);
  const read = () => {
    readAddress();
    draw();
  };
  addEventListener("hashchange", read);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (width !== innerWidth) draw(); // a keyboard on a screen changes the height alone
    width = innerWidth;
  });
  read();
}

start();

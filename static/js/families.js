// @ts-check
// The list of families: filtered, sorted, as a table or as plates. What is chosen stands in the address, nowhere else.
"use strict";
(function () {
  const words = LEAFLINEAGE_WORDS;
  const NUMBERS = ["specimens", "accuracy", "explained", "share"]; // as they stand in data-values

  const tools = /** @type {HTMLFormElement | null} */ (document.getElementById("family-tools"));
  const table = /** @type {HTMLTableElement | null} */ (document.getElementById("family-list"));
  const body = table?.tBodies[0];
  const filter = /** @type {HTMLInputElement | null} */ (document.getElementById("filter"));
  const sort = /** @type {HTMLSelectElement | null} */ (document.getElementById("sort"));
  const direction = document.getElementById("direction");
  const orderChoice = /** @type {HTMLSelectElement | null} */ (document.getElementById("filter-order"));
  const count = document.getElementById("family-count");
  const none = document.getElementById("family-none");
  if (!tools || !table || !body || !filter || !sort || !direction || !count || !none) return;
  const views = /** @type {NodeListOf<HTMLInputElement>} */ (tools.querySelectorAll("[name=view]"));
  const first = sort.options[0].value; // the order in which the page came

  /** @param {string} text */
  function fold(text) {
    return text.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
  }

  const lines = [...body.rows].map((row, place) => {
    const order = row.querySelector(".order")?.textContent?.trim() || "";
    const name = row.querySelector("th a")?.textContent || "";
    const values = (row.dataset.values || "").split(" ").map((value) => (value === "-" ? null : Number(value)));
    return { row, place, order, name, values, terms: fold(row.dataset.terms || "") };
  });
  const state = { sort: first, down: false, view: "table", filter: "", order: "" };

  /** @param {string} key */
  function fallsFirst(key) {
    return NUMBERS.includes(key);
  }

  /** @param {typeof lines[0]} one @param {typeof lines[0]} other */
  function compare(one, other) {
    const sign = state.down ? -1 : 1;
    const number = NUMBERS.indexOf(state.sort);
    if (number >= 0) {
      const a = one.values[number], b = other.values[number];
      if (a === null || b === null) return Number(a === null) - Number(b === null) || one.place - other.place;
      return sign * (a - b) || one.place - other.place;
    }
    const names = one.name.localeCompare(other.name, "la");
    if (state.sort === "name") return sign * names || one.place - other.place;
    return sign * (one.order === other.order ? names : one.place - other.place);
  }

  function arrange() {
    if (!table || !body || !direction || !count || !none) return;
    const grouped = state.sort === "order";
    const wanted = fold(state.filter).split(/\s+/).filter(Boolean);
    let shown = 0, last = "";
    const sorted = [...lines].sort(compare);
    for (const line of sorted) {
      const fits = wanted.every((word) => line.terms.includes(word)) && (!state.order || line.order === state.order);
      line.row.hidden = !fits;
      line.row.classList.toggle("new-order", fits && grouped && (shown === 0 || line.order !== last));
      if (fits) {
        shown += 1;
        last = line.order;
      }
    }
    body.replaceChildren(...sorted.map((line) => line.row));
    table.classList.toggle("grouped", grouped);
    table.classList.toggle("plates-view", state.view === "plates");
    for (const picture of table.querySelectorAll("img")) picture.sizes = state.view === "plates" ? "300px" : "88px";
    for (const head of /** @type {NodeListOf<HTMLElement>} */ (table.querySelectorAll("th[data-sort]"))) {
      if (head.dataset.sort === state.sort) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    direction.classList.toggle("down", state.down);
    direction.setAttribute("aria-label", (state.down ? direction.dataset.descending : direction.dataset.ascending) || "");
    count.textContent = words.shown.replace("{n}", String(shown)).replace("{all}", String(lines.length));
    none.hidden = shown > 0;
    table.hidden = shown === 0;
  }

  function remember() {
    const chosen = new URLSearchParams();
    if (state.view !== "table") chosen.set("view", state.view);
    if (state.sort !== first || state.down) chosen.set("sort", state.sort + (state.down ? ".down" : ""));
    if (state.filter.trim()) chosen.set("filter", state.filter.trim());
    if (state.order) chosen.set("order", state.order);
    const text = chosen.toString();
    history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
  }

  function readAddress() {
    const chosen = new URLSearchParams(location.hash.slice(1));
    const [key, fall] = (chosen.get("sort") || "").split(".");
    const known = sort && [...sort.options].some((option) => option.value === key);
    state.sort = known ? key : first;
    state.down = Boolean(known && fall === "down");
    state.view = chosen.get("view") === "plates" ? "plates" : "table";
    state.filter = chosen.get("filter") || "";
    state.order = orderChoice ? chosen.get("order") || "" : "";
    if (filter) filter.value = state.filter;
    if (sort) sort.value = state.sort;
    if (orderChoice) orderChoice.value = state.order;
    state.order = orderChoice?.value || "";
    for (const view of views) view.checked = view.value === state.view;
    arrange();
  }

  function change() {
    arrange();
    remember();
  }

  /** @param {string} key */
  function sortBy(key) {
    state.down = key === state.sort ? !state.down : fallsFirst(key);
    state.sort = key;
    if (sort) sort.value = key;
    change();
  }

  for (const head of /** @type {NodeListOf<HTMLElement>} */ (table.querySelectorAll("th[data-sort]"))) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sortBy(head.dataset.sort || first));
    head.replaceChildren(button);
  }
  filter.addEventListener("input", () => { state.filter = filter.value; change(); });
  sort.addEventListener("change", () => { state.sort = sort.value; state.down = fallsFirst(sort.value); change(); });
  direction.addEventListener("click", () => { state.down = !state.down; change(); });
  orderChoice?.addEventListener("change", () => { state.order = orderChoice.value; change(); });
  for (const view of views) view.addEventListener("change", () => { state.view = view.value; change(); });
  tools.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", readAddress);
  readAddress();
})();

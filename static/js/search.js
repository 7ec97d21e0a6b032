// @ts-check
// The search box: a combobox over the entries of assets/search-index.js, tolerant of a typo. Texts enter the page as
// text, never as markup.
"use strict";
(function () {
  /** @typedef {{id: number, kind: number, title: string, detail: string, href: string}} Entry */
  /** @type {{[key: string]: string}} */
  // @ts-ignore: defined by assets/words.js
  const words = LEAFLINEAGE_WORDS;
  const LIMIT = 12;
  const input = /** @type {HTMLInputElement | null} */ (document.getElementById("search"));
  const list = document.getElementById("search-results");
  const status = document.getElementById("search-status");
  if (!input || !list || !status) return;
  const field = input, results = list, spoken = status;
  const root = document.documentElement.dataset.root || "";
  /** @type {any} */
  let index = null;
  /** @type {Entry[]} */
  let entries = [];
  let active = -1;

  function build() {
    if (index) return;
    // @ts-ignore: defined by assets/search-index.js
    const data = LEAFLINEAGE_INDEX;
    entries = data.entries.map((/** @type {any[]} */ entry, /** @type {number} */ id) => ({
      id, kind: entry[0], title: entry[1], detail: entry[2], href: entry[3], further: entry[4],
    }));
    // @ts-ignore: defined by assets/vendor/minisearch.js
    index = new MiniSearch({ fields: ["title", "detail", "further"], processTerm: fold });
    index.addAll(entries);
  }

  /** @param {string} term */
  function fold(term) {
    return term.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
  }

  /** Families before genera before species before concepts, where scores are alike.
   * @param {number} id */
  function boost(id) {
    return [3, 2, 1.4, 1, 1][entries[id].kind];
  }

  /** @param {string} text */
  function find(text) {
    const options = { prefix: true, fuzzy: (/** @type {string} */ term) => (term.length > 3 ? 0.25 : false), boost: { title: 2 }, boostDocument: boost };
    let found = index.search(text, { ...options, combineWith: "AND" });
    if (!found.length) found = index.search(text, options);
    return found.slice(0, LIMIT).map((/** @type {{id: number}} */ hit) => entries[hit.id]);
  }

  /** @param {string} tag @param {string} kind @param {string} text */
  function make(tag, kind, text) {
    const element = document.createElement(tag);
    if (kind) element.className = kind;
    element.textContent = text;
    return element;
  }

  function close() {
    results.hidden = true;
    results.replaceChildren();
    field.setAttribute("aria-expanded", "false");
    field.removeAttribute("aria-activedescendant");
    active = -1;
  }

  /** @param {number} place */
  function choose(place) {
    const options = results.querySelectorAll("[role=option]");
    if (!options.length) return;
    active = (place + options.length) % options.length;
    options.forEach((option, i) => option.setAttribute("aria-selected", String(i === active)));
    field.setAttribute("aria-activedescendant", options[active].id);
    options[active].scrollIntoView({ block: "nearest" });
  }

  function show() {
    const text = field.value.trim();
    if (!text) {
      spoken.textContent = "";
      close();
      return;
    }
    build();
    const found = find(text);
    const kinds = [words.kind_family, words.kind_genus, words.kind_species, words.kind_concept, words.kind_specimen];
    const items = found.map((/** @type {Entry} */ entry, /** @type {number} */ i) => {
      const item = document.createElement("li");
      item.id = "search-result-" + i;
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", "false");
      const link = document.createElement("a");
      link.href = root + entry.href.split("/").map(encodeURIComponent).join("/");
      link.tabIndex = -1;
      link.append(make("span", "", entry.title), make("span", "kind", kinds[entry.kind]));
      if (entry.detail) link.append(make("span", "detail", entry.detail));
      item.append(link);
      return item;
    });
    results.replaceChildren(...(items.length ? items : [make("li", "none", words.none)]));
    results.hidden = false;
    field.setAttribute("aria-expanded", "true");
    spoken.textContent = items.length === 1 ? words.found_one : items.length ? words.found_other.replace("{n}", String(items.length)) : words.none;
    active = -1;
    field.removeAttribute("aria-activedescendant");
    if (items.length) choose(0);
  }

  field.addEventListener("focus", build);
  field.addEventListener("input", show);
  field.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (results.hidden) show();
      else choose(active + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Enter") {
      const link = results.querySelectorAll("a")[active];
      if (link) {
        event.preventDefault();
        location.href = link.href;
      }
    } else if (event.key === "Escape") {
      event.preventDefault();
      if (results.hidden) field.value = "";
      close();
    }
  });
  document.addEventListener("click", (event) => {
    if (event.target instanceof Node && !field.parentElement?.contains(event.target)) close();
  });
  field.parentElement?.addEventListener("focusout", (event) => {
    const next = /** @type {FocusEvent} */ (event).relatedTarget;
    if (next instanceof Node && !field.parentElement?.contains(next)) close();
  });
  document.addEventListener("keydown", (event) => {
    const target = event.target;
    const typing = target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      field.focus();
      field.select();
    }
  });
  for (const button of document.querySelectorAll("[data-focus-search]")) {
    button.addEventListener("click", () => field.focus());
  }
})();

// @ts-check
// The search box: a combobox over everything in assets/search-index.js, tolerant of typos and of Latin endings.
//
// It is of no use without scripts, so pages leave its place and what it should say, and all that is in it is made here.
// Nothing is loaded before the box is used. Then the index is built in slices between frames, families first, so that it
// answers at once and never holds the page up, from a folder too, where workers are blocked. Texts enter the page as
// text, never as markup.
"use strict";
(function () {
  /**
   * @typedef {{kind: number, title: string, detail: string, further: string, path: string, picture: string,
   *   latin: boolean, weight: number, folded: string}} Entry
   * @typedef {{id: number, score: number}} Hit
   */
  const words = LEAFLINEAGE_WORDS;
  const FAMILY = 0, ORDER = 1, GENUS = 2, SPECIES = 3, CONCEPT = 4, SPECIMEN = 5;
  const BOOST = [3, 1.8, 2, 1.4, 1, 1]; // by kind: families before genera before species, where scores are alike
  const MOST = [4, 2, 3, 3, 5, 3]; // results shown of a kind
  const LIMIT = 12;
  const RANKED = 400; // hits looked at again
  const SLICE = 6; // ms of building between two frames
  const HEADINGS = [words.families, words.orders, words.genera, words.species, words.concepts, words.specimens];
  const STEMS = ["", "concept-{number}", "concept-{number}-accentuation", "family"]; // as website/search.py has them
  const ENDINGS = /(?:aceae|oideae|ineae|aceous|ales|eae|iae|ii|ae|us|um|is|es|os|on|er|a|e|i|s)$/;

  const root = document.documentElement.dataset.root || "";
  const box = /** @type {HTMLElement | null} */ (document.querySelector(".search"));

  /** @param {string} tag @param {string} kind @param {string} text */
  function make(tag, kind, text) {
    const element = document.createElement(tag);
    if (kind) element.className = kind;
    element.textContent = text;
    return element;
  }

  // --- the box's parts -------------------------------------------------------------------------------------

  const input = document.createElement("input");
  const results = make("div", "", ""), options = make("div", "", ""), nothing = make("p", "none", words.search_none);
  const status = make("p", "hidden", "");

  /** Fill the place that the page has left. @param {HTMLElement} place */
  function fill(place) {
    const label = /** @type {HTMLLabelElement} */ (make("label", "hidden", words.search_label));
    label.htmlFor = input.id = "search";
    input.type = "search";
    input.autocapitalize = "none";
    input.autocomplete = "off";
    input.spellcheck = false;
    input.placeholder = place.dataset.placeholder || words.search_placeholder;
    const attributes = { role: "combobox", expanded: "false", controls: "search-list", autocomplete: "list", haspopup: "listbox", describedby: "search-help" };
    for (const [name, value] of Object.entries(attributes)) input.setAttribute(name === "role" ? name : "aria-" + name, value);
    const key = make("kbd", "", "/"), help = make("span", "hidden", words.search_help);
    key.setAttribute("aria-hidden", "true");
    help.id = "search-help";
    results.id = "search-results";
    results.hidden = true;
    options.id = "search-list";
    options.setAttribute("role", "listbox");
    options.setAttribute("aria-label", words.search_results);
    nothing.id = "search-none";
    nothing.hidden = true;
    status.id = "search-status";
    status.setAttribute("role", "status");
    results.append(options, nothing);
    place.append(label, drawGlass(), input, key, help, results, status);
  }

  function drawGlass() {
    const space = "http://www.w3.org/2000/svg";
    const glass = document.createElementNS(space, "svg");
    /** @param {Element} element @param {{[name: string]: string}} attributes */
    const set = (element, attributes) => { for (const name in attributes) element.setAttribute(name, attributes[name]); };
    set(glass, { class: "glass", "aria-hidden": "true", viewBox: "0 0 16 16", width: "16", height: "16" });
    const ring = document.createElementNS(space, "circle"), grip = document.createElementNS(space, "path");
    set(ring, { cx: "6.5", cy: "6.5", r: "4.5" });
    set(grip, { d: "M10 10l4.5 4.5" });
    glass.append(ring, grip);
    return glass;
  }

  // --- the index -------------------------------------------------------------------------------------------

  /** @type {Entry[]} */
  const entries = [];
  /** @type {any} */
  let index = null;
  /** @type {Promise<void> | null} */
  let loading = null;
  let isComplete = false;

  /** @param {string} path @returns {Promise<void>} */
  function loadScript(path) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = root + path;
      script.onload = () => resolve();
      script.onerror = () => reject(new Error(path));
      document.head.append(script);
    });
  }

  /** Load what the search needs, once. @returns {Promise<void>} */
  function load() {
    if (!loading) {
      loading = Promise.all([loadScript("assets/search-index.js"), loadScript("assets/vendor/minisearch.js")]).then(() => undefined);
      loading.then(begin, () => { loading = null; });
    }
    return loading;
  }

  /** @param {string} text */
  function fold(text) {
    return (/^[\x00-\x7f]*$/.test(text) ? text : text.normalize("NFKD").replace(/[\u0300-\u036f]/g, "")).toLowerCase();
  }

  /** @param {string} path */
  function encodePath(path) {
    return path.split("/").map(encodeURIComponent).join("/");
  }

  /** @param {any} family @returns {string} */
  function slugOf(family) {
    return family[1] || family[0].toLowerCase();
  }

  /** @param {any} code @param {string} slug @param {number} number */
  function findPicture(code, slug, number) {
    if (!code || typeof code === "string") return code || "";
    const stem = STEMS[code].replace("{number}", String(number).padStart(2, "0"));
    return "media/families/" + slug + "/visualizations/" + stem + "-" + LEAFLINEAGE_INDEX.width + ".webp";
  }

  /** All entries: families first, then what stands under them.
   * @returns {Generator<Entry>} */
  function* listEntries() {
    const data = LEAFLINEAGE_INDEX;
    /** @param {number} kind @param {string} title @param {string} detail @param {string} path @param {Partial<Entry>} more @returns {Entry} */
    const make = (kind, title, detail, path, more) => ({
      kind, title, detail, path, further: "", picture: "", latin: kind <= SPECIES, weight: 1, folded: fold(title), ...more,
    });
    /** @type {string[][]} */
    const members = data.orders.map(() => []);
    for (const family of data.families) {
      const [name, , common, order, further] = family;
      const path = "families/" + slugOf(family) + "/index.html";
      const orderName = order ? data.orders[order - 1] : "";
      if (order) members[order - 1].push(name);
      const picture = findPicture(family[6], slugOf(family), family[8][0] || 0);
      const detail = family[5] ? common || orderName : words.no_concepts;
      yield make(FAMILY, name, detail, path, { further: further + " " + orderName + " " + common, picture });
    }
    for (let i = 0; i < data.orders.length; i += 1) {
      yield make(ORDER, data.orders[i], members[i].join(", "), "families/index.html", { further: encodeURIComponent(data.orders[i]) });
    }
    for (const family of data.families) {
      const path = "families/" + slugOf(family) + "/index.html";
      for (const text of family[7] ? family[7].split("|") : []) {
        yield make(GENUS, text.split(" ", 1)[0], family[0], path, {});
      }
    }
    for (const family of data.families) {
      const slug = slugOf(family), concepts = family[8];
      for (let i = 0; i < concepts.length; i += 5) {
        const number = concepts[i], name = data.names[concepts[i + 2]];
        const title = name ? name.charAt(0).toUpperCase() + name.slice(1) : words.concept.replace("{n}", String(number));
        yield make(CONCEPT, title, family[0], "families/" + slug + "/concept-" + String(number).padStart(2, "0") + ".html", {
          further: data.terms[concepts[i + 3]] || "", weight: 1 + concepts[i + 1] / 200, picture: findPicture(concepts[i + 4], slug, number),
        });
      }
    }
    for (const [id, title, species, picture] of data.queries) {
      yield make(SPECIMEN, title || id, species, "specimens/" + id + ".html", { further: id, picture: picture || "" });
    }
    for (const family of data.families) {
      const path = "families/" + slugOf(family) + "/index.html";
      for (const text of family[7] ? family[7].split("|") : []) {
        const [genus, epithets] = text.split(/ (.*)/, 2);
        for (const epithet of epithets ? epithets.split(",") : []) yield make(SPECIES, genus + " " + epithet, family[0], path, {});
      }
    }
  }

  function begin() {
    index = new MiniSearch({ fields: ["title", "detail", "further"], processTerm: fold });
    const rest = listEntries();
    const build = () => {
      const end = performance.now() + SLICE;
      for (let next = rest.next(); !next.done; next = rest.next()) {
        const id = entries.push(next.value) - 1;
        index.add({ id, title: next.value.title, detail: next.value.detail, further: next.value.further });
        if (performance.now() > end) {
          setTimeout(build, 0);
          return;
        }
      }
      isComplete = true;
      document.documentElement.dataset.search = "ready";
      if (box && input.value.trim() && document.activeElement === input) show();
    };
    build();
  }

  // --- finding ---------------------------------------------------------------------------------------------

  /** @param {number} id */
  function boost(id) {
    return BOOST[entries[id].kind] * entries[id].weight;
  }

  /** @param {string} term */
  function forgive(term) {
    return term.length > 3 && !/^\d/.test(term) ? 0.25 : false;
  }

  /** One or two letters: what begins with them, families, orders and genera only.
   * @param {string} text @returns {Hit[]} */
  function findBeginning(text) {
    const hits = [];
    for (let id = 0; id < entries.length && entries[id].kind <= GENUS; id += 1) {
      if (entries[id].folded.startsWith(text)) hits.push({ id, score: boost(id) - entries[id].title.length / 1000 });
    }
    return hits.sort((one, other) => other.score - one.score);
  }

  /** @param {string} typed @returns {Hit[]} */
  function find(typed) {
    if (typed.length < 3) return findBeginning(typed);
    const text = typed.replace(/\s+[^\s\d]{1,2}$/, ""); // one or two letters of a further word say little yet
    const options = { prefix: true, fuzzy: forgive, boost: { title: 2 }, boostDocument: boost, combineWith: "AND" };
    /** @type {Hit[]} */
    let hits = index.search(text, options);
    if (hits.length < LIMIT) {
      const stems = text.split(/\s+/).map((word) => (word.length > 4 ? word.replace(ENDINGS, "") : word)).filter((stem) => stem.length > 2);
      if (stems.length && stems.join(" ") !== text) {
        const known = new Set(hits.map((hit) => hit.id));
        /** @type {Hit[]} */
        const found = index.search(stems.join(" "), { ...options, fuzzy: false });
        hits = hits.concat(found.filter((hit) => !known.has(hit.id)).map((hit) => ({ id: hit.id, score: hit.score * 0.3 })));
      }
    }
    return hits.length ? hits : index.search(text, { ...options, combineWith: "OR" });
  }

  /** The results by kind, the kind of the best first; and how many of each kind there are.
   * @param {string} text @returns {{kind: number, ids: number[], total: number}[]} */
  function group(text) {
    const hits = find(text);
    const looked = hits.slice(0, RANKED).map((hit) => {
      const folded = entries[hit.id].folded;
      const times = folded === text ? 3 : folded.startsWith(text) ? 1.5 : 1;
      return { id: hit.id, score: hit.score * times };
    }).sort((one, other) => other.score - one.score || one.id - other.id);
    /** @type {Map<number, {kind: number, ids: number[], total: number}>} */
    const groups = new Map();
    let shown = 0;
    for (const { id } of looked) {
      const kind = entries[id].kind;
      const found = groups.get(kind) || { kind, ids: [], total: 0 };
      if (found.ids.length >= MOST[kind] || shown >= LIMIT) continue;
      groups.set(kind, found);
      found.ids.push(id);
      shown += 1;
    }
    for (const hit of hits) {
      const found = groups.get(entries[hit.id].kind);
      if (found) found.total += 1;
    }
    return [...groups.values()];
  }

  // --- a random family -------------------------------------------------------------------------------------

  for (const link of /** @type {NodeListOf<HTMLAnchorElement>} */ (document.querySelectorAll("a[data-random]"))) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      load().then(() => {
        const built = LEAFLINEAGE_INDEX.families.filter((/** @type {any} */ family) => family[5]);
        const chosen = built[Math.floor(Math.random() * built.length)];
        location.href = chosen ? root + "families/" + slugOf(chosen) + "/index.html" : link.href;
      }, () => { location.href = link.href; });
    });
  }

  // --- the box ---------------------------------------------------------------------------------------------

  let active = -1;
  let awaited = false; // Enter was pressed before the index was there
  if (!box) return;
  fill(box);

  /** @param {Entry} entry @param {number} place */
  function makeOption(entry, place) {
    const option = document.createElement("a");
    option.id = "search-option-" + place;
    option.setAttribute("role", "option");
    option.setAttribute("aria-selected", "false");
    option.tabIndex = -1;
    option.href = root + encodePath(entry.path) + (entry.kind === ORDER ? "#order=" + entry.further : "");
    const thumb = make("span", "thumb", "");
    if (entry.picture) {
      const picture = document.createElement("img");
      picture.alt = "";
      picture.width = picture.height = 44;
      picture.src = root + encodePath(entry.picture);
      thumb.append(picture);
    }
    const title = make("span", "title", entry.title);
    const detail = make("span", "detail", entry.detail);
    if (entry.latin) title.lang = "la";
    if (entry.kind > FAMILY && entry.kind < SPECIMEN) detail.lang = "la";
    option.append(thumb, title, detail);
    return option;
  }

  function close() {
    results.hidden = true;
    options.replaceChildren();
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
    active = -1;
  }

  /** @returns {HTMLAnchorElement[]} */
  function listOptions() {
    return [...options.querySelectorAll("a")];
  }

  /** @param {number} place */
  function choose(place) {
    const all = listOptions();
    if (!all.length) return;
    active = (place + all.length) % all.length;
    all.forEach((option, i) => option.setAttribute("aria-selected", String(i === active)));
    input.setAttribute("aria-activedescendant", all[active].id);
    all[active].scrollIntoView({ block: "nearest" });
  }

  function show() {
    const text = fold(input.value.trim());
    if (!text) {
      status.textContent = "";
      close();
      return;
    }
    if (!index) {
      load().catch(() => { status.textContent = words.unavailable; });
      return;
    }
    const groups = group(text);
    let n = 0;
    options.replaceChildren(...groups.map(({ kind, ids, total }) => {
      const part = make("div", "group", "");
      part.setAttribute("role", "group");
      part.setAttribute("aria-label", HEADINGS[kind]);
      const heading = make("p", "group-name", total > ids.length ? HEADINGS[kind] + " · " + words.shown.replace("{n}", String(ids.length)).replace("{all}", String(total)) : HEADINGS[kind]);
      heading.setAttribute("aria-hidden", "true");
      part.append(heading, ...ids.map((id) => makeOption(entries[id], n++)));
      return part;
    }));
    const wasHidden = results.hidden;
    results.hidden = n === 0 && !isComplete;
    nothing.hidden = n > 0;
    options.hidden = n === 0;
    input.setAttribute("aria-expanded", String(n > 0));
    input.removeAttribute("aria-activedescendant");
    active = -1;
    if (n || isComplete) {
      status.textContent = n === 1 ? words.found_one : n ? words.found_other.replace("{n}", String(n)) : words.none;
    }
    if (n) choose(0);
    if (wasHidden && !results.hidden) results.scrollIntoView({ block: "nearest" });
    if (awaited && (n || isComplete)) go();
  }

  function go() {
    awaited = false;
    const chosen = listOptions()[active];
    if (chosen) location.href = chosen.href;
  }

  input.addEventListener("focus", () => { load().catch(() => undefined); });
  box.addEventListener("pointerenter", () => { load().catch(() => undefined); });
  input.addEventListener("input", show);
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (results.hidden) show();
      else choose(active + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (active >= 0) go();
      else awaited = Boolean(input.value.trim()) && !isComplete;
    } else if (event.key === "Escape") {
      event.preventDefault();
      awaited = false;
      if (results.hidden) {
        input.value = "";
        input.blur();
      }
      close();
    }
  });
  document.addEventListener("click", (event) => {
    if (event.target instanceof Node && !box.contains(event.target)) close();
  });
  box.addEventListener("focusout", (event) => {
    const next = /** @type {FocusEvent} */ (event).relatedTarget;
    if (next instanceof Node && !box.contains(next)) close();
  });
  document.addEventListener("keydown", (event) => {
    const target = event.target;
    const typing = target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      input.focus();
      input.select();
    }
  });
})();

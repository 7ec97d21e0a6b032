// @ts-check
// Any two families compared: the same page as website/view_compare.py bakes, from the same data, a script a family that
// is loaded when it is first asked for. The address holds the pair: compare/index.html#betulaceae+ulmaceae.
"use strict";
(function () {
  /** @typedef {{src: string, width: number, height: number, alt: string}} Shown */
  /** @typedef {{id: string, title: string, inside: string, address: string, share: string, unstable: boolean, picture: Shown | null, to: (number | null)[], similar: [string, number][]}} Concept */
  /** @typedef {{slug: string, name: string, address: string, n_counted: number, held_out: boolean, picture: Shown | null, compared: string[], concepts: Concept[], rest: (number | null)[], bias: (number | null)[], confused: {[slug: string]: number}}} Family */
  /** @typedef {{concept: Concept, owner: Family, first: number, second: number, difference: number, shared: boolean}} Parting */

  const found = document.getElementById("compare");
  const one = document.getElementById("choose-first"), other = document.getElementById("choose-second");
  if (!found || !found.dataset.said || !(one instanceof HTMLSelectElement) || !(other instanceof HTMLSelectElement)) return;
  const page = found, choices = [one, other];
  /** @type {{[key: string]: string}} */
  const said = JSON.parse(found.dataset.said);
  const root = document.documentElement.dataset.root || "";
  const STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100];
  const MOST_TICKS = 6;
  const N_TOLD = 3;

  // --- numbers, written as everywhere on the site ----------------------------------------------------------------

  /** Round half to even where the number lies exactly between two, as Python does. @param {number} value @param {number} digits */
  function decimal(value, digits) {
    const size = Math.abs(value), halves = size * 2 ** (digits + 1);
    let text = size.toFixed(digits);
    if (Number.isInteger(halves) && halves % 2 === 1 && Number(text[text.length - 1]) % 2 === 1) {
      text = (Number(text) - 10 ** -digits).toFixed(digits);
    }
    return value < 0 && Number(text) !== 0 ? "\u2212" + text : text;
  }

  /** @param {number} value @param {number} digits */
  function signed(value, digits) {
    const text = decimal(value, digits);
    return text.startsWith("\u2212") || Number(text) === 0 ? text : "+" + text;
  }

  /** @param {number} fraction */
  function place(fraction) {
    const text = decimal(Math.max(0, fraction) * 100, 1);
    return (text.endsWith(".0") ? text.slice(0, -2) : text) + "%";
  }

  // --- comparing, as website/comparing.py does -----------------------------------------------------------------

  /** @param {Family} first @param {Family} second @returns {Parting[] | null} */
  function rankPartings(first, second) {
    const alike = new Set(findShared(first, second).flatMap(([a, b]) => [a.id, b.id]));
    /** @type {Parting[]} */
    const partings = [];
    for (const owner of [first, second]) {
      const toFirst = owner.compared.indexOf(first.slug), toSecond = owner.compared.indexOf(second.slug);
      if (toFirst < 0 || toSecond < 0) return null;
      for (const concept of owner.concepts) {
        const a = concept.to[toFirst], b = concept.to[toSecond];
        if (a === null || b === null) return null;
        partings.push({ concept, owner, first: a, second: b, difference: a - b, shared: alike.has(concept.id) });
      }
    }
    return partings.sort((a, b) => Math.abs(b.difference) - Math.abs(a.difference) || order(a.concept.id, b.concept.id));
  }

  /** @param {string} a @param {string} b */
  function order(a, b) {
    return a < b ? -1 : a > b ? 1 : 0;
  }

  /** @param {Family} first @param {Family} second @returns {[Concept, Concept, number][]} */
  function findShared(first, second) {
    /** @type {[Concept, Concept, number][]} */
    const pairs = [];
    for (const a of first.concepts) {
      for (const b of second.concepts) {
        const near = [...a.similar.filter(([id]) => id === b.id), ...b.similar.filter(([id]) => id === a.id)];
        if (near.length) pairs.push([a, b, Math.max(...near.map(([, value]) => value))]);
      }
    }
    /** @param {[Concept, Concept, number]} pair */
    const key = (pair) => [pair[0].id, pair[1].id].sort();
    return pairs.sort((p, q) => q[2] - p[2] || order(key(p)[0], key(q)[0]) || order(key(p)[1], key(q)[1]));
  }

  /** What parts a family from another on its own leaves: concepts, unstable ones, rest, bias, all together.
   * @param {Family} own @param {Family} against @returns {number[] | null} */
  function weigh(own, against) {
    const mine = own.compared.indexOf(own.slug), theirs = own.compared.indexOf(against.slug);
    if (mine < 0 || theirs < 0) return null;
    const sums = [0, 0];
    for (const concept of own.concepts) {
      const a = concept.to[mine], b = concept.to[theirs];
      if (a === null || b === null) return null;
      sums[concept.unstable ? 1 : 0] += a - b;
    }
    const parts = [];
    for (const values of [own.rest, own.bias]) {
      const a = values[mine], b = values[theirs];
      if (a === undefined || b === undefined || a === null || b === null) return null;
      parts.push(a - b);
    }
    return [...sums, ...parts, sums[0] + sums[1] + parts[0] + parts[1]];
  }

  /** @param {number[]} values @returns {[number, number]} */
  function makeAxis(values) {
    const low = Math.min(0, ...values), high = Math.max(0, ...values), air = (high - low) * 0.04 || 1;
    return [low - air, high + air];
  }

  // --- making elements -----------------------------------------------------------------------------------------

  /** @param {string} tag @param {{[name: string]: string}} attributes @param {(Node | string)[]} children */
  function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  /** @param {string} tag @param {{[name: string]: string}} attributes @param {(Node | string)[]} children */
  function draw(tag, attributes, ...children) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  /** A sentence with its places filled. @param {string} sentence @param {{[name: string]: Node | string | (Node | string)[]}} places
   * @returns {(Node | string)[]} */
  function fill(sentence, places) {
    return sentence.split(/(\{[a-z_]+\})/).filter(Boolean).flatMap((part) => places[part.slice(1, -1)] ?? part);
  }

  /** @param {string} path */
  function encode(path) {
    return root + path.split("/").map(encodeURIComponent).join("/");
  }

  /** @param {string} name */
  function latin(name) {
    return make("span", { lang: "la" }, name);
  }

  /** @param {Shown | null} shown @param {{[name: string]: string}} further */
  function mount(shown, further) {
    return make("div", { class: "mount square" }, ...(shown ? [imageOf(shown, { loading: "lazy", ...further })] : []));
  }

  /** @param {Shown} shown @param {{[name: string]: string}} further */
  function imageOf(shown, further) {
    return make("img", { src: encode(shown.src), width: String(shown.width), height: String(shown.height), alt: shown.alt, ...further });
  }

  /** @param {Family} first @param {Family} second @param {number} difference */
  function leader(first, second, difference) {
    if (difference === 0) return [said.for_neither];
    return fill(said.for_one, { family: latin((difference > 0 ? first : second).name) });
  }

  /** @param {Parting} parting @param {Family} first @param {Family} second @param {[number, number]} axis */
  function makeRow(parting, first, second, [low, high]) {
    const { concept, owner } = parting, at = (/** @type {number} */ value) => place((value - low) / (high - low));
    const zero = place(-low / (high - low));
    const badges = [];
    if (parting.shared) badges.push(make("li", { class: "badge" }, said.shared));
    if (concept.unstable) badges.push(make("li", { class: "badge warns" }, said.unstable));
    const name = make("th", { scope: "row" }, make("a", { href: encode(concept.address) }, concept.title),
      make("span", { class: "whose" }, ...fill(said.whose, { family: latin(owner.name), share: concept.share })),
      ...(badges.length ? [make("ul", { class: "badges" }, ...badges)] : []));
    const marks = draw("svg", { class: "marks", "aria-hidden": "true", width: "100%", height: "24" },
      draw("line", { class: "zero", x1: zero, x2: zero, y1: "-40", y2: "64" }),
      draw("line", { class: "reach", x1: at(parting.first), x2: at(parting.second), y1: "12", y2: "12" }),
      draw("circle", { class: "ring", cx: at(parting.second), cy: "12", r: "7.5" }),
      draw("circle", { class: "disc", cx: at(parting.first), cy: "12", r: "5.5" }));
    return make("tr", concept.unstable ? { class: "unstable" } : {},
      make("td", { class: "thumb" }, mount(concept.picture, {})), name, make("td", { class: "axis" }, marks),
      make("td", { class: "n first" }, signed(parting.first, 2)), make("td", { class: "n second-family" }, signed(parting.second, 2)),
      make("td", { class: "gap" }, make("span", { class: "n" }, decimal(Math.abs(parting.difference), 2)), " ",
        make("span", { class: "leader" }, ...leader(first, second, parting.difference))));
  }

  /** @param {[number, number]} axis */
  function* makeTicks([low, high]) {
    const step = STEPS.find((each) => (high - low) / each <= MOST_TICKS) || STEPS[STEPS.length - 1];
    const digits = step < 0.1 ? 2 : step < 1 ? 1 : 0;
    for (let n = Math.ceil(low / step); n <= Math.floor(high / step); n += 1) {
      yield draw("text", { x: place((n * step - low) / (high - low)), y: "15" }, signed(n * step, digits));
    }
  }

  /** @param {Family} first @param {Family} second @param {Parting[]} partings */
  function tell(first, second, partings) {
    const told = partings.filter((each) => !each.concept.unstable).slice(0, N_TOLD).map((each) => {
      const link = make("a", { href: encode(each.concept.address) },
        ...fill(said.inside_of, { concept: each.concept.inside, family: latin(each.owner.name) }));
      return fill(said.told, { concept: link, difference: decimal(Math.abs(each.difference), 2), leader: leader(first, second, each.difference) });
    });
    /** @type {(Node | string)[]} */
    const listed = [];
    told.forEach((each, i) => {
      if (i) listed.push(i === told.length - 1 ? said.and : said.comma);
      listed.push(...each);
    });
    const sentences = told.length ? [...fill(said.parts, { concepts: listed }), " "] : [];
    const nShared = findShared(first, second).filter(([a, b]) => !a.unstable && !b.unstable).length;
    sentences.push(...count("shares_", nShared, {}));
    const all = first.n_counted + second.n_counted;
    if (all) {
      const n = (first.confused[second.slug] || 0) + (second.confused[first.slug] || 0);
      const key = first.held_out && second.held_out ? "confused_held_" : "confused_";
      sentences.push(" ", ...count(key, n, { all: all.toLocaleString("en") }));
    }
    return sentences;
  }

  /** @param {string} key @param {number} n @param {{[name: string]: string}} places */
  function count(key, n, places) {
    return fill(said[key + (n === 0 ? "none" : n === 1 ? "one" : "other")], { n: n.toLocaleString("en"), ...places });
  }

  /** @param {string} id */
  function part(id) {
    return /** @type {HTMLElement} */ (document.getElementById(id));
  }

  /** @param {Family} first @param {Family} second */
  function show(first, second) {
    const partings = rankPartings(first, second);
    if (!partings) {
      complain(said.unknown.replace("{first}", first.name).replace("{second}", second.name));
      return;
    }
    complain("");
    const both = said.both.replace("{first}", () => first.name).replace("{second}", () => second.name);
    for (const place of page.querySelectorAll("[data-name]")) {
      place.textContent = (place instanceof HTMLElement && place.dataset.name === "second" ? second : first).name;
    }
    part("compare-lead").replaceChildren(...tell(first, second, partings));
    part("compare-leaves").hidden = !first.picture && !second.picture;
    part("compare-leaves").replaceChildren(...[first, second].map((side) => make("a", { href: encode(side.address) },
      ...(side.picture ? [imageOf(side.picture, {})] : []), latin(side.name))));
    const axis = makeAxis(partings.flatMap((each) => [each.first, each.second]));
    part("compare-ticks").replaceChildren(...makeTicks(axis));
    part("compare-rows").replaceChildren(...partings.map((each) => makeRow(each, first, second, axis)));
    part("unstable-choice").hidden = !partings.some((each) => each.concept.unstable);
    const shared = findShared(first, second);
    part("compare-shared").replaceChildren(...shared.map(([a, b, similarity]) => make("li",
      a.unstable || b.unstable ? { class: "unstable" } : {},
      ...[[a, first], [b, second]].map(([concept, owner]) => make("a", { href: encode(/** @type {Concept} */ (concept).address) },
        mount(/** @type {Concept} */ (concept).picture, { alt: "", "aria-hidden": "true" }),
        make("span", {}, ...fill(said.concept_of, { concept: /** @type {Concept} */ (concept).title, family: latin(/** @type {Family} */ (owner).name) })))),
      make("span", { class: "n" }, said.cosine.replace("{value}", decimal(similarity, 2))))));
    part("compare-none").hidden = shared.some(([a, b]) => !a.unstable && !b.unstable);
    const rows = [];
    for (const [own, against] of [[first, second], [second, first]]) {
      const sums = weigh(own, against);
      if (!sums) continue;
      rows.push(make("tr", {}, make("th", { scope: "row" }, ...fill(said.above, { family: latin(own.name), other: latin(against.name) })),
        ...sums.map((value) => make("td", { class: "n" }, signed(value, 2)))));
    }
    part("compare-balance").hidden = !rows.length;
    part("compare-sums").replaceChildren(...rows);
    part("compare-status").textContent = said.compared.replace("{pair}", () => both);
    document.title = both + document.title.slice(document.title.indexOf(" \u00b7 "));
  }

  /** @param {string} sentence */
  function complain(sentence) {
    part("compare-trouble").textContent = sentence;
    part("compare-trouble").hidden = !sentence;
  }

  // --- loading and choosing ------------------------------------------------------------------------------------

  /** @type {Map<string, Promise<Family>>} */
  const loading = new Map();

  /** @param {string} slug @returns {Promise<Family>} */
  function load(slug) {
    const known = loading.get(slug);
    if (known) return known;
    const promise = new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = page.dataset.files + encodeURIComponent(slug) + ".js";
      script.onload = () => resolve(globalThis.LEAFLINEAGE_COMPARE?.[slug]);
      script.onerror = () => {
        loading.delete(slug);
        reject(new Error(slug));
      };
      document.head.append(script);
    });
    loading.set(slug, promise);
    return promise;
  }

  let shown = [page.dataset.first || "", page.dataset.second || ""];

  /** @param {string[]} pair */
  async function compare(pair) {
    choices.forEach((choice, i) => { choice.value = pair[i]; });
    if (pair.join("+") === shown.join("+")) return;
    shown = pair;
    try {
      const [first, second] = await Promise.all(pair.map(load));
      if (shown === pair) show(first, second);
    } catch (error) {
      const choice = choices.find((each) => each.value === (error instanceof Error ? error.message : ""));
      complain(said.failed.replace("{family}", () => choice?.selectedOptions[0].textContent || ""));
      shown = [];
    }
  }

  function readAddress() {
    let text = location.hash.slice(1);
    try {
      text = decodeURIComponent(text);
    } catch {
      return;
    }
    const pair = text ? text.split("+") : [page.dataset.first || "", page.dataset.second || ""];
    const offered = new Set([...choices[0].options].map((option) => option.value));
    if (pair.length === 2 && pair[0] !== pair[1] && pair.every((slug) => offered.has(slug))) compare(pair);
  }

  /** @param {string[]} pair */
  function ask(pair) {
    location.hash = pair.map(encodeURIComponent).join("+");
  }

  choices.forEach((choice, i) => {
    choice.addEventListener("change", () => {
      const pair = choices.map((each) => each.value);
      if (pair[0] === pair[1]) pair[1 - i] = shown[i] || pair[1 - i]; // the other family was chosen: they change places
      if (pair[0] !== pair[1]) ask(pair);
    });
  });
  part("swap").addEventListener("click", () => ask(choices.map((choice) => choice.value).reverse()));
  addEventListener("hashchange", readAddress);
  readAddress();
})();

// @ts-check
// The figure of a family's images: each a thumbnail on a grid, ringed and numbered by its dominant concept.
// One stop of the Tab key; arrow keys go from leaf to leaf; hover, focus and touch show one large, Escape puts it away.
"use strict";
(function () {
  const SVG = "http://www.w3.org/2000/svg";
  const SQUARE = 10; // of the figure's own units
  const BIG = 168; // px
  const INSET = 0.35; // of the outline of a group, so that two groups' outlines stand apart

  /**
   * @typedef {Object} Data
   * @property {number} columns
   * @property {number} rows
   * @property {number} side
   * @property {string} marks
   * @property {number[]} places
   * @property {string} prefix
   * @property {string} names
   * @property {string} pages
   * @property {string} pictures
   * @property {{[key: string]: string}} wrong
   * @property {{[key: string]: string}} texts
   */
  /**
   * @typedef {Object} Leaf
   * @property {number} column
   * @property {number} row
   * @property {number} line
   * @property {number} index
   * @property {number} kind
   * @property {number} place
   * @property {string} name
   * @property {string} wrong
   * @property {SVGElement} element
   */

  const found = document.getElementById("cluster");
  const text = found?.querySelector("script")?.textContent;
  const lines = /** @type {HTMLElement[]} */ ([...document.querySelectorAll(".spread-table tbody tr")]);
  if (!found || !text || !lines.length) return;
  const figure = found;
  /** @type {Data} */
  const data = JSON.parse(text);
  const sheet = /** @type {HTMLImageElement | null} */ (figure.querySelector("img.thumbnails"));
  const labels = lines.map((line) => line.querySelector("th")?.textContent || "");

  /**
   * @param {string} name
   * @param {{[key: string]: string | number}} attributes
   * @param {Element | DocumentFragment} [parent]
   * @returns {SVGElement}
   */
  function draw(name, attributes, parent) {
    const element = /** @type {SVGElement} */ (document.createElementNS(SVG, name));
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
    parent?.append(element);
    return element;
  }

  /** @param {Leaf} leaf @param {string} id @param {{[key: string]: string | number}} square @param {Element | DocumentFragment} parent */
  function drawThumbnail(leaf, id, square, parent) {
    if (!sheet || !data.side) return;
    const side = data.side;
    const width = Number(sheet.getAttribute("width"));
    const height = Number(sheet.getAttribute("height"));
    const columns = Math.max(1, Math.round(width / side));
    const x = (leaf.place % columns) * side;
    const y = Math.floor(leaf.place / columns) * side;
    // A pattern, not a part of the sheet cut off: what is cut off still counts where an element's extent is asked for.
    // Half a pixel inside, so that enlarging it mixes in nothing of the leaves beside it.
    const viewBox = [x + 0.5, y + 0.5, side - 1, side - 1].join(" ");
    const pattern = draw("pattern", { id, width: 1, height: 1, viewBox }, parent);
    draw("image", { href: sheet.src, width, height }, pattern);
    draw("rect", { class: "thumbnail", fill: `url(#${id})`, ...square }, parent);
  }

  /** @param {Leaf} leaf @param {number} radius @param {number} x @param {number} y @param {Element} parent */
  function drawMark(leaf, radius, x, y, parent) {
    const { tone = "plain", number = "" } = lines[leaf.line].dataset;
    const mark = draw("g", { class: `mark tone-${tone}`, transform: `translate(${x} ${y})` }, parent);
    draw("circle", { r: tone === "none" ? radius / 3 : radius }, mark);
    if (number) draw("text", { y: radius * 0.4, "font-size": radius * 1.15 }, mark).textContent = number;
  }

  /** @returns {string[]} ids without what all begin with; each stands after the length of what it shares with the last */
  function readNames() {
    let before = "";
    return data.names.split("|").map((short) => {
      before = before.slice(0, parseInt(short[0], 36)) + short.slice(1);
      return before;
    });
  }

  const names = readNames();

  /** @returns {Leaf[]} */
  function readLeaves() {
    const leaves = [];
    for (let n = 0; n * 6 < data.marks.length; n += 1) {
      const [column, row, line, high, low, kind] = [...data.marks.slice(n * 6, n * 6 + 6)].map((sign) => parseInt(sign, 36));
      const element = draw("g", { class: "leaf", transform: `translate(${column * SQUARE} ${row * SQUARE})` });
      const place = data.places.length ? data.places[n] : n;
      const name = names[n] ? data.prefix + names[n] : "";
      leaves.push({ column, row, line, index: (high * 36 + low) / 100, kind, place, name, wrong: data.wrong[n] || "", element });
    }
    return leaves;
  }

  const leaves = readLeaves();
  if (!leaves.length) return;
  /** @type {Map<string, Leaf>} */
  const grid = new Map(leaves.map((leaf) => [`${leaf.column} ${leaf.row}`, leaf]));
  let current = leaves.reduce((best, leaf) => (leaf.row * 100 + leaf.column < best.row * 100 + best.column ? leaf : best));
  /** @type {Leaf | null} */
  let shown = null;

  /** @param {Leaf} leaf @returns {string} */
  function tellName(leaf) {
    return leaf.name ? leaf.name.slice(data.prefix.length) : data.texts.unnamed;
  }

  /** @param {Leaf} leaf @returns {string[]} */
  function tell(leaf) {
    const facts = [labels[leaf.line], data.texts.index.replace("{value}", leaf.index.toFixed(2))];
    return leaf.wrong ? [...facts, leaf.wrong] : facts;
  }

  // --- the picture ---

  const picture = draw("svg", {
    class: "spread",
    viewBox: `0 0 ${data.columns * SQUARE} ${data.rows * SQUARE}`,
    role: "listbox",
    "aria-label": `${figure.dataset.label} ${data.texts.help}`,
  });
  /** @param {number} n a line of the table @returns {string} the outline of its leaves, drawn a little inside of it */
  function findOutline(n) {
    let path = "";
    for (const leaf of leaves) {
      if (leaf.line !== n) continue;
      const { column, row } = leaf;
      const isSame = (/** @type {number} */ x, /** @type {number} */ y) => grid.get(`${column + x} ${row + y}`)?.line === n;
      for (const [x, y] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        if (isSame(x, y)) continue;
        // Where the line ends: before its own corner, at the next leaf's line, or in a corner that opens inwards.
        const end = (/** @type {number} */ side) => {
          const [alongX, alongY] = [y ? side : 0, x ? side : 0];
          if (!isSame(alongX, alongY)) return -INSET;
          return isSame(alongX + x, alongY + y) ? INSET : 0;
        };
        const [from, to] = [-end(-1), SQUARE + end(1)];
        const depth = x + y > 0 ? SQUARE - INSET : INSET;
        path += y
          ? `M${column * SQUARE + from} ${row * SQUARE + depth}H${column * SQUARE + to}`
          : `M${column * SQUARE + depth} ${row * SQUARE + from}V${row * SQUARE + to}`;
      }
    }
    return path;
  }

  for (const [n, line] of lines.entries()) {
    draw("path", { class: `outline tone-${line.dataset.tone || "plain"}`, d: findOutline(n) }, picture);
  }
  for (const leaf of leaves) {
    draw("rect", { class: "ground", width: SQUARE, height: SQUARE }, leaf.element);
    if (sheet) drawMark(leaf, 1.75, 2.1, 2.1, leaf.element);
    else drawMark(leaf, 3.6, SQUARE / 2, SQUARE / 2, leaf.element);
    draw("rect", { class: "ring", x: 0.3, y: 0.3, width: SQUARE - 0.6, height: SQUARE - 0.6 }, leaf.element);
    leaf.element.setAttribute("role", "option");
    leaf.element.setAttribute("tabindex", leaf === current ? "0" : "-1");
    leaf.element.setAttribute("aria-selected", "false");
    leaf.element.setAttribute("aria-label", [tellName(leaf), ...tell(leaf)].join(", "));
    picture.append(leaf.element);
  }
  figure.style.setProperty("--columns", String(data.columns));
  figure.prepend(picture);
  if (sheet) sheet.hidden = true;

  /** Put the thumbnails onto their grounds: their sheet is fetched where the figure may soon be seen. */
  function drawThumbnails() {
    watcher.disconnect();
    const square = { x: 0.9, y: 0.9, width: SQUARE - 1.8, height: SQUARE - 1.8 };
    for (const leaf of leaves) {
      const part = document.createDocumentFragment();
      drawThumbnail(leaf, `leaf-${leaf.column}-${leaf.row}`, square, part);
      leaf.element.firstElementChild?.after(part);
    }
  }
  const watcher = new IntersectionObserver((seen) => {
    if (seen.some((each) => each.isIntersecting)) drawThumbnails();
  }, { rootMargin: "800px" });
  watcher.observe(picture);

  // --- one leaf, large ---

  const card = document.createElement("div");
  card.className = "leaf-card";
  card.hidden = true;
  figure.append(card);

  /** @param {Leaf} leaf */
  function show(leaf) {
    if (shown === leaf) return;
    hide();
    shown = leaf;
    leaf.element.classList.add("shown");
    leaf.element.setAttribute("aria-selected", "true");
    const mount = document.createElement("div");
    mount.className = "mount square";
    const large = draw("svg", { viewBox: `0 0 ${BIG} ${BIG}`, width: BIG, height: BIG, "aria-hidden": "true" }, mount);
    drawThumbnail(leaf, "leaf-large", { width: BIG, height: BIG }, large);
    if (leaf.kind & 2) {
      const near = new Image();
      near.addEventListener("load", () => {
        if (shown === leaf) mount.replaceChildren(near);
      });
      near.alt = "";
      near.src = `${data.pictures}${leaf.name}.webp`;
    }
    const name = document.createElement("p");
    name.className = "leaf-name";
    name.textContent = tellName(leaf);
    const facts = tell(leaf).map((fact) => {
      const line = document.createElement("p");
      line.textContent = fact;
      return line;
    });
    card.replaceChildren(...(data.side || leaf.kind & 2 ? [mount] : []), name, ...facts);
    if (leaf.kind & 1) {
      const link = document.createElement("a");
      link.href = `${data.pages}${leaf.name}.html`;
      link.textContent = data.texts.open;
      link.tabIndex = -1;
      card.append(link);
    }
    card.hidden = false;
    place(leaf);
  }

  /** @param {Leaf} leaf */
  function place(leaf) {
    const frame = figure.getBoundingClientRect();
    const mark = leaf.element.getBoundingClientRect();
    const right = mark.right - frame.left + 2;
    const left = mark.left - frame.left - card.offsetWidth - 2;
    const isRoomRight = right + card.offsetWidth <= frame.width;
    const across = isRoomRight ? right : left >= 0 ? left : Math.max(0, (frame.width - card.offsetWidth) / 2);
    const isBeside = isRoomRight || left >= 0;
    let down = mark.top - frame.top + (isBeside ? 0 : mark.height + 2);
    if (!isBeside && down + card.offsetHeight > frame.height) down = mark.top - frame.top - card.offsetHeight - 2;
    card.style.left = `${across}px`;
    card.style.top = `${isBeside ? Math.max(0, Math.min(down, frame.height - card.offsetHeight)) : down}px`;
  }

  function hide() {
    shown?.element.classList.remove("shown");
    shown?.element.setAttribute("aria-selected", "false");
    shown = null;
    card.hidden = true;
  }

  // --- mouse, touch, keyboard ---

  /** @param {Event} event @returns {Leaf | undefined} */
  function findLeaf(event) {
    return leaves.find((leaf) => event.target instanceof Node && leaf.element.contains(event.target));
  }

  /** @param {Leaf} leaf @param {number} x @param {number} y @returns {Leaf} the nearest leaf that way, or itself */
  function step(leaf, x, y) {
    let best = leaf;
    let least = Infinity;
    for (const other of leaves) {
      const ahead = (other.column - leaf.column) * x + (other.row - leaf.row) * y;
      const aside = Math.abs((other.column - leaf.column) * y) + Math.abs((other.row - leaf.row) * x);
      if (ahead > 0 && ahead + 3 * aside < least) [best, least] = [other, ahead + 3 * aside];
    }
    return best;
  }

  /** @param {Leaf} leaf */
  function go(leaf) {
    current.element.setAttribute("tabindex", "-1");
    current = leaf;
    leaf.element.setAttribute("tabindex", "0");
    leaf.element.focus();
    show(leaf);
  }

  /** @type {{[key: string]: [number, number]}} */
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  picture.addEventListener("keydown", (event) => {
    const leaf = findLeaf(event);
    if (!leaf) return;
    const way = ways[event.key];
    if (way) go(step(leaf, ...way));
    else if (event.key === "Home") go(leaves[0]);
    else if (event.key === "End") go(leaves[leaves.length - 1]);
    else if ((event.key === "Enter" || event.key === " ") && leaf.kind & 1) location.href = `${data.pages}${leaf.name}.html`;
    else return;
    event.preventDefault();
  });
  picture.addEventListener("focusin", (event) => {
    const leaf = findLeaf(event);
    if (leaf && leaf.element.matches(":focus-visible")) show(leaf);
  });
  // What was put away does not come back until the mouse moves: the leaf that then lies under it was not asked for.
  let [mouseX, mouseY] = [-1, -1];
  let isDismissed = false;
  figure.addEventListener("pointermove", (event) => {
    if (event.clientX !== mouseX || event.clientY !== mouseY) isDismissed = false;
    [mouseX, mouseY] = [event.clientX, event.clientY];
  });
  for (const kind of /** @type {const} */ (["pointerover", "pointermove"])) {
    picture.addEventListener(kind, (event) => {
      const isThere = event.clientX === mouseX && event.clientY === mouseY;
      const leaf = findLeaf(event);
      if (leaf && event.pointerType === "mouse" && !(isDismissed && isThere)) show(leaf);
    });
  }
  picture.addEventListener("click", (event) => {
    const leaf = findLeaf(event);
    if (leaf) go(leaf);
  });
  figure.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse" && document.activeElement !== shown?.element) hide();
  });
  figure.addEventListener("focusout", (event) => {
    if (!(event.relatedTarget instanceof Node) || !figure.contains(event.relatedTarget)) hide();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !shown) return;
    isDismissed = true;
    hide();
  });
  document.addEventListener("pointerdown", (event) => {
    if (shown && event.target instanceof Node && !figure.contains(event.target)) hide();
  });
})();

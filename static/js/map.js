// @ts-check
// The map of concepts and families on a canvas: words of places first, dots second, pictures when near. It is drawn
// anew only when something changed. The list beside it holds what is in view, so that keyboard and screen reader miss
// nothing; the address holds the view. One finger scrolls the page and two move the map, unless the reader asks for one.
"use strict";
(function () {
  /**
   * One of the two maps: its points as columns, the names of its places, a grid to find points by.
   * @typedef {object} Layer
   * @property {string} kind
   * @property {number} count
   * @property {Float32Array} xs
   * @property {Float32Array} ys
   * @property {Uint8Array} hollow
   * @property {Int32Array} owner row of the family
   * @property {string[]} titles
   * @property {string[]} hrefs
   * @property {string[]} thumbs
   * @property {string[]} terms what a name is looked for in; empty until one is
   * @property {number[]} shares thousandths; -1 where there is none
   * @property {Float32Array} room distance to the nearest point that shows its picture first
   * @property {Int32Array} order
   * @property {Int32Array} head first point of each cell of the grid
   * @property {Int32Array} next the next in the same cell
   * @property {number} side cells a side
   * @property {{text: string, x: number, y: number, owner: number, spots: number[], width: number, from: number}[]} places names; the points each may stand above, nearest first, its width in px, px a unit from which it finds room
   * @property {Path2D | null} contours
   * @property {{left: number, top: number, right: number, bottom: number}} box
   * @property {Uint8Array} fits what the filters leave
   * @property {number} nFitting
   */

  const found = document.getElementById("map-page");
  const sheet = document.getElementById("map");
  const holder = document.getElementById("map-frame");
  const listed = document.getElementById("map-list");
  const cardBox = document.getElementById("map-card");
  const chooser = document.getElementById("map-family");
  const namer = document.getElementById("map-name");
  if (!found || !(sheet instanceof HTMLCanvasElement) || !holder || !listed || !cardBox) return;
  if (!(chooser instanceof HTMLSelectElement) || !(namer instanceof HTMLInputElement)) return;
  const context = sheet.getContext("2d");
  if (!context) return;
  const page = found, canvas = sheet, frame = holder, list = listed, card = cardBox, ink = context;
  const familyChoice = chooser, nameField = namer;
  const counter = page.querySelector("[data-count]");
  /** @type {{[key: string]: string}} */
  const said = JSON.parse(page.dataset.said || "{}");
  const root = document.documentElement.dataset.root || "";
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const beside = matchMedia("(min-width: 861px)"); // the list stands beside the map
  const SPAN = 10000; // units of a place, as view_map.py writes it
  const LARGEST = 104; // px, a picture at its largest
  const KEPT = 240; // pictures kept in memory
  const MOST_LISTED = 240; // entries of the list beside the map
  const MOST_BELOW = 60; // and of the list below it, on a narrow screen
  const MOST_PICTURED = 40; // entries that the list shows with pictures

  // --- data ----------------------------------------------------------------------------------------------------

  /** @type {[string, string, string, number, number, number, number, number, string][]} */
  const families = LEAFLINEAGE_MAP.families;
  /** @type {[number, number, string, number, number, number, string, number][]} */
  const concepts = LEAFLINEAGE_MAP.concepts;

  /** @param {string} text */
  function fold(text) {
    return text.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
  }

  /** @param {number} n */
  function count(n) {
    return String(n).replace(/\B(?=(\d{3})+$)/g, ",");
  }

  /** @param {string} path */
  function encode(path) {
    return root + path.split("/").map(encodeURIComponent).join("/");
  }

  /** @param {string} slug @param {string} thumb */
  function pictureOf(slug, thumb) {
    if (!thumb) return "";
    return encode(thumb.startsWith("/") ? thumb.slice(1) : "media/families/" + slug + "/visualizations/" + thumb);
  }

  /** @param {string} kind @param {number} count @returns {Layer} */
  function makeLayer(kind, count) {
    return {
      kind, count, xs: new Float32Array(count), ys: new Float32Array(count), hollow: new Uint8Array(count),
      owner: new Int32Array(count), titles: [], hrefs: [], thumbs: [], terms: [], shares: [],
      room: new Float32Array(count).fill(9), order: new Int32Array(count), head: new Int32Array(0),
      next: new Int32Array(count).fill(-1), side: 1, places: [], contours: null,
      box: { left: 1, top: 1, right: 0, bottom: 0 }, fits: new Uint8Array(count).fill(1), nFitting: count,
    };
  }

  /** @param {Layer} of @param {number} i @param {{x: number, y: number}} place */
  function far(of, i, place) {
    return Math.hypot(of.xs[i] - place.x, of.ys[i] - place.y);
  }

  function makeConcepts() {
    const layer = makeLayer("concepts", concepts.length);
    /** @type {number[][]} */
    const own = families.map(() => []);
    concepts.forEach(([row, number, name, x, y, hollow, thumb, share], i) => {
      const slug = families[row][0];
      layer.xs[i] = x / SPAN;
      layer.ys[i] = y / SPAN;
      layer.hollow[i] = hollow;
      layer.owner[i] = row;
      own[row].push(i);
      layer.titles.push(name || said.concept.replace("{number}", String(number)));
      layer.hrefs.push(encode("families/" + slug + "/concept-" + String(number).padStart(2, "0") + ".html"));
      layer.thumbs.push(pictureOf(slug, thumb));
      layer.shares.push(share);
    });
    families.forEach(([, name, , , , x, y], row) => {
      if (x < 0) return;
      const place = { text: name, x: x / SPAN, y: y / SPAN, owner: row, spots: own[row], width: 0, from: 0 };
      const apart = (/** @type {number} */ i) => (layer.xs[i] - place.x) ** 2 + (layer.ys[i] - place.y) ** 2;
      own[row].sort((a, b) => apart(a) - apart(b) || a - b);
      layer.places.push(place);
    });
    layer.places.sort((a, b) => families[a.owner][7] - families[b.owner][7] || a.owner - b.owner);
    return finish(layer);
  }

  function makeFamilies() {
    const placed = families.map((_, row) => row).filter((row) => families[row][3] >= 0);
    const layer = makeLayer("families", placed.length);
    placed.forEach((row, i) => {
      const [slug, name, , x, y, , , , thumb] = families[row];
      layer.xs[i] = x / SPAN;
      layer.ys[i] = y / SPAN;
      layer.owner[i] = row;
      layer.titles.push(name);
      layer.hrefs.push(encode("families/" + slug + "/index.html"));
      layer.thumbs.push(pictureOf(slug, thumb));
      layer.shares.push(-1);
      layer.places.push({ text: name, x: x / SPAN, y: y / SPAN, owner: row, spots: [i], width: 0, from: 0 });
    });
    return finish(layer);
  }

  /** Give a layer its box, its grid, and each point the room its picture has. @param {Layer} layer */
  function finish(layer) {
    const { xs, ys, count, box } = layer;
    for (let i = 0; i < count; i += 1) {
      box.left = Math.min(box.left, xs[i]);
      box.right = Math.max(box.right, xs[i]);
      box.top = Math.min(box.top, ys[i]);
      box.bottom = Math.max(box.bottom, ys[i]);
    }
    layer.side = Math.max(1, Math.ceil(Math.sqrt(count) / 2));
    layer.head = new Int32Array(layer.side * layer.side).fill(-1);
    const order = [...layer.order.keys()].sort((a, b) => layer.shares[b] - layer.shares[a] || a - b);
    layer.order.set(order);
    for (const i of order) {
      seek(layer, xs[i], ys[i], (j, near) => {
        if (j >= 0) layer.room[i] = Math.min(layer.room[i], Math.max(Math.abs(xs[i] - xs[j]), Math.abs(ys[i] - ys[j])));
        return layer.room[i] <= near;
      });
      const cell = cellOf(layer, xs[i], ys[i]);
      layer.next[i] = layer.head[cell];
      layer.head[cell] = i;
    }
    return layer;
  }

  /** @param {Layer} layer @param {number} x @param {number} y */
  function cellOf(layer, x, y) {
    const column = Math.min(layer.side - 1, Math.max(0, Math.floor(x * layer.side)));
    const row = Math.min(layer.side - 1, Math.max(0, Math.floor(y * layer.side)));
    return row * layer.side + column;
  }

  /** Visit the points around a place, ring of cells after ring, and -1 after each; ``visit`` is told the distance within
   * which it has seen all, and ends the search by returning true.
   * @param {Layer} layer @param {number} x @param {number} y @param {(i: number, near: number) => boolean} visit */
  function seek(layer, x, y, visit) {
    const { side, head, next } = layer;
    const middle = cellOf(layer, x, y), column = middle % side, row = (middle - column) / side;
    let done = false;
    for (let ring = 0; ring < side && !done; ring += 1) {
      const near = (ring - 1) / side;
      for (let v = row - ring; v <= row + ring; v += 1) {
        if (v < 0 || v >= side) continue;
        const step = v === row - ring || v === row + ring ? 1 : Math.max(1, 2 * ring);
        for (let u = column - ring; u <= column + ring; u += step) {
          if (u < 0 || u >= side) continue;
          for (let i = head[v * side + u]; i >= 0; i = next[i]) done = visit(i, near) || done;
        }
      }
      if (!done && ring > 0) done = visit(-1, near);
    }
  }

  // --- view ----------------------------------------------------------------------------------------------------

  /** @type {{[kind: string]: Layer}} */
  const layers = {};
  if (concepts.length) layers.concepts = makeConcepts();
  if (families.some((family) => family[3] >= 0)) layers.families = makeFamilies();
  let layer = layers.concepts || layers.families;
  let width = 0, height = 0, density = 1;
  const view = { x: 0.5, y: 0.5, k: 1 }; // the middle, and px a unit
  let chosenFamily = -1;
  let picked = -1; // what the card tells of
  let crossed = false; // whether the cross is shown: the canvas has the keyboard
  let asked = false;
  let contouring = false;
  /** @type {{from: {x: number, y: number, k: number}, to: {x: number, y: number, k: number}, start: number} | null} */
  let glide = null;

  const colours = { ground: "", dot: "", ink: "", second: "", rule: "", serif: "", plain: "" };
  function readColours() {
    const style = getComputedStyle(frame);
    colours.ground = style.getPropertyValue("--mount").trim();
    colours.dot = style.getPropertyValue("--map-dot").trim();
    colours.ink = style.getPropertyValue("--map-ink").trim();
    colours.second = style.getPropertyValue("--map-second").trim();
    colours.rule = style.getPropertyValue("--map-rule").trim();
    colours.serif = style.getPropertyValue("--serif").trim();
    colours.plain = style.getPropertyValue("--plain").trim();
    sprites.clear();
  }

  /** @param {{left: number, top: number, right: number, bottom: number}} box */
  function frameOf(box) {
    const wide = Math.max(box.right - box.left, 0.02), high = Math.max(box.bottom - box.top, 0.02);
    // Of a few that were chosen pictures are shown, and need more room.
    const air = box === layer.box ? Math.min(72, width * 0.1) : Math.min(110, width * 0.17);
    return {
      x: (box.left + box.right) / 2, y: (box.top + box.bottom) / 2,
      k: Math.min((width - 2 * air) / wide, (height - 2 * air) / high),
    };
  }

  function whole() {
    return frameOf(layer.box).k;
  }

  function nearest() {
    return whole() * Math.min(200, Math.max(8, Math.sqrt(layer.count) * 2));
  }

  /** @param {{x: number, y: number, k: number}} to */
  function hold(to) {
    to.k = Math.min(nearest(), Math.max(whole() * 0.8, to.k));
    to.x = Math.min(layer.box.right, Math.max(layer.box.left, to.x));
    to.y = Math.min(layer.box.bottom, Math.max(layer.box.top, to.y));
    return to;
  }

  /** Go somewhere, gliding where the reader allows motion. @param {{x: number, y: number, k: number}} to @param {boolean} [gently] */
  function go(to, gently) {
    hold(to);
    if (gently && !calm.matches) {
      const from = glide ? glide.to : view;
      if (from.x === to.x && from.y === to.y && from.k === to.k) return;
      glide = { from: { ...view }, to, start: -1 };
    } else {
      glide = null;
      Object.assign(view, to);
      settle();
    }
    ask();
  }

  function target() {
    return { ...(glide ? glide.to : view) };
  }

  /** @param {number} factor @param {number} [px] @param {number} [py] @param {boolean} [gently] */
  function zoom(factor, px, py, gently) {
    const to = target(), k = hold({ ...to, k: to.k * factor }).k;
    const dx = (px === undefined ? width / 2 : px) - width / 2, dy = (py === undefined ? height / 2 : py) - height / 2;
    to.x += dx / to.k - dx / k;
    to.y += dy / to.k - dy / k;
    to.k = k;
    go(to, gently);
  }

  /** @param {number} dx px @param {number} dy px @param {boolean} [gently] */
  function pan(dx, dy, gently) {
    const to = target();
    to.x += dx / to.k;
    to.y += dy / to.k;
    go(to, gently);
  }

  function showAll() {
    go(frameOf(chosenFamily >= 0 ? boxOfFitting() : layer.box), true);
  }

  /** @param {number} i */
  function screenX(i) {
    return (layer.xs[i] - view.x) * view.k + width / 2;
  }

  /** @param {number} i */
  function screenY(i) {
    return (layer.ys[i] - view.y) * view.k + height / 2;
  }

  // --- pictures ------------------------------------------------------------------------------------------------

  /** @type {Map<string, HTMLCanvasElement | null>} */
  const pictures = new Map(); // null: on its way, or not to be had

  /** @param {string} address @returns {HTMLCanvasElement | null} */
  function pictureAt(address) {
    const kept = pictures.get(address);
    if (kept !== undefined) {
      pictures.delete(address); // the last used stands last
      pictures.set(address, kept);
      return kept;
    }
    pictures.set(address, null);
    const image = new Image();
    image.src = address;
    image.decode().then(() => {
      const copy = document.createElement("canvas"), side = Math.round(LARGEST * density);
      copy.width = copy.height = side;
      const pen = copy.getContext("2d");
      if (!pen) return;
      const scale = side / Math.max(image.naturalWidth, image.naturalHeight);
      const w = image.naturalWidth * scale, h = image.naturalHeight * scale;
      pen.imageSmoothingQuality = "high";
      pen.drawImage(image, (side - w) / 2, (side - h) / 2, w, h);
      pictures.set(address, copy);
      for (const old of pictures.keys()) {
        if (pictures.size <= KEPT) break;
        pictures.delete(old);
      }
      ask();
    }, () => {});
    return null;
  }

  /** Side of a picture on the map at this zoom; 0 while all are dots. */
  function sizeOfPictures() {
    const least = width < 600 ? 40 : 52;
    const wide = (layer.box.right - layer.box.left) * view.k, high = (layer.box.bottom - layer.box.top) * view.k;
    const from = Math.sqrt((layer.count * least * least) / (2.6 * Math.max(1, wide * high)));
    return from > 1 ? 0 : Math.min(LARGEST, least * Math.pow(1 / Math.max(from, 0.001), 0.4));
  }

  // --- drawing -------------------------------------------------------------------------------------------------

  function ask() {
    if (asked) return;
    asked = true;
    requestAnimationFrame(draw);
  }

  /** @type {Map<string, HTMLCanvasElement>} */
  const sprites = new Map();

  /** A dot drawn once. @param {number} radius @param {boolean} hollow @param {boolean} faint */
  function dotOf(radius, hollow, faint) {
    const name = radius + (hollow ? "o" : "") + (faint ? "f" : "");
    const kept = sprites.get(name);
    if (kept) return kept;
    const dot = document.createElement("canvas"), side = Math.ceil((radius + 2) * 2 * density);
    dot.width = dot.height = side;
    const pen = dot.getContext("2d");
    if (pen) {
      pen.scale(density, density);
      pen.globalAlpha = faint ? 0.2 : 1;
      pen.beginPath();
      pen.arc(side / density / 2, side / density / 2, hollow ? radius - 0.2 : radius, 0, 2 * Math.PI);
      pen.fillStyle = hollow ? colours.ground : colours.dot;
      pen.fill();
      if (hollow) {
        pen.lineWidth = 1.3;
        pen.strokeStyle = colours.dot;
        pen.stroke();
      }
    }
    sprites.set(name, dot);
    return dot;
  }

  /** Trace lines of equal density, for the lie of the land, in steps. @param {Layer} of @returns {Generator<void, Path2D>} */
  function* traceContours(of) {
    const N = 144, reach = 0.05, land = new Float32Array(N * N);
    const { left, top, right, bottom } = of.box;
    const pad = 0.16, extent = Math.max(right - left, bottom - top, 0.02) * (1 + 2 * pad);
    const x0 = (left + right) / 2 - extent / 2, y0 = (top + bottom) / 2 - extent / 2;
    const cells = Math.ceil(reach * 2.6 * N), across = new Float32Array(N);
    for (let i = 0; i < of.count; i += 1) {
      const u = ((of.xs[i] - x0) / extent) * (N - 1), v = ((of.ys[i] - y0) / extent) * (N - 1);
      const from = Math.max(0, Math.floor(u - cells)), to = Math.min(N - 1, Math.floor(u + cells));
      for (let column = from; column <= to; column += 1) across[column] = Math.exp(-1.4 * ((column - u) / (reach * N)) ** 2);
      for (let row = Math.max(0, Math.floor(v - cells)); row <= Math.min(N - 1, v + cells); row += 1) {
        const down = Math.exp(-1.4 * ((row - v) / (reach * N)) ** 2);
        for (let column = from; column <= to; column += 1) land[row * N + column] += down * across[column];
      }
    }
    const highest = land.reduce((most, value) => Math.max(most, value), 0);
    const path = new Path2D();
    for (const part of [0.06, 0.2, 0.4, 0.64]) {
      yield;
      const level = highest * part;
      for (let row = 0; row < N - 1; row += 1) {
        for (let column = 0; column < N - 1; column += 1) {
          const at = row * N + column;
          const first = land[at] < level;
          if (first === land[at + 1] < level && first === land[at + N + 1] < level && first === land[at + N] < level) continue;
          const corners = [land[at], land[at + 1], land[at + N + 1], land[at + N]];
          /** @type {[number, number][]} */
          const cuts = [];
          for (let side = 0; side < 4; side += 1) {
            const a = corners[side], b = corners[(side + 1) % 4];
            if (a < level === b < level) continue;
            const t = (level - a) / (b - a);
            if (side === 0) cuts.push([column + t, row]);
            else if (side === 1) cuts.push([column + 1, row + t]);
            else if (side === 2) cuts.push([column + 1 - t, row + 1]);
            else cuts.push([column, row + 1 - t]);
          }
          for (let n = 0; n + 1 < cuts.length; n += 2) {
            path.moveTo((cuts[n][0] / (N - 1)) * extent + x0, (cuts[n][1] / (N - 1)) * extent + y0);
            path.lineTo((cuts[n + 1][0] / (N - 1)) * extent + x0, (cuts[n + 1][1] / (N - 1)) * extent + y0);
          }
        }
      }
    }
    return path;
  }

  /** Find a layer's contours where nothing else is to be done, and draw them then. @param {Layer} of */
  function findContours(of) {
    if (contouring) return;
    contouring = true;
    const steps = traceContours(of), later = window.requestIdleCallback || setTimeout;
    later(function proceed() {
      const step = steps.next();
      if (!step.done) {
        later(proceed);
        return;
      }
      contouring = false;
      of.contours = step.value;
      ask();
    });
  }

  function measureNames() {
    ink.font = "italic 16px " + colours.serif;
    for (const each of Object.values(layers)) {
      each.places.forEach((place, i) => {
        place.width = ink.measureText(place.text).width + 14;
        place.from = 0;
        for (let j = 0; j < i; j += 1) {
          const other = each.places[j];
          const apart = Math.min(
            (place.width + other.width) / 2 / Math.max(1e-6, Math.abs(place.x - other.x)),
            24 / Math.max(1e-6, Math.abs(place.y - other.y)),
          );
          if (apart > place.from) place.from = apart;
        }
      });
    }
  }

  /** @param {number} now */
  function draw(now) {
    asked = false;
    if (glide) {
      if (glide.start < 0) glide.start = now;
      const part = Math.min(1, (now - glide.start) / 220), eased = 1 - (1 - part) ** 3;
      const { from, to } = glide;
      view.k = from.k * (to.k / from.k) ** eased;
      view.x = from.x + (to.x - from.x) * eased;
      view.y = from.y + (to.y - from.y) * eased;
      if (part === 1) {
        Object.assign(view, to);
        glide = null;
        settle();
      } else ask();
    }
    ink.setTransform(density, 0, 0, density, 0, 0);
    ink.fillStyle = colours.ground;
    ink.fillRect(0, 0, width, height);
    const size = sizeOfPictures();
    const filtered = layer.nFitting < layer.count;
    if (layer.kind === "concepts" && layer.count > 60 && view.k < whole() * 5) drawContours();
    drawDots(filtered, size);
    const names = placeNames(size, filtered);
    if (size) drawPictures(size, names);
    drawNames(names);
    if (picked >= 0) drawPick(size);
    if (crossed) drawCross();
  }

  function drawContours() {
    if (!layer.contours) {
      findContours(layer);
      return;
    }
    ink.save();
    ink.translate(width / 2 - view.x * view.k, height / 2 - view.y * view.k);
    ink.scale(view.k, view.k);
    ink.lineWidth = 1 / view.k;
    ink.strokeStyle = colours.rule;
    ink.stroke(layer.contours);
    ink.restore();
  }

  /** @type {{canvas: HTMLCanvasElement, image: ImageData, pixels: Uint32Array} | null} */
  let plate = null;

  /** A sheet of pixels as large as the canvas, empty. Thousands of dots are set into it faster than drawn one by one. */
  function clearPlate() {
    if (!plate || plate.image.width !== canvas.width || plate.image.height !== canvas.height) {
      const copy = document.createElement("canvas");
      copy.width = canvas.width;
      copy.height = canvas.height;
      const image = new ImageData(copy.width, copy.height);
      plate = { canvas: copy, image, pixels: new Uint32Array(image.data.buffer) };
    }
    plate.pixels.fill(0);
    return plate;
  }

  /** Set a dot into the sheet of pixels; where dots meet, the more solid pixel stays.
   * @param {Uint32Array} pixels @param {number} wide @param {number} high @param {Uint32Array} stamp @param {number} side @param {number} left @param {number} top */
  function set(pixels, wide, high, stamp, side, left, top) {
    for (let row = 0; row < side; row += 1) {
      const y = top + row;
      if (y < 0 || y >= high) continue;
      for (let column = 0; column < side; column += 1) {
        const x = left + column, colour = stamp[row * side + column];
        if (x < 0 || x >= wide || colour >>> 24 <= pixels[y * wide + x] >>> 24) continue;
        pixels[y * wide + x] = colour;
      }
    }
  }

  /** @param {HTMLCanvasElement} dot */
  function stampOf(dot) {
    const pen = dot.getContext("2d");
    return pen ? new Uint32Array(pen.getImageData(0, 0, dot.width, dot.height).data.buffer) : new Uint32Array(0);
  }

  /** @param {boolean} filtered @param {number} size */
  function drawDots(filtered, size) {
    const { xs, ys, hollow, fits, room, count } = layer;
    const crowd = layer.count > 4000 ? 1.8 : layer.count > 600 ? 2.4 : 3.4;
    const radius = Math.round(Math.min(5, crowd + Math.max(0, Math.log2(view.k / whole()) * 0.7)) * 4) / 4;
    const half = radius + 2, side = half * 2;
    const left = width / 2 - view.x * view.k, top = height / 2 - view.y * view.k, k = view.k;
    const sheet = count > 4000 ? clearPlate() : null;
    for (let turn = filtered ? 0 : 1; turn < 2; turn += 1) {
      for (let what = 0; what < 2; what += 1) {
        const dot = dotOf(radius, what === 1, turn === 0), stamp = sheet ? stampOf(dot) : null;
        for (let i = 0; i < count; i += 1) {
          if (hollow[i] !== what || fits[i] !== turn) continue;
          const x = xs[i] * k + left, y = ys[i] * k + top;
          if (x < -half || y < -half || x > width + half || y > height + half) continue;
          if (size && turn === 1 && room[i] * k >= size * 1.06 && layer.thumbs[i]) continue;
          if (sheet && stamp) {
            const u = Math.round((x - half) * density), v = Math.round((y - half) * density);
            set(sheet.pixels, canvas.width, canvas.height, stamp, dot.width, u, v);
          } else ink.drawImage(dot, x - half, y - half, side, side);
        }
      }
    }
    if (!sheet) return;
    sheet.canvas.getContext("2d")?.putImageData(sheet.image, 0, 0);
    ink.drawImage(sheet.canvas, 0, 0, width, height);
  }

  /** Whether a point shows its picture at this size. @param {number} i @param {number} size */
  function isPictured(i, size) {
    return size > 0 && layer.fits[i] === 1 && layer.room[i] * view.k >= size * 1.06 && layer.thumbs[i] !== "";
  }

  /**
   * Draw pictures, and under each what it is where there is room for that.
   * @param {number} size
   * @param {Name[]} names
   */
  function drawPictures(size, names) {
    const half = size / 2;
    ink.textAlign = "center";
    ink.textBaseline = "top";
    ink.lineJoin = "round";
    ink.font = "13px " + colours.plain;
    for (let n = layer.count - 1; n >= 0; n -= 1) {
      const i = layer.order[n], x = screenX(i), y = screenY(i);
      if (x < -half || y < -half || x > width + half || y > height + half + 20 || !isPictured(i, size)) continue;
      const picture = pictureAt(layer.thumbs[i]);
      ink.fillStyle = colours.ground;
      ink.fillRect(x - half, y - half, size, size);
      if (picture) {
        ink.globalCompositeOperation = "multiply";
        ink.drawImage(picture, x - half, y - half, size, size);
        ink.globalCompositeOperation = "source-over";
      }
      ink.strokeStyle = layer.hollow[i] ? colours.second : colours.rule;
      ink.lineWidth = 1;
      if (layer.hollow[i]) ink.setLineDash([4, 3]);
      ink.strokeRect(Math.round(x - half) + 0.5, Math.round(y - half) + 0.5, Math.round(size) - 1, Math.round(size) - 1);
      ink.setLineDash([]);
      if (layer.kind === "concepts" && layer.room[i] * view.k > size + 30) {
        const text = families[layer.owner[i]][1] + " · " + layer.titles[i];
        const wide = ink.measureText(text).width, middle = y + half + 11;
        const free = names.every((name) => Math.abs(name.y - middle) > 17 || Math.abs(name.x - x) * 2 > name.wide + wide + 8);
        if (free && wide < layer.room[i] * view.k - 10 && x - wide / 2 > 4 && x + wide / 2 < width - 4) {
          ink.strokeStyle = colours.ground;
          ink.lineWidth = 4;
          ink.strokeText(text, x, y + half + 4);
          ink.fillStyle = colours.second;
          ink.fillText(text, x, y + half + 4);
        }
      }
    }
  }

  /** @typedef {{ text: string, x: number, y: number, wide: number }} Name */

  /**
   * The names of families that are seen, and where, pixels.
   * @param {number} size
   * @param {boolean} filtered
   * @returns {Name[]}
   */
  function placeNames(size, filtered) {
    /** @type {Name[]} */
    const names = [];
    const above = layer.kind === "families" ? 15 : 0;
    for (const place of layer.places) {
      const own = place.owner === chosenFamily;
      if (!own && (view.k < place.from || (filtered && layer.kind === "concepts"))) continue;
      // Above the family's nearest picture, where one is so near that the name would lie on it.
      const spot = size ? place.spots.find((i) => isPictured(i, size) && far(layer, i, place) * view.k < size) : undefined;
      const at = spot === undefined ? place : { x: layer.xs[spot], y: layer.ys[spot] };
      const lift = spot === undefined ? above : size / 2 + 12;
      const x = (at.x - view.x) * view.k + width / 2, y = (at.y - view.y) * view.k + height / 2 - lift;
      if (x < -place.width || y < -20 || x > width + place.width || y > height + 20) continue;
      names.push({ text: place.text, x, y, wide: place.width });
    }
    return names;
  }

  /** @param {Name[]} names */
  function drawNames(names) {
    ink.textAlign = "center";
    ink.textBaseline = "middle";
    ink.lineJoin = "round";
    ink.lineWidth = 4;
    ink.font = "italic 16px " + colours.serif;
    ink.strokeStyle = colours.ground;
    ink.fillStyle = colours.ink;
    for (const { text, x, y } of names) {
      ink.strokeText(text, x, y);
      ink.fillText(text, x, y);
    }
  }

  /** @param {number} size */
  function drawPick(size) {
    const x = screenX(picked), y = screenY(picked), half = isPictured(picked, size) ? size / 2 + 2 : 9;
    ink.strokeStyle = colours.dot;
    ink.lineWidth = 2;
    ink.strokeRect(x - half, y - half, half * 2, half * 2);
  }

  function drawCross() {
    const x = Math.round(width / 2) + 0.5, y = Math.round(height / 2) + 0.5;
    for (const [colour, wide] of /** @type {[string, number][]} */ ([[colours.ground, 4], [colours.ink, 1.5]])) {
      ink.strokeStyle = colour;
      ink.lineWidth = wide;
      ink.beginPath();
      for (const [a, b] of [[-16, -5], [5, 16]]) {
        ink.moveTo(x + a, y);
        ink.lineTo(x + b, y);
        ink.moveTo(x, y + a);
        ink.lineTo(x, y + b);
      }
      ink.stroke();
    }
  }

  // --- what is there -------------------------------------------------------------------------------------------

  /** @param {number} px @param {number} py @param {number} reach px @returns {number} */
  function hit(px, py, reach) {
    const size = sizeOfPictures();
    const x = (px - width / 2) / view.k + view.x, y = (py - height / 2) / view.k + view.y;
    let best = -1, least = Infinity;
    const limit = Math.max(reach, size / 2) / view.k;
    seek(layer, x, y, (i, near) => {
      if (i >= 0 && layer.fits[i]) {
        const dx = Math.abs(layer.xs[i] - x), dy = Math.abs(layer.ys[i] - y);
        const within = isPictured(i, size) ? Math.max(dx, dy) * view.k <= size / 2 : Math.hypot(dx, dy) * view.k <= reach;
        const far = Math.hypot(dx, dy);
        if (within && far < least) {
          best = i;
          least = far;
        }
      }
      return near > limit;
    });
    return best;
  }

  /** @param {string} tag @param {string} kind @param {string} text */
  function make(tag, kind, text) {
    const element = document.createElement(tag);
    if (kind) element.className = kind;
    element.textContent = text;
    return element;
  }

  /** A picture of a point whose name stands beside it. @param {number} i @param {number} side */
  function makeImage(i, side) {
    const image = document.createElement("img");
    image.alt = "";
    image.width = image.height = side;
    image.loading = "lazy";
    image.decoding = "async";
    image.src = layer.thumbs[i];
    return image;
  }

  /** @param {number} i */
  function pick(i) {
    if (i === picked) return;
    picked = i;
    ask();
    card.replaceChildren();
    card.hidden = i < 0;
    if (i < 0) return;
    if (layer.thumbs[i]) card.append(makeImage(i, 84));
    const text = document.createElement("div"), first = make("p", "", "");
    const link = /** @type {HTMLAnchorElement} */ (make("a", "", layer.titles[i]));
    link.href = layer.hrefs[i];
    first.append(link);
    text.append(first);
    if (layer.kind === "concepts") {
      const share = layer.shares[i] < 10 ? said.under_one : said.percent.replace("{n}", String(Math.round(layer.shares[i] / 10)));
      const whose = make("p", "", families[layer.owner[i]][1]);
      whose.lang = "la";
      text.append(whose, make("p", "note", said.share.replace("{share}", share) + (layer.hollow[i] ? " · " + said.unstable : "")));
    } else {
      link.lang = "la";
      text.append(make("p", "note", families[layer.owner[i]][2]));
    }
    card.append(text);
  }

  /** @returns {number[]} */
  function listView() {
    const seen = [];
    for (let i = 0; i < layer.count; i += 1) {
      if (!layer.fits[i]) continue;
      const x = screenX(i), y = screenY(i);
      if (x >= 0 && y >= 0 && x <= width && y <= height) seen.push(i);
    }
    return seen;
  }

  function writeList() {
    const seen = listView();
    if (counter) {
      counter.textContent = said.counted.replace("{n}", count(seen.length)).replace("{all}", count(layer.count));
    }
    const near = seen.length <= MOST_PICTURED;
    list.classList.toggle("near", near);
    const items = [];
    let row = -1;
    /** @type {HTMLElement | null} */
    let inner = null;
    const most = beside.matches ? MOST_LISTED : MOST_BELOW;
    for (const i of seen.slice(0, most)) {
      if (layer.owner[i] !== row) {
        row = layer.owner[i];
        const item = document.createElement("li");
        const whose = /** @type {HTMLAnchorElement} */ (make("a", "whose", families[row][1]));
        whose.lang = "la";
        whose.href = encode("families/" + families[row][0] + "/index.html");
        item.append(whose);
        inner = layer.kind === "concepts" ? document.createElement("ul") : null;
        if (inner) item.append(inner);
        else if (families[row][2]) item.append(" ", make("span", "second", families[row][2]));
        items.push(item);
      }
      if (!inner) continue;
      const item = document.createElement("li"), link = document.createElement("a");
      link.href = layer.hrefs[i];
      if (near) {
        const mount = make("div", "mount square", "");
        if (layer.thumbs[i]) mount.append(makeImage(i, 56));
        link.append(mount, make("span", "", layer.titles[i] + (layer.hollow[i] ? " (" + said.unstable + ")" : "")));
        item.append(link);
      } else {
        link.textContent = layer.titles[i];
        item.append(link);
        if (layer.hollow[i]) item.append(" ", make("span", "second", "(" + said.unstable + ")"));
      }
      inner.append(item);
    }
    if (seen.length > most) {
      items.push(make("li", "more", said.more.replace("{n}", count(seen.length - most))));
    }
    if (!seen.length) items.push(make("li", "none", layer.nFitting ? said.none : said.none_found));
    list.replaceChildren(...items);
  }

  // --- filters and address -------------------------------------------------------------------------------------

  function boxOfFitting() {
    const box = { left: 1, top: 1, right: 0, bottom: 0 };
    for (let i = 0; i < layer.count; i += 1) {
      if (!layer.fits[i]) continue;
      box.left = Math.min(box.left, layer.xs[i]);
      box.right = Math.max(box.right, layer.xs[i]);
      box.top = Math.min(box.top, layer.ys[i]);
      box.bottom = Math.max(box.bottom, layer.ys[i]);
    }
    return box.right < box.left ? layer.box : box;
  }

  function filter() {
    chosenFamily = families.findIndex((family) => family[0] === familyChoice.value);
    const wanted = fold(nameField.value).trim().split(/\s+/).filter(Boolean);
    if (wanted.length && !layer.terms.length) {
      const whose = layer.owner;
      layer.terms = layer.titles.map((title, i) => fold([title, families[whose[i]][1], families[whose[i]][2]].join(" ")));
    }
    layer.nFitting = 0;
    for (let i = 0; i < layer.count; i += 1) {
      const fits = (chosenFamily < 0 || layer.owner[i] === chosenFamily) && wanted.every((word) => layer.terms[i].includes(word));
      layer.fits[i] = fits ? 1 : 0;
      layer.nFitting += layer.fits[i];
    }
    pick(-1);
  }

  /** @param {string} kind */
  function choose(kind) {
    layer = layers[kind] || layer;
    for (const radio of /** @type {NodeListOf<HTMLInputElement>} */ (page.querySelectorAll("input[name=map-layer]"))) {
      radio.checked = radio.value === layer.kind;
    }
    filter();
  }

  function writeAddress() {
    const parts = [], whole_ = frameOf(layer.box);
    const moved = Math.abs(view.k / whole_.k - 1) > 0.001 || Math.abs(view.x - whole_.x) > 1e-4 || Math.abs(view.y - whole_.y) > 1e-4;
    if (layers.concepts && layer.kind === "families") parts.push("map=families");
    if (familyChoice.value) parts.push("family=" + encodeURIComponent(familyChoice.value));
    if (nameField.value.trim()) parts.push("name=" + encodeURIComponent(nameField.value.trim()));
    if (moved) parts.push("x=" + view.x.toFixed(4), "y=" + view.y.toFixed(4), "z=" + (view.k / whole_.k).toFixed(3));
    const hash = parts.length ? "#" + parts.join("&") : "";
    if (hash !== location.hash) history.replaceState(null, "", hash || location.pathname + location.search);
  }

  function readAddress() {
    const asked = new URLSearchParams(location.hash.slice(1));
    familyChoice.value = asked.get("family") || "";
    if (familyChoice.selectedIndex < 0) familyChoice.value = "";
    nameField.value = asked.get("name") || "";
    choose(asked.get("map") === "families" ? "families" : layers.concepts ? "concepts" : "families");
    const number = (/** @type {string} */ name) => Number(asked.get(name) || NaN);
    const x = number("x"), y = number("y"), z = number("z");
    if ([x, y, z].every(Number.isFinite)) go({ x, y, k: z * whole() });
    else go(frameOf(chosenFamily >= 0 ? boxOfFitting() : layer.box));
  }

  let timer = 0;
  /** Tell the list and the address, once the map has come to rest. */
  function settle() {
    clearTimeout(timer);
    timer = setTimeout(() => {
      writeList();
      writeAddress();
      tellLimits();
      if (crossed) pick(hit(width / 2, height / 2, 44));
    }, 140);
  }

  function tellLimits() {
    const limits = { in: view.k >= nearest() * 0.999, out: view.k <= whole() * 0.801 };
    for (const [way, reached] of Object.entries(limits)) {
      page.querySelector("[data-zoom=" + way + "]")?.setAttribute("aria-disabled", String(reached));
    }
  }

  // --- hands ---------------------------------------------------------------------------------------------------

  /** @param {{clientX: number, clientY: number}} event @returns {[number, number]} */
  function pointOf(event) {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  /** @type {[number, number] | null} */
  let held = null;
  let dragged = false;
  let hand = "mouse";
  canvas.addEventListener("pointerdown", (event) => {
    hand = event.pointerType;
    dragged = false;
    page.classList.toggle("touched", hand === "touch");
    if (hand === "touch" || event.button !== 0) return;
    held = pointOf(event);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    const [px, py] = pointOf(event);
    if (!held) {
      const i = hit(px, py, 12);
      canvas.classList.toggle("pointing", i >= 0);
      if (i >= 0 || !crossed) pick(i >= 0 ? i : picked);
      return;
    }
    if (!dragged && Math.hypot(px - held[0], py - held[1]) < 4) return;
    dragged = true;
    canvas.classList.add("holding");
    pan(held[0] - px, held[1] - py);
    held = [px, py];
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => {
      held = null;
      canvas.classList.remove("holding");
    });
  }
  canvas.addEventListener("click", (event) => {
    if (dragged) return;
    const [px, py] = pointOf(event), i = hit(px, py, hand === "touch" ? 24 : 12);
    if (hand === "touch" && i !== picked) pick(i);
    else if (i < 0) pick(-1);
    else if (event.ctrlKey || event.metaKey) window.open(layer.hrefs[i]);
    else location.href = layer.hrefs[i];
  });
  frame.addEventListener("pointerleave", (event) => {
    if (event.pointerType !== "touch" && !crossed) pick(-1);
  });

  // The wheel zooms, and scrolls the page where there is nothing further to zoom, or where the page was scrolling.
  let scrolled = -1e9;
  addEventListener("scroll", () => { scrolled = performance.now(); }, { passive: true });
  canvas.addEventListener("wheel", (event) => {
    if (performance.now() - scrolled < 260 && !event.ctrlKey) return;
    const unit = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? height : 1;
    const factor = Math.exp(-event.deltaY * unit * (event.ctrlKey ? 0.01 : 0.0016));
    const k = target().k, stuck = factor < 1 ? k <= whole() * 0.801 : k >= nearest() * 0.999;
    if (stuck && !event.ctrlKey) return;
    event.preventDefault();
    zoom(factor, ...pointOf(event));
  }, { passive: false });

  /** @type {{x: number, y: number, apart: number} | null} */
  let grip = null;
  const explore = page.querySelector("[data-explore]");
  /** @param {TouchEvent} event */
  function gripOf(event) {
    const [a, b] = [event.touches[0], event.touches[1] || event.touches[0]];
    const [px, py] = pointOf({ clientX: (a.clientX + b.clientX) / 2, clientY: (a.clientY + b.clientY) / 2 });
    return { x: px, y: py, apart: Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY) };
  }
  /** @param {TouchEvent} event */
  function regrip(event) {
    const mine = event.touches.length > 1 || (event.touches.length === 1 && canvas.classList.contains("exploring"));
    grip = mine ? gripOf(event) : null;
    if (mine && event.touches.length > 1 && event.cancelable) event.preventDefault();
  }
  canvas.addEventListener("touchstart", regrip, { passive: false });
  canvas.addEventListener("touchmove", (event) => {
    if (!grip) return;
    if (event.cancelable) event.preventDefault();
    const now = gripOf(event), before = grip;
    if (Math.hypot(now.x - before.x, now.y - before.y) + Math.abs(now.apart - before.apart) < 1) return;
    dragged = true;
    pan(before.x - now.x, before.y - now.y);
    if (before.apart > 0 && now.apart > 0) zoom(now.apart / before.apart, now.x, now.y);
    grip = now;
  }, { passive: false });
  canvas.addEventListener("touchend", regrip, { passive: false });
  canvas.addEventListener("touchcancel", () => { grip = null; });
  explore?.addEventListener("click", () => {
    const on = canvas.classList.toggle("exploring");
    explore.setAttribute("aria-pressed", String(on));
  });

  const WAYS = /** @type {{[way: string]: [number, number]}} */ ({ left: [-1, 0], right: [1, 0], up: [0, -1], down: [0, 1] });
  /** @param {string} way */
  function step(way) {
    pan(WAYS[way][0] * width * 0.22, WAYS[way][1] * height * 0.22, true);
  }
  page.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("button") : null;
    if (button?.dataset.pan) step(button.dataset.pan);
    else if (button?.dataset.zoom === "all") showAll();
    else if (button?.dataset.zoom) zoom(button.dataset.zoom === "in" ? 1.6 : 1 / 1.6, undefined, undefined, true);
  });
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = /^Arrow(Left|Right|Up|Down)$/.exec(event.key);
    if (arrow) step(arrow[1].toLowerCase());
    else if (event.key === "+" || event.key === "=") zoom(1.6, undefined, undefined, true);
    else if (event.key === "-" || event.key === "_") zoom(1 / 1.6, undefined, undefined, true);
    else if (event.key === "0" || event.key === "Home") showAll();
    else if (event.key === "Enter") {
      const i = hit(width / 2, height / 2, 44);
      if (i >= 0) location.href = layer.hrefs[i];
    } else return;
    event.preventDefault();
    crossed = true;
  });
  page.addEventListener("keydown", (event) => {
    if (event.key === "Escape") pick(-1);
  });
  canvas.addEventListener("focus", () => {
    crossed = canvas.matches(":focus-visible");
    if (crossed) pick(hit(width / 2, height / 2, 44));
    ask();
  });
  canvas.addEventListener("blur", () => {
    crossed = false;
    ask();
  });

  familyChoice.addEventListener("change", () => {
    filter();
    showAll();
    settle();
    ask();
  });
  nameField.addEventListener("input", () => {
    filter();
    settle();
    ask();
  });
  for (const radio of /** @type {NodeListOf<HTMLInputElement>} */ (page.querySelectorAll("input[name=map-layer]"))) {
    radio.addEventListener("change", () => {
      if (!radio.checked) return;
      choose(radio.value);
      go(frameOf(chosenFamily >= 0 ? boxOfFitting() : layer.box));
    });
  }
  // A link in the list shows where its concept lies.
  list.addEventListener("focusin", (event) => {
    const link = event.target;
    if (link instanceof HTMLAnchorElement) pick(layer.hrefs.indexOf(link.getAttribute("href") || ""));
  });
  list.addEventListener("pointerover", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (link) pick(layer.hrefs.indexOf(link.getAttribute("href") || ""));
  });
  addEventListener("hashchange", readAddress);

  // --- size, theme, start --------------------------------------------------------------------------------------

  function resize() {
    const box = frame.getBoundingClientRect();
    if (!box.width || !box.height) return;
    const z = width ? view.k / whole() : 0;
    width = box.width;
    height = box.height;
    density = Math.min(2, devicePixelRatio || 1);
    canvas.width = Math.round(width * density);
    canvas.height = Math.round(height * density);
    sprites.clear();
    if (z) go({ ...view, k: z * whole() });
    else readAddress();
    ask();
  }

  function recolour() {
    readColours();
    ask();
  }
  readColours();
  // A task of its own: on a slow processor finding the places has held the page up long enough.
  setTimeout(() => {
    measureNames();
    new ResizeObserver(resize).observe(frame);
  });
  new MutationObserver(recolour).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  document.fonts?.load("italic 16px \"LeafLineage Serif\"").then(() => {
    measureNames();
    ask();
  });
})();

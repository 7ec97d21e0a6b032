// @ts-check
// Pictures large, one after another: any link or button with data-lightbox, inside a group with data-gallery.
// In a group with data-gallery="all" every link around a picture is one. Without scripts the link leads where it leads.
"use strict";
(function () {
  const words = LEAFLINEAGE_WORDS;
  const FAR = 40; // px that a finger must go across for the next picture

  /**
   * @typedef {Object} View
   * @property {HTMLDialogElement} dialog
   * @property {HTMLElement} stage
   * @property {HTMLElement} caption
   * @property {HTMLElement} count
   * @property {HTMLButtonElement} previous
   * @property {HTMLButtonElement} next
   */

  /** @type {View | null} */
  let view = null;
  /** @type {HTMLElement[]} */
  let items = [];
  let place = 0;
  /** @type {HTMLElement | null} */
  let opener = null;

  /**
   * @template {keyof HTMLElementTagNameMap} K
   * @param {K} name
   * @param {string} className
   * @param {Element} parent
   * @returns {HTMLElementTagNameMap[K]}
   */
  function add(name, className, parent) {
    const element = document.createElement(name);
    element.className = className;
    parent.append(element);
    return element;
  }

  /**
   * @param {Element} parent
   * @param {string} className
   * @param {string} label
   * @param {string} sign
   * @param {() => void} act
   * @returns {HTMLButtonElement}
   */
  function addButton(parent, className, label, sign, act) {
    const button = add("button", className, parent);
    button.type = "button";
    button.setAttribute("aria-label", label);
    button.title = label;
    button.textContent = sign;
    button.addEventListener("click", act);
    return button;
  }

  /** @param {string} address @returns {boolean} */
  function isPicture(address) {
    return /\.(webp|png|jpe?g|svg)$/i.test(address.split(/[?#]/)[0]);
  }

  /** @param {Element | null} element @returns {boolean} */
  function isShown(element) {
    return element instanceof HTMLElement && element.getClientRects().length > 0;
  }

  /** @param {HTMLElement} item @returns {HTMLElement[]} */
  function listGroup(item) {
    const group = item.closest("[data-gallery]");
    if (!(group instanceof HTMLElement)) return [item];
    const wanted = group.dataset.gallery === "all" ? "a[href]:has(img), [data-lightbox]" : "[data-lightbox]";
    const found = /** @type {HTMLElement[]} */ ([...group.querySelectorAll(wanted)]);
    return found.filter(isShown);
  }

  /** @param {HTMLElement} item @returns {string} the address the item's picture is at, or "" */
  function findAddress(item) {
    const href = item instanceof HTMLAnchorElement ? item.href : item.dataset.lightbox || "";
    if (isPicture(href)) return href;
    const picture = item.querySelector("img");
    return picture ? picture.src : "";
  }

  /** @param {HTMLElement} item @returns {Element} what is laid on the stage: a leaf under its map, or a picture */
  function makePicture(item) {
    const stack = item.querySelector(".stack");
    const original = item.querySelector("img");
    if (stack instanceof HTMLElement && original) {
      const copy = /** @type {HTMLElement} */ (stack.cloneNode(true));
      for (const each of copy.querySelectorAll("img")) each.loading = "eager";
      const leaf = copy.querySelector("img");
      if (leaf) {
        leaf.removeAttribute("srcset");
        leaf.removeAttribute("sizes");
        leaf.src = findAddress(item);
      }
      copy.style.setProperty("--ratio", String(original.width / original.height || 1));
      return copy;
    }
    const picture = document.createElement("img");
    picture.src = findAddress(item);
    picture.alt = original ? original.alt : "";
    return picture;
  }

  /** @param {HTMLElement} item @returns {string} */
  function findCaption(item) {
    if (item.dataset.caption) return item.dataset.caption;
    const picture = item.querySelector("img");
    return picture ? picture.alt : item.textContent || "";
  }

  /** @param {number} step */
  function turn(step) {
    show((place + step + items.length) % items.length);
  }

  /** @param {number} wanted */
  function show(wanted) {
    if (!view) return;
    place = wanted;
    const item = items[place];
    view.stage.replaceChildren(makePicture(item));
    view.caption.textContent = findCaption(item);
    view.count.textContent = words.lightbox_count.replace("{n}", String(place + 1)).replace("{all}", String(items.length));
    for (const button of [view.previous, view.next]) button.hidden = items.length < 2;
    for (const step of [1, -1]) {
      const near = items[(place + step + items.length) % items.length];
      const wanted = [findAddress(near), ...[...near.querySelectorAll("img.heat, .heat image")].map((heat) => heat.getAttribute("src") || heat.getAttribute("href") || "")];
      for (const address of new Set(wanted)) new Image().src = address;
    }
  }

  /** @returns {View} */
  function make() {
    const dialog = add("dialog", "lightbox", document.body);
    dialog.setAttribute("aria-label", words.lightbox_label);
    const bar = add("div", "lightbox-bar", dialog);
    const count = add("p", "lightbox-count n", bar);
    count.setAttribute("aria-live", "polite");
    addButton(bar, "lightbox-close", words.lightbox_close, "×", () => dialog.close());
    const previous = addButton(dialog, "lightbox-previous", words.lightbox_previous, "←", () => turn(-1));
    const stage = add("div", "lightbox-stage", dialog);
    const next = addButton(dialog, "lightbox-next", words.lightbox_next, "→", () => turn(1));
    const caption = add("p", "lightbox-caption", dialog);

    dialog.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step && items.length > 1) turn(step);
      else if (event.key === "Home") show(0);
      else if (event.key === "End") show(items.length - 1);
      else return;
      event.preventDefault();
    });
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog || event.target === stage) dialog.close();
    });
    dialog.addEventListener("close", () => {
      stage.replaceChildren();
      opener?.focus();
    });
    /** @type {{x: number, y: number} | null} */
    let start = null;
    stage.addEventListener("touchstart", (event) => {
      const touch = event.touches[0];
      start = event.touches.length === 1 ? { x: touch.clientX, y: touch.clientY } : null;
    }, { passive: true });
    stage.addEventListener("touchend", (event) => {
      const touch = event.changedTouches[0];
      if (!start || items.length < 2) return;
      const across = touch.clientX - start.x;
      const down = touch.clientY - start.y;
      start = null;
      if (Math.abs(across) < FAR || Math.abs(across) < Math.abs(down)) return;
      turn(across < 0 ? 1 : -1);
    }, { passive: true });
    return { dialog, stage, caption, count, previous, next };
  }

  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    if (!(event.target instanceof Element)) return;
    const wanted = '[data-lightbox], [data-gallery="all"] a[href]:has(img)';
    const item = event.target.closest(wanted);
    if (!(item instanceof HTMLElement) || !findAddress(item)) return;
    event.preventDefault();
    view = view || make();
    opener = item;
    items = listGroup(item);
    show(Math.max(0, items.indexOf(item)));
    view.dialog.showModal();
  });
})();

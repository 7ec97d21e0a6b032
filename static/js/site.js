// @ts-check
// Small conveniences on every page: the theme switch, copy buttons, plates that open.
"use strict";
(function () {
  const words = LEAFLINEAGE_WORDS;
  const root = document.documentElement;

  /** @returns {boolean} */
  function isDark() {
    if (root.dataset.theme) return root.dataset.theme === "dark";
    return matchMedia("(prefers-color-scheme: dark)").matches;
  }

  /** @returns {SVGElement} a disc, half of it dark */
  function drawDisc() {
    const space = "http://www.w3.org/2000/svg";
    const disc = document.createElementNS(space, "svg");
    const ring = document.createElementNS(space, "circle"), half = document.createElementNS(space, "path");
    for (const [name, value] of [["aria-hidden", "true"], ["viewBox", "0 0 16 16"], ["width", "18"], ["height", "18"]]) disc.setAttribute(name, value);
    for (const [name, value] of [["class", "ring"], ["cx", "8"], ["cy", "8"], ["r", "6.2"]]) ring.setAttribute(name, value);
    half.setAttribute("d", "M8 1.8a6.2 6.2 0 0 1 0 12.4z");
    disc.append(ring, half);
    return disc;
  }

  for (const button of /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("button.theme"))) {
    button.title = button.ariaLabel || "";
    button.append(drawDisc());
    button.addEventListener("click", () => {
      const next = isDark() ? "light" : "dark";
      root.dataset.theme = next;
      try {
        localStorage.setItem("leaflineage-theme", next);
      } catch {
        // Not remembered; the page still changes.
      }
    });
  }

  /** @param {string} text */
  function say(text) {
    for (const status of document.querySelectorAll("[data-copied]")) status.textContent = text;
  }

  for (const button of /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("button[data-copy]"))) {
    button.addEventListener("click", async () => {
      const sources = (button.dataset.copy || "").split(" ").map((id) => document.getElementById(id)).filter((each) => each !== null);
      if (!sources.length) return;
      const label = button.textContent;
      try {
        await navigator.clipboard.writeText(sources.map((each) => each.textContent).join("\n\n") + "\n");
        button.textContent = words.copied;
        say(words.copied);
      } catch {
        for (const each of sources) {
          const folded = each.closest("details");
          if (folded) folded.open = true;
        }
        getSelection()?.selectAllChildren(sources[0]);
        say(words.not_copied);
      }
      setTimeout(() => { button.textContent = label; }, 2000);
    });
  }

  const plates = /** @type {NodeListOf<HTMLDetailsElement>} */ (document.querySelectorAll("details.concept"));
  for (const plate of plates) {
    plate.addEventListener("toggle", () => {
      if (!plate.open) return;
      for (const other of plates) if (other !== plate) other.open = false;
      plate.querySelector("summary")?.scrollIntoView({ block: "nearest" });
    });
    plate.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !plate.open) return;
      plate.open = false;
      plate.querySelector("summary")?.focus();
    });
  }
  function openFromAddress() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) {
      target.open = true;
      target.querySelector("summary")?.scrollIntoView({ block: "start" });
    }
  }
  addEventListener("hashchange", openFromAddress);
  openFromAddress();
})();

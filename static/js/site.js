// @ts-check
// Small conveniences: the theme switch, copy buttons, a random family, the filter of families, plates that open.
"use strict";
(function () {
  /** @type {{[key: string]: string}} */
  // @ts-ignore: defined by assets/words.js
  const words = LEAFLINEAGE_WORDS;
  const root = document.documentElement;

  /** @returns {boolean} */
  function isDark() {
    if (root.dataset.theme) return root.dataset.theme === "dark";
    return matchMedia("(prefers-color-scheme: dark)").matches;
  }

  for (const button of document.querySelectorAll("button.theme")) {
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
      const source = document.getElementById(button.dataset.copy || "");
      if (!source) return;
      const label = button.textContent;
      try {
        await navigator.clipboard.writeText(source.textContent || "");
        button.textContent = words.copied;
        say(words.copied);
      } catch {
        source.hidden = false;
        getSelection()?.selectAllChildren(source);
        say(words.not_copied);
      }
      setTimeout(() => { button.textContent = label; }, 2000);
    });
  }

  for (const link of /** @type {NodeListOf<HTMLAnchorElement>} */ (document.querySelectorAll("a[data-random]"))) {
    link.addEventListener("click", (event) => {
      // @ts-ignore: defined by assets/search-index.js
      const families = LEAFLINEAGE_INDEX.entries.filter((/** @type {any[]} */ entry) => entry[0] === 0);
      if (!families.length) return;
      event.preventDefault();
      const chosen = families[Math.floor(Math.random() * families.length)];
      location.href = (root.dataset.root || "") + chosen[3];
    });
  }

  for (const input of /** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll("input[data-filter]"))) {
    const table = document.getElementById(input.dataset.filter || "");
    const count = document.querySelector("[data-filter-count]");
    if (!table) continue;
    const rows = /** @type {HTMLElement[]} */ ([...table.querySelectorAll("tbody tr")]);
    const filter = () => {
      const wanted = input.value.trim().toLowerCase().split(/\s+/);
      let shown = 0;
      for (const row of rows) {
        const fits = wanted.every((word) => (row.dataset.terms || "").includes(word));
        row.hidden = !fits;
        if (fits) shown += 1;
      }
      if (count) count.textContent = words.shown.replace("{n}", String(shown)).replace("{all}", String(rows.length));
    };
    input.addEventListener("input", filter);
    filter();
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

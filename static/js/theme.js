// @ts-check
// Runs before the page is drawn: marks that scripts work, and takes up the theme the reader chose last.
"use strict";
(function () {
  const root = document.documentElement;
  root.classList.add("scripted");
  try {
    const chosen = localStorage.getItem("leaflineage-theme");
    if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;
  } catch {
    // A browser may refuse storage to a page opened from a folder; the system's theme holds then.
  }
})();

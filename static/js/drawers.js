// @ts-check
// Where a concept opens in place, its heat maps fade to paper too, as on its own page: the page holds each map once.
"use strict";
(function () {
  for (const drawer of document.querySelectorAll("details.concept")) {
    drawer.addEventListener("toggle", () => {
      for (const pencil of drawer.querySelectorAll("img.pencil")) {
        if (pencil.nextElementSibling instanceof HTMLImageElement) continue;
        const fade = /** @type {HTMLImageElement} */ (pencil.cloneNode());
        fade.className = "heat fade";
        pencil.after(fade);
      }
    });
  }
})();

// Opens the folds that a link leads into, and all of them for paper.
(() => {
  "use strict";
  const FOLDED = "section.folded-section";

  function openLinked() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let section = target.closest(FOLDED); section; section = section.parentElement.closest(FOLDED)) {
      section.querySelector(":scope > details").open = true;
    }
    target.scrollIntoView();
  }

  const folds = () => [...document.querySelectorAll(`${FOLDED} > details`)];
  let openOnScreen = [];

  addEventListener("hashchange", openLinked);
  addEventListener("beforeprint", () => {
    openOnScreen = folds().filter((fold) => fold.open);
    folds().forEach((fold) => (fold.open = true));
  });
  addEventListener("afterprint", () => folds().forEach((fold) => (fold.open = openOnScreen.includes(fold))));
  // A link to where the page already is changes no address.
  document.addEventListener("click", ({ target }) => {
    const link = target.closest?.('a[href^="#"]');
    if (link && link.hash === location.hash) openLinked();
  });
  if (location.hash) openLinked();
})();

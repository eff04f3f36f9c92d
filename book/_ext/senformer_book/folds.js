// Opens the folds that a link leads into, and all of them for paper.
(() => {
  "use strict";

  function openAround(element) {
    for (let fold = element?.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  }

  function openLinked() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    openAround(target);
    if (target.matches("section")) openAround(target.querySelector(":scope > details > summary"));
    else openAround(target.parentElement.querySelector(":scope > section > details > summary"));
    target.scrollIntoView();
  }

  const folds = () => [...document.querySelectorAll("section.folded-section > details")];
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

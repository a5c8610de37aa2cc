// What is wider than its place scrolls by itself; here the keyboard can reach it, too.

(() => {
  const wide = ".bd-article :is(table, pre, mjx-container, .sd-figure, .sd-trace, .cell_output div)";

  function reach() {
    for (const one of document.querySelectorAll(wide)) {
      const scrolls =
        one.scrollWidth > one.clientWidth && /auto|scroll/.test(getComputedStyle(one).overflowX);
      if (scrolls && !one.hasAttribute("tabindex")) {
        one.tabIndex = 0;
        one.dataset.reached = "";
      } else if (!scrolls && "reached" in one.dataset) {
        one.removeAttribute("tabindex");
        delete one.dataset.reached;
      }
    }
  }

  addEventListener("load", reach);
  addEventListener("resize", reach);
})();

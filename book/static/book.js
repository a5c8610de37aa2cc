// What is wider than its place scrolls by itself; here the keyboard can reach it, too. And what a
// cell prints on its way to an answer is folded away with the answer, for whoever hasn't decided.

(() => {
  for (const answer of document.querySelectorAll(".cell_output details.sd-guess")) {
    const cell = answer.closest(".cell_output");
    const own = [...cell.children].find((one) => one.contains(answer));
    const before = [...cell.children].slice(0, [...cell.children].indexOf(own));
    answer.querySelector("summary").after(...before);
  }

  // Paper has nothing to click on: what is folded is unfolded there.
  let unfolded = [];
  addEventListener("beforeprint", () => {
    unfolded = [...document.querySelectorAll("details.sd-guess:not([open])")];
    for (const one of unfolded) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of unfolded) one.open = false;
    unfolded = [];
  });

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

  // Places grow and shrink without a word from the window, too: its other columns come and go.
  const placed = new ResizeObserver(() => requestAnimationFrame(reach));
  addEventListener("load", () => {
    reach();
    for (const one of document.querySelectorAll(wide)) placed.observe(one);
  });
})();

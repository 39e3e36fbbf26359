// The queue by keyboard: j and k move, x ticks, w goes to the reason, h, d and s decide.
"use strict";

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input:not([type=checkbox]), textarea, select");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) {
    return;
  }
  const cases = [...document.querySelectorAll(".case")];
  const current = cases.indexOf(document.activeElement.closest(".case"));
  const chosen = cases[current];
  const step = { j: 1, k: -1 }[event.key];
  if (step) {
    const next = cases[Math.min(Math.max(current + step, 0), cases.length - 1)];
    next?.focus({ preventScroll: true });
    next?.scrollIntoView({ block: "nearest" });
  } else if (chosen && event.key === "x") {
    chosen.querySelector(".action-select").click();
    chosen.focus();
  } else if (chosen && event.key === "w") {
    chosen.querySelector(".why").focus();
  } else if (chosen && /^[hds]$/.test(event.key)) {
    chosen.querySelector(`[data-key=${event.key}]`)?.click();
  } else {
    return;
  }
  event.preventDefault();
});

// Enter in a reason would press the first button of the whole form.
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches(".case .why")) {
    event.preventDefault();
    event.target.closest(".case").focus();
  }
});

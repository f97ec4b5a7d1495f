// Loads the page anew while nobody uses it: nothing moves under a pointer or the keys.
"use strict";

const { seconds } = document.currentScript.dataset;
let used = Date.now();
for (const kind of ["pointermove", "keydown", "scroll", "focusin"]) {
  addEventListener(kind, () => { used = Date.now(); }, { passive: true });
}
setInterval(() => {
  if (Date.now() - used > seconds * 1000) location.reload();
}, 1000);

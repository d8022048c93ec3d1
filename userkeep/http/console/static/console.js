// Show times in the reader's zone, with UTC on hover. Everything else works without this file.
"use strict";

function showLocalTimes(root) {
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  for (const time of root.querySelectorAll("time[datetime]:not([data-local])")) {
    time.textContent = format.format(new Date(time.getAttribute("datetime")));
    time.dataset.local = "";
  }
}

showLocalTimes(document);
// A conversation opens at its end; older messages are loaded as the reader scrolls up.
document.querySelector("[data-newest] > article:last-of-type")?.scrollIntoView({ block: "end", behavior: "instant" });
document.addEventListener("htmx:afterSettle", (event) => showLocalTimes(event.target.parentElement ?? document));
// An error is a page, too: show it where the result would have been.
document.addEventListener("htmx:beforeSwap", (event) => {
  event.detail.shouldSwap = event.detail.xhr.status !== 204;
});

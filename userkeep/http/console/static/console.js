// What the pages do beyond links and forms. All of them work without this file.
"use strict";

// Times are in the reader's zone, with UTC on hover.
function showLocalTimes(root) {
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  for (const time of root.querySelectorAll("time[datetime]:not([data-local])")) {
    time.textContent = format.format(new Date(time.getAttribute("datetime")));
    time.dataset.local = "";
  }
}

showLocalTimes(document);
document.addEventListener("htmx:afterSwap", (event) => showLocalTimes(event.target.parentElement ?? document));

// A conversation opens at its end; older messages are loaded as the reader scrolls up.
document.querySelector("[data-newest] > article:last-of-type")?.scrollIntoView({ block: "end", behavior: "instant" });

let distanceToEnd = null;
let isFocusLost = false;

document.addEventListener("htmx:beforeSwap", (event) => {
  const { target, xhr } = event.detail;
  // An error is a part of a page, too: show it where the result would have been. A part that renews
  // itself asks again.
  event.detail.shouldSwap = xhr.status !== 204 && !(xhr.status >= 500 && target.matches(".record"));
  const isMore = event.detail.shouldSwap && target.matches(".more");
  isFocusLost = isMore && target.contains(document.activeElement);
  distanceToEnd = isMore && target.closest(".transcript") ? document.documentElement.scrollHeight - scrollY : null;
});

// It comes once for each new element.
document.addEventListener("htmx:afterSwap", (event) => {
  // What is inserted above the reader moves nothing. Without this, the new beginning would be in view
  // and load the messages before it, and so on.
  if (distanceToEnd !== null) {
    scrollTo({ top: document.documentElement.scrollHeight - distanceToEnd, behavior: "instant" });
  }
  const next = isFocusLost && event.target.querySelector("a, button");
  if (next) {
    isFocusLost = false;
    next.focus({ preventScroll: true });
  }
});

// Back to a search finds the same again. Its words are in the history of this tab, and in no address.
const search = document.querySelector("form[role=search][hx-post]");
search?.addEventListener("htmx:configRequest", () => {
  const fields = [...search.elements].filter((field) => field.name && field.type !== "hidden");
  history.replaceState({ fields: fields.map((field) => [field.name, field.value]) }, "");
});
document.addEventListener("htmx:load", () => {
  if (!search || !history.state?.fields) return;
  for (const [name, value] of history.state.fields) search.elements[name].value = value;
  htmx.trigger(search, "submit");
}, { once: true });

// A second click sends no form again.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.hasAttribute("hx-post")) return;
  if (event.timeStamp - (form.sentAt ?? -Infinity) < 2000) event.preventDefault();
  else form.sentAt = event.timeStamp;
}, { capture: true });

// The server does not respond: say so, once.
document.addEventListener("htmx:sendError", () => {
  if (document.getElementById("offline")) return;
  const problem = document.createElement("p");
  problem.id = "offline";
  problem.className = "problem";
  problem.setAttribute("role", "alert");
  problem.textContent = "The server does not respond. Try again in a moment.";
  document.getElementById("main").prepend(problem);
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.xhr.status) document.getElementById("offline")?.remove();
});

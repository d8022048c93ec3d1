// Shows the OpenAPI document of this server with Swagger UI. A server with keys needs one for it;
// the page keeps it in memory only, and sends it with the calls that the reader tries.
"use strict";

const reference = document.getElementById("reference");
const signIn = document.getElementById("sign-in");
const problem = document.getElementById("problem");

// A filter in an address is a text with JSON in it. Swagger UI takes such a text for a file.
const NO_FILES = {
  afterLoad() {
    this.fn.isFileUploadIntended = () => false;
  },
};

async function show(key) {
  problem.hidden = true;
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  const response = await fetch(reference.dataset.openapi, { headers, cache: "no-store" });
  const answer = await response.json();
  if (response.ok) return render(answer, key);
  signIn.hidden = response.status !== 401;
  if (key || response.status !== 401) report(answer.detail);
}

function render(spec, key) {
  signIn.remove();
  const ui = SwaggerUIBundle({
    spec,
    domNode: reference,
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    displayOperationId: true,
    displayRequestDuration: true,
    docExpansion: "list",
    filter: true,
    // Each of these would ask a server elsewhere, or keep the key in the browser.
    persistAuthorization: false,
    queryConfigEnabled: false,
    validatorUrl: null,
    plugins: [NO_FILES],
    onComplete: () => key && ui.preauthorizeApiKey("key", key),
  });
}

function report(text) {
  problem.textContent = text;
  problem.hidden = false;
}

function start(key) {
  show(key).catch((error) => report(`The API cannot be shown: ${error.message}`));
}

signIn.addEventListener("submit", (event) => {
  event.preventDefault();
  start(signIn.elements.key.value.trim());
});

start("");

// Tests of the unmodified @getzep/zep-js 0.10.0 against the server at USERKEEP_TEST_URL.
//
// If the server needs a key, it is in USERKEEP_TEST_API_KEY.
//
// The server is fresh, and shared by all tests: each test creates its ids with `fresh` and ignores
// other rows.
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";

// Node searches for packages in the folder of the importing file and above. They are elsewhere, so
// that there is no node_modules among the tests.
const require = createRequire(new URL("../../../.environments/zep-js/", import.meta.url));
export const {
  APIError,
  Document,
  Memory,
  MemorySearchPayload,
  Message,
  NotFoundError,
  Session,
  ZepClient,
} = require("@getzep/zep-js");

export const url = process.env.USERKEEP_TEST_URL;
if (!url) throw new Error("Set USERKEEP_TEST_URL to the URL of a server.");

// The client warns if a server is too old. Here, warnings are errors.
console.warn = (text) => {
  throw new Error(text);
};

export const apiKey = process.env.USERKEEP_TEST_API_KEY || undefined;

export const zep = await ZepClient.init(url, apiKey);

export const fresh = (name) => `${randomBytes(6).toString("hex")}-${name}`;

export const memoryOf = (...contents) =>
  new Memory({ messages: contents.map((content) => ({ role: "user", content })) });

export const contents = (messages) => messages.map((message) => message.content);

/** Returns the properties of an APIError with a status, for `assert.rejects`. */
export const apiError = (status) => ({ name: "APIError", code: status });

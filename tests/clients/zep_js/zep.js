// @getzep/zep-js 0.10.0 as its users have it, pointed at the server that USERKEEP_TEST_URL names.
//
// The server is fresh but shared by the whole run: a test makes its ids with `fresh`, and passes
// over rows without its mark.
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";

// Node looks for packages beside and above the file that asks. This suite's are in none of these
// places, so that no node_modules lies among the tests.
const require = createRequire(new URL("../../../.environments/zep-js/", import.meta.url));
export const {
  APIError,
  Memory,
  MemorySearchPayload,
  Message,
  NotFoundError,
  Session,
  ZepClient,
} = require("@getzep/zep-js");

export const url = process.env.USERKEEP_TEST_URL;
if (!url) throw new Error("USERKEEP_TEST_URL does not say where the server is.");

// The client's way to say that a server is too old for it. Warnings are errors here.
console.warn = (text) => {
  throw new Error(text);
};

export const zep = await ZepClient.init(url);

export const fresh = (name) => `${randomBytes(6).toString("hex")}-${name}`;

export const said = (...contents) =>
  new Memory({ messages: contents.map((content) => ({ role: "user", content })) });

export const words = (messages) => messages.map((message) => message.content);

/** What `assert.rejects` compares with an APIError of this status. */
export const refusal = (status) => ({ name: "APIError", code: status });

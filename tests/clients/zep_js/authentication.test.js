// A server that needs a key: the client sends it, and its calls fail if it is not accepted.
import assert from "node:assert/strict";
import { test } from "node:test";

import { ZepClient, apiKey, apiError, url, zep } from "./zep.js";

const skip = !apiKey;

test("a client with the key is admitted", { skip }, async () => {
  assert.ok(Array.isArray(await zep.user.list(1)));
});

test("a client without the key is rejected", { skip }, async () => {
  for (const key of [undefined, `${apiKey}0`]) {
    const other = await ZepClient.init(url, key);
    await assert.rejects(other.user.list(1), { name: "AuthenticationError" });
  }
});

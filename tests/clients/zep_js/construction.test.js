// What the client asks before it does anything: is this a Zep server, and a recent one?
import assert from "node:assert/strict";
import { test } from "node:test";

import { ZepClient, url } from "./zep.js";

test("a client is made without a warning", async () => {
  const zep = await ZepClient.init(url);
  assert.ok(Array.isArray(await zep.user.list(1)));
});

test("a slash after the address does no harm", async () => {
  // The client asks for //healthz then.
  const zep = await ZepClient.init(`${url}/`);
  assert.ok(Array.isArray(await zep.user.list(1)));
});

test("an open server accepts any api key", async () => {
  const zep = await ZepClient.init(url, "a key from another time");
  assert.ok(Array.isArray(await zep.user.list(1)));
});

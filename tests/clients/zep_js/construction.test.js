// The client checks first that the server is a recent Zep server.
import assert from "node:assert/strict";
import { test } from "node:test";

import { ZepClient, url } from "./zep.js";

test("a client is created without a warning", async () => {
  const zep = await ZepClient.init(url);
  assert.ok(Array.isArray(await zep.user.list(1)));
});

test("a trailing slash of the url is accepted", async () => {
  // The client then requests //healthz.
  const zep = await ZepClient.init(`${url}/`);
  assert.ok(Array.isArray(await zep.user.list(1)));
});

test("an open server accepts any api key", async () => {
  const zep = await ZepClient.init(url, "an old key");
  assert.ok(Array.isArray(await zep.user.list(1)));
});

// Full-text search in a session; without a text, the newest messages.
import assert from "node:assert/strict";
import { test } from "node:test";

import { MemorySearchPayload, fresh, apiError, memoryOf, zep } from "./zep.js";

const CONTENTS = ["I bought red shoes", "a", "b", "c", "Hats are nice", "d", "e", "f", "Red hats"];

const addSession = async () => {
  const session = fresh("s");
  await zep.memory.addMemory(session, memoryOf(...CONTENTS));
  return session;
};

const search = (session, payload, limit) =>
  zep.memory.searchMemory(session, new MemorySearchPayload(payload), limit);

const contents = (hits) => hits.map((hit) => hit.message.content);

test("the best match comes first", async () => {
  const hits = await search(await addSession(), { text: "Have I a red hat?" });
  assert.deepEqual(contents(hits).slice(0, 2), ["Red hats", "Hats are nice"]);
  assert.ok(hits[0].dist > hits[1].dist && hits[1].dist > 0);
});

test("a hit has the message as listed", async () => {
  const session = await addSession();
  const [hit] = await search(session, { text: "shoes" }, 1);
  const [listed] = await zep.message.getSessionMessages(session);
  assert.deepEqual(hit.message, listed);
  assert.equal(hit.summary, undefined);
});

test("without a text the newest messages come first", async () => {
  const hits = await search(await addSession(), { metadata: { foo: "bar" } });
  assert.deepEqual(contents(hits), CONTENTS.toReversed());
});

test("hits are filtered by metadata", async () => {
  const session = fresh("s");
  const messages = memoryOf("red shoes", "blue shoes");
  messages.messages[0].metadata = { topic: "shoes" };
  await zep.memory.addMemory(session, messages);
  const where = { jsonpath: '$[*] ? (@.topic == "shoes")' };
  assert.deepEqual(contents(await search(session, { metadata: { where } })), ["red shoes"]);
});

test("the default limit is ten", async () => {
  const session = fresh("s");
  await zep.memory.addMemory(session, memoryOf(...Array(30).fill("shoes")));
  assert.equal((await search(session, { text: "shoes" })).length, 10);
  assert.equal((await search(session, { text: "shoes" }, 3)).length, 3);
  assert.equal((await search(session, { text: "shoes" }, -1)).length, 30);
});

test("both search types and scopes are accepted", async () => {
  const session = await addSession();
  const mmr = { text: "shoes", search_type: "mmr", mmr_lambda: 0.3 };
  assert.equal(contents(await search(session, mmr))[0], "I bought red shoes");
  assert.deepEqual(await search(session, { text: "shoes", search_scope: "summary" }), []);
});

test("unknown and deleted sessions have no hits", async () => {
  const session = await addSession();
  assert.deepEqual(await search(`${session}-unknown`, { text: "shoes" }), []);
  await zep.memory.deleteMemory(session);
  assert.deepEqual(await search(session, { text: "shoes" }), []);
});

test("a search without text and metadata is rejected", async () => {
  await assert.rejects(search(await addSession(), {}), apiError(400));
});

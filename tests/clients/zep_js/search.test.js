// Search: the messages of a session, by words; without a text, the newest.
import assert from "node:assert/strict";
import { test } from "node:test";

import { MemorySearchPayload, fresh, refusal, said, zep } from "./zep.js";

const TALK = ["I bought red shoes", "a", "b", "c", "Hats are nice", "d", "e", "f", "Red hats"];

const talk = async () => {
  const session = fresh("s");
  await zep.memory.addMemory(session, said(...TALK));
  return session;
};

const search = (session, payload, limit) =>
  zep.memory.searchMemory(session, new MemorySearchPayload(payload), limit);

const contents = (hits) => hits.map((hit) => hit.message.content);

test("what is meant comes first", async () => {
  const hits = await search(await talk(), { text: "Have I a red hat?" });
  assert.deepEqual(contents(hits).slice(0, 2), ["Red hats", "Hats are nice"]);
  assert.ok(hits[0].dist > hits[1].dist && hits[1].dist > 0);
});

test("a hit is the message as it is listed", async () => {
  const session = await talk();
  const [hit] = await search(session, { text: "shoes" }, 1);
  const [listed] = await zep.message.getSessionMessages(session);
  assert.deepEqual(hit.message, listed);
  assert.equal(hit.summary, undefined);
});

test("without a text the newest come first", async () => {
  const hits = await search(await talk(), { metadata: { foo: "bar" } });
  assert.deepEqual(contents(hits), TALK.toReversed());
});

test("hits are narrowed by their metadata", async () => {
  const session = fresh("s");
  const messages = said("red shoes", "blue shoes");
  messages.messages[0].metadata = { topic: "shoes" };
  await zep.memory.addMemory(session, messages);
  const where = { jsonpath: '$[*] ? (@.topic == "shoes")' };
  assert.deepEqual(contents(await search(session, { metadata: { where } })), ["red shoes"]);
});

test("there are ten hits unless a limit is given", async () => {
  const session = fresh("s");
  await zep.memory.addMemory(session, said(...Array(30).fill("shoes")));
  assert.equal((await search(session, { text: "shoes" })).length, 10);
  assert.equal((await search(session, { text: "shoes" }, 3)).length, 3);
  assert.equal((await search(session, { text: "shoes" }, -1)).length, 30);
});

test("both types and both scopes are understood", async () => {
  const session = await talk();
  const mmr = { text: "shoes", search_type: "mmr", mmr_lambda: 0.3 };
  assert.equal(contents(await search(session, mmr))[0], "I bought red shoes");
  assert.deepEqual(await search(session, { text: "shoes", search_scope: "summary" }), []);
});

test("in an unknown and in a deleted session nothing is found", async () => {
  const session = await talk();
  assert.deepEqual(await search(`${session}-unknown`, { text: "shoes" }), []);
  await zep.memory.deleteMemory(session);
  assert.deepEqual(await search(session, { text: "shoes" }), []);
});

test("a search for nothing is refused", async () => {
  await assert.rejects(search(await talk(), {}), refusal(400));
});

// Messages: paged, read one by one, annotated.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";

import { Memory, NotFoundError, fresh, refusal, words, zep } from "./zep.js";

/** A session of five messages. */
const talk = async () => {
  const session = fresh("talk");
  const messages = Array.from({ length: 5 }, (_, n) => ({
    role: "user",
    content: String(n),
    token_count: n,
    metadata: { n },
  }));
  await zep.memory.addMemory(session, new Memory({ messages }));
  return session;
};

test("messages are listed oldest first", async () => {
  const session = await talk();
  const messages = await zep.message.getSessionMessages(session);
  assert.deepEqual(words(messages), ["0", "1", "2", "3", "4"]);
  assert.deepEqual(messages, (await zep.memory.getMemory(session)).messages);
});

test("the cursor is a page from one", async () => {
  const session = await talk();
  const page = async (n) => words(await zep.message.getSessionMessages(session, 2, n)).join("");
  assert.deepEqual(await Promise.all([1, 2, 3, 4].map(page)), ["01", "23", "4", ""]);
  assert.equal(words(await zep.message.getSessionMessages(session, 2)).join(""), "01");
});

test("an unknown session has no messages", async () => {
  assert.deepEqual(await zep.message.getSessionMessages(fresh("unknown")), []);
});

test("a message is read as it is listed", async () => {
  const session = await talk();
  for (const message of await zep.message.getSessionMessages(session)) {
    assert.deepEqual(await zep.message.getSessionMessage(session, message.uuid), message);
  }
});

test("annotating a message changes nothing else", async () => {
  // The client sends this body as text/plain.
  const session = await talk();
  const before = await zep.message.getSessionMessages(session);
  const annotated = await zep.message.updateSessionMessageMetadata(session, before[3].uuid, {
    mood: "calm",
    system: { mine: true },
  });
  assert.deepEqual({ ...annotated }, { ...before[3], metadata: { n: 3, mood: "calm" } });
  assert.equal(annotated.token_count, 3);
  before[3] = annotated;
  assert.deepEqual(await zep.message.getSessionMessages(session), before);
});

test("an empty annotation changes nothing", async () => {
  const session = await talk();
  const [first] = await zep.message.getSessionMessages(session);
  const same = await zep.message.updateSessionMessageMetadata(session, first.uuid, {});
  assert.deepEqual(same, first);
});

test("an unknown message is not found", async () => {
  const session = await talk();
  const get = (id) => zep.message.getSessionMessage(session, id);
  const annotate = (id) => zep.message.updateSessionMessageMetadata(session, id, { a: 1 });
  await assert.rejects(get(randomUUID()), NotFoundError);
  await assert.rejects(annotate(randomUUID()), NotFoundError);
  await assert.rejects(get("not-a-uuid"), refusal(400));
  await assert.rejects(annotate("not-a-uuid"), refusal(400));
});

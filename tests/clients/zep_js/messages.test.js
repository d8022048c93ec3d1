// Messages: paginated, read one by one, updated.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";

import { Memory, NotFoundError, fresh, apiError, contents, zep } from "./zep.js";

/** Creates a session with five messages; returns its id. */
const addSession = async () => {
  const session = fresh("s");
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
  const session = await addSession();
  const messages = await zep.message.getSessionMessages(session);
  assert.deepEqual(contents(messages), ["0", "1", "2", "3", "4"]);
  assert.deepEqual(messages, (await zep.memory.getMemory(session)).messages);
});

test("the cursor is a page number from one", async () => {
  const session = await addSession();
  const page = async (n) => contents(await zep.message.getSessionMessages(session, 2, n)).join("");
  assert.deepEqual(await Promise.all([1, 2, 3, 4].map(page)), ["01", "23", "4", ""]);
  assert.equal(contents(await zep.message.getSessionMessages(session, 2)).join(""), "01");
});

test("an unknown session has no messages", async () => {
  assert.deepEqual(await zep.message.getSessionMessages(fresh("unknown")), []);
});

test("a message is returned as listed", async () => {
  const session = await addSession();
  for (const message of await zep.message.getSessionMessages(session)) {
    assert.deepEqual(await zep.message.getSessionMessage(session, message.uuid), message);
  }
});

test("updating metadata changes nothing else", async () => {
  // The client sends this body as text/plain.
  const session = await addSession();
  const before = await zep.message.getSessionMessages(session);
  const updated = await zep.message.updateSessionMessageMetadata(session, before[3].uuid, {
    mood: "calm",
    system: { mine: true },
  });
  assert.deepEqual({ ...updated }, { ...before[3], metadata: { n: 3, mood: "calm" } });
  assert.equal(updated.token_count, 3);
  before[3] = updated;
  assert.deepEqual(await zep.message.getSessionMessages(session), before);
});

test("an empty update changes nothing", async () => {
  const session = await addSession();
  const [first] = await zep.message.getSessionMessages(session);
  const same = await zep.message.updateSessionMessageMetadata(session, first.uuid, {});
  assert.deepEqual(same, first);
});

test("an unknown message is not found", async () => {
  const session = await addSession();
  const get = (id) => zep.message.getSessionMessage(session, id);
  const update = (id) => zep.message.updateSessionMessageMetadata(session, id, { a: 1 });
  await assert.rejects(get(randomUUID()), NotFoundError);
  await assert.rejects(update(randomUUID()), NotFoundError);
  await assert.rejects(get("not-a-uuid"), apiError(400));
  await assert.rejects(update("not-a-uuid"), apiError(400));
});

// Memory: appending messages to a session, and reading the newest for a prompt.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";

import { Memory, Message, NotFoundError, fresh, apiError, memoryOf, contents, zep } from "./zep.js";

test("memory is returned as added", async () => {
  const session = fresh("s");
  const messages = [
    new Message({ role: "user", content: "I wear size 9 🙂", metadata: { topic: "shoes" } }),
    new Message({ role: "ai", content: "Noted" }),
  ];
  assert.equal(await zep.memory.addMemory(session, new Memory({ messages })), "OK");

  const [question, answer] = (await zep.memory.getMemory(session)).messages;
  assert.equal(question.role, "user");
  assert.equal(question.content, "I wear size 9 🙂");
  assert.deepEqual(question.metadata, { topic: "shoes" });
  assert.equal(question.token_count, 0);
  assert.equal(answer.role, "ai");
  assert.equal(answer.metadata, undefined);
  assert.notEqual(question.uuid, answer.uuid);
});

test("memory has the newest twelve messages by default", async () => {
  const session = fresh("s");
  const all = Array.from({ length: 20 }, (_, n) => String(n));
  await zep.memory.addMemory(session, memoryOf(...all));
  const newest = async (lastn) => contents((await zep.memory.getMemory(session, lastn)).messages);
  assert.deepEqual(await newest(), all.slice(-12));
  assert.deepEqual(await newest(3), all.slice(-3));
  assert.deepEqual(await newest(500), all);
  await assert.rejects(newest(-1), apiError(400));
});

test("a missing summary is an empty one", async () => {
  const { summary } = await zep.memory.getMemory(fresh("unknown"));
  assert.equal(summary.content, "");
  assert.equal(summary.token_count, 0);
});

test("the memory of an unknown session is empty", async () => {
  assert.deepEqual((await zep.memory.getMemory(fresh("unknown"))).messages, []);
});

test("appending creates an unknown session", async () => {
  const session = fresh("s");
  await zep.memory.addMemory(session, memoryOf("Hello"));
  assert.equal((await zep.memory.getSession(session)).user_id, null);
});

test("a uuid is unique in a session", async () => {
  const session = fresh("s");
  const memory = new Memory({ messages: [{ role: "user", content: "Hi", uuid: randomUUID() }] });
  await zep.memory.addMemory(session, memory);
  await assert.rejects(zep.memory.addMemory(session, memory), apiError(400));
  assert.equal((await zep.memory.getMemory(session)).messages[0].uuid, memory.messages[0].uuid);
});

test("returned memory can be added to another session", async () => {
  const [session, copy] = [fresh("s"), fresh("copy")];
  await zep.memory.addMemory(session, memoryOf("1", "2"));
  await zep.memory.addMemory(copy, await zep.memory.getMemory(session));
  assert.deepEqual(contents((await zep.memory.getMemory(copy)).messages), ["1", "2"]);
});

test("a cleared session is gone and can be appended to again", async () => {
  const session = fresh("s");
  await zep.memory.addMemory(session, memoryOf("before"));
  assert.equal(await zep.memory.deleteMemory(session), "OK");
  await assert.rejects(zep.memory.getSession(session), NotFoundError);
  await assert.rejects(zep.memory.deleteMemory(session), NotFoundError);
  await zep.memory.addMemory(session, memoryOf("after"));
  assert.deepEqual(contents((await zep.memory.getMemory(session)).messages), ["after"]);
});

test("concurrent appends are all stored", async () => {
  const session = fresh("s");
  const all = Array.from({ length: 40 }, (_, n) => String(n));
  await Promise.all(all.map((content) => zep.memory.addMemory(session, memoryOf(content))));
  const kept = contents(await zep.message.getSessionMessages(session));
  assert.deepEqual(kept.sort(), all.sort());
});

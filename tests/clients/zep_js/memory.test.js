// Memory: appending to a session, and reading what the next prompt needs.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";

import { Memory, Message, NotFoundError, fresh, refusal, said, words, zep } from "./zep.js";

test("memory is read as it was added", async () => {
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

test("memory holds the newest dozen unless told", async () => {
  const session = fresh("s");
  const all = Array.from({ length: 20 }, (_, n) => String(n));
  await zep.memory.addMemory(session, said(...all));
  const newest = async (lastn) => words((await zep.memory.getMemory(session, lastn)).messages);
  assert.deepEqual(await newest(), all.slice(-12));
  assert.deepEqual(await newest(3), all.slice(-3));
  assert.deepEqual(await newest(500), all);
  await assert.rejects(newest(-1), refusal(400));
});

test("without a summary there is an empty one", async () => {
  const { summary } = await zep.memory.getMemory(fresh("unknown"));
  assert.equal(summary.content, "");
  assert.equal(summary.token_count, 0);
});

test("the memory of an unknown session is empty", async () => {
  assert.deepEqual((await zep.memory.getMemory(fresh("unknown"))).messages, []);
});

test("appending to an unknown session makes it", async () => {
  const session = fresh("s");
  await zep.memory.addMemory(session, said("Hello"));
  assert.equal((await zep.memory.getSession(session)).user_id, null);
});

test("a uuid is taken once in a session", async () => {
  const session = fresh("s");
  const memory = new Memory({ messages: [{ role: "user", content: "Hi", uuid: randomUUID() }] });
  await zep.memory.addMemory(session, memory);
  await assert.rejects(zep.memory.addMemory(session, memory), refusal(400));
  assert.equal((await zep.memory.getMemory(session)).messages[0].uuid, memory.messages[0].uuid);
});

test("memory as read can be added to another session", async () => {
  const [session, copy] = [fresh("s"), fresh("copy")];
  await zep.memory.addMemory(session, said("1", "2"));
  await zep.memory.addMemory(copy, await zep.memory.getMemory(session));
  assert.deepEqual(words((await zep.memory.getMemory(copy)).messages), ["1", "2"]);
});

test("a cleared session is gone and can be filled again", async () => {
  const session = fresh("s");
  await zep.memory.addMemory(session, said("before"));
  assert.equal(await zep.memory.deleteMemory(session), "OK");
  await assert.rejects(zep.memory.getSession(session), NotFoundError);
  await assert.rejects(zep.memory.deleteMemory(session), NotFoundError);
  await zep.memory.addMemory(session, said("after"));
  assert.deepEqual(words((await zep.memory.getMemory(session)).messages), ["after"]);
});

test("appends sent at once are all kept", async () => {
  const session = fresh("s");
  const all = Array.from({ length: 40 }, (_, n) => String(n));
  await Promise.all(all.map((content) => zep.memory.addMemory(session, said(content))));
  const kept = words(await zep.message.getSessionMessages(session));
  assert.deepEqual(kept.sort(), all.sort());
});

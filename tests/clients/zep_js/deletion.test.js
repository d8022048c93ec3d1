// Deleting a user deletes all sessions and messages, and late writes do not recreate them.
import assert from "node:assert/strict";
import { test } from "node:test";

import { NotFoundError, Session, fresh, memoryOf, contents, zep } from "./zep.js";

/** Creates and deletes a user with a session; returns what they were. */
const deleteJane = async () => {
  const user = await zep.user.add({ user_id: fresh("jane") });
  const session_id = fresh("s");
  await zep.memory.addSession(new Session({ session_id, user_id: user.user_id }));
  await zep.memory.addMemory(session_id, memoryOf("I live in Oslo"));
  const [message] = await zep.message.getSessionMessages(session_id);
  assert.equal(await zep.user.delete(user.user_id), "OK");
  return { user, session_id, message };
};

test("a deleted user is gone with all sessions and messages", async () => {
  const { user, session_id, message } = await deleteJane();
  await assert.rejects(zep.user.get(user.user_id), NotFoundError);
  await assert.rejects(zep.user.delete(user.user_id), NotFoundError);
  assert.deepEqual(await zep.user.getSessions(user.user_id), []);
  await assert.rejects(zep.memory.getSession(session_id), NotFoundError);
  assert.deepEqual((await zep.memory.getMemory(session_id)).messages, []);
  assert.deepEqual(await zep.message.getSessionMessages(session_id), []);
  await assert.rejects(zep.message.getSessionMessage(session_id, message.uuid), NotFoundError);
});

test("a late append recreates no session", async () => {
  const { session_id } = await deleteJane();
  await assert.rejects(zep.memory.addMemory(session_id, memoryOf("Hello?")), NotFoundError);
  await assert.rejects(zep.memory.getSession(session_id), NotFoundError);
  assert.deepEqual((await zep.memory.getMemory(session_id)).messages, []);
});

test("a reused user id starts empty", async () => {
  const { user, session_id } = await deleteJane();
  const reused = await zep.user.add({ user_id: user.user_id });
  assert.notEqual(reused.uuid, user.uuid);
  assert.deepEqual(await zep.user.getSessions(user.user_id), []);
  await zep.memory.addSession(new Session({ session_id, user_id: user.user_id }));
  assert.deepEqual((await zep.memory.getMemory(session_id)).messages, []);
  await zep.memory.addMemory(session_id, memoryOf("I live in Rome"));
  assert.deepEqual(contents((await zep.memory.getMemory(session_id)).messages), ["I live in Rome"]);
});

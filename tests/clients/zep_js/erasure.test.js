// Deleting a user takes everything of theirs along, and nothing brings it back by accident.
import assert from "node:assert/strict";
import { test } from "node:test";

import { NotFoundError, Session, fresh, said, words, zep } from "./zep.js";

/** Jane, who had a session and was deleted; what is left is the ids. */
const deleted = async () => {
  const user = await zep.user.add({ user_id: fresh("jane") });
  const session_id = fresh("s");
  await zep.memory.addSession(new Session({ session_id, user_id: user.user_id }));
  await zep.memory.addMemory(session_id, said("I live in Oslo"));
  const [message] = await zep.message.getSessionMessages(session_id);
  assert.equal(await zep.user.delete(user.user_id), "OK");
  return { user, session_id, message };
};

test("a deleted user is gone with all sessions and messages", async () => {
  const { user, session_id, message } = await deleted();
  await assert.rejects(zep.user.get(user.user_id), NotFoundError);
  await assert.rejects(zep.user.delete(user.user_id), NotFoundError);
  assert.deepEqual(await zep.user.getSessions(user.user_id), []);
  await assert.rejects(zep.memory.getSession(session_id), NotFoundError);
  assert.deepEqual((await zep.memory.getMemory(session_id)).messages, []);
  assert.deepEqual(await zep.message.getSessionMessages(session_id), []);
  await assert.rejects(zep.message.getSessionMessage(session_id, message.uuid), NotFoundError);
});

test("a late append brings no session back", async () => {
  const { session_id } = await deleted();
  await assert.rejects(zep.memory.addMemory(session_id, said("Hello?")), NotFoundError);
  await assert.rejects(zep.memory.getSession(session_id), NotFoundError);
  assert.deepEqual((await zep.memory.getMemory(session_id)).messages, []);
});

test("a namesake starts with nothing", async () => {
  const { user, session_id } = await deleted();
  const namesake = await zep.user.add({ user_id: user.user_id });
  assert.notEqual(namesake.uuid, user.uuid);
  assert.deepEqual(await zep.user.getSessions(user.user_id), []);
  await zep.memory.addSession(new Session({ session_id, user_id: user.user_id }));
  assert.deepEqual((await zep.memory.getMemory(session_id)).messages, []);
  await zep.memory.addMemory(session_id, said("I live in Rome"));
  assert.deepEqual(words((await zep.memory.getMemory(session_id)).messages), ["I live in Rome"]);
});

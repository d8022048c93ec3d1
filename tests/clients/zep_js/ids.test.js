// Ids with any characters. The URL class encodes them for the client.
import assert from "node:assert/strict";
import { test } from "node:test";

import { NotFoundError, Session, fresh, memoryOf, contents, zep } from "./zep.js";

const names = [
  "jane smith",
  "jürgen 東京 🙂",
  "jane@example.com",
  "a+b",
  "a.b",
  "a:b;c=d,e&f",
  "(a)*!~'$",
  '{"a"}|<b>^`',
  "a?b",
  "a#b",
];

for (const name of names) {
  test(`a user is found by any id: ${name}`, async () => {
    const user = await zep.user.add({ user_id: fresh(name) });
    assert.deepEqual(await zep.user.get(user.user_id), user);
    const updated = await zep.user.update({ user_id: user.user_id, email: "a@b.co" });
    assert.equal(updated.uuid, user.uuid);
    assert.deepEqual(await zep.user.getSessions(user.user_id), []);
    await zep.user.delete(user.user_id);
    await assert.rejects(zep.user.get(user.user_id), NotFoundError);
  });

  test(`a session is found by any id: ${name}`, async () => {
    const session_id = fresh(name);
    await zep.memory.addMemory(session_id, memoryOf("Hello"));
    assert.equal((await zep.memory.getSession(session_id)).session_id, session_id);
    assert.deepEqual(contents((await zep.memory.getMemory(session_id)).messages), ["Hello"]);
    const [message] = await zep.message.getSessionMessages(session_id);
    assert.deepEqual(await zep.message.getSessionMessage(session_id, message.uuid), message);
    await zep.memory.deleteMemory(session_id);
    await assert.rejects(zep.memory.getSession(session_id), NotFoundError);
  });
}

test("an encoded slash finds the id with a slash", async () => {
  const slashed = fresh("a/b");
  const encoded = slashed.replace("/", "%2F");
  const user = await zep.user.add({ user_id: slashed });
  assert.deepEqual(await zep.user.get(encoded), user);
  await zep.memory.addSession(new Session({ session_id: slashed }));
  await zep.memory.addMemory(encoded, memoryOf("Hello"));
  assert.deepEqual(contents((await zep.memory.getMemory(encoded)).messages), ["Hello"]);
  await zep.user.delete(encoded);
  await assert.rejects(zep.user.get(encoded), NotFoundError);
});

test("an id that looks encoded is found", async () => {
  const user = await zep.user.add({ user_id: fresh("a%2Fb") });
  assert.deepEqual(await zep.user.get(user.user_id), user);
  await zep.user.delete(user.user_id);
  await assert.rejects(zep.user.get(user.user_id), NotFoundError);
});

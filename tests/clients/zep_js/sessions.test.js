// Sessions: created, read, updated.
import assert from "node:assert/strict";
import { test } from "node:test";

import { NotFoundError, Session, fresh, apiError, zep } from "./zep.js";

const addSession = async () => {
  const { user_id } = await zep.user.add({ user_id: fresh("jane") });
  return zep.memory.addSession(
    new Session({ session_id: fresh("shoes"), user_id, metadata: { topic: "shoes" } }),
  );
};

test("a session is returned as created", async () => {
  const session = await addSession();
  assert.deepEqual(session.metadata, { topic: "shoes" });
  assert.match(session.uuid, /^[0-9a-f-]{36}$/);
  assert.ok(Math.abs(Date.now() - Date.parse(session.created_at)) < 60_000);
  assert.equal(session.deleted_at, null);
  assert.deepEqual(await zep.memory.getSession(session.session_id), session);
});

test("a session can have only an id", async () => {
  const session = await zep.memory.addSession(new Session({ session_id: fresh("s") }));
  assert.equal(session.user_id, null);
  assert.equal(session.metadata, null);
});

test("an id is unique", async () => {
  const session = await addSession();
  await assert.rejects(zep.memory.addSession(session), apiError(400));
});

test("a session of an unknown user is rejected", async () => {
  const session = new Session({ session_id: fresh("s"), user_id: fresh("unknown") });
  await assert.rejects(zep.memory.addSession(session), apiError(400));
});

test("an update merges metadata and changes nothing else", async () => {
  const session = await addSession();
  const updated = await zep.memory.updateSession(
    new Session({ session_id: session.session_id, metadata: { n: 1, system: { mine: true } } }),
  );
  assert.deepEqual(
    { ...updated },
    { ...session, metadata: { topic: "shoes", n: 1 }, updated_at: updated.updated_at },
  );
});

test("a returned session can be sent as an update", async () => {
  const session = await addSession();
  const updated = await zep.memory.updateSession(session);
  assert.deepEqual({ ...updated }, { ...session, updated_at: updated.updated_at });

  const bare = await zep.memory.addSession(new Session({ session_id: fresh("bare") }));
  assert.equal((await zep.memory.updateSession(bare)).metadata, null);
});

test("an unknown session is not found", async () => {
  const nothing = new Session({ session_id: fresh("nothing"), metadata: { n: 1 } });
  await assert.rejects(zep.memory.getSession(nothing.session_id), NotFoundError);
  await assert.rejects(zep.memory.updateSession(nothing), NotFoundError);
  await assert.rejects(zep.memory.deleteMemory(nothing.session_id), NotFoundError);
});

// Users: created, read, updated, deleted.
import assert from "node:assert/strict";
import { test } from "node:test";

import { NotFoundError, Session, fresh, apiError, zep } from "./zep.js";

const addJane = () =>
  zep.user.add({
    user_id: fresh("jane"),
    email: "jane@example.com",
    first_name: "Jane",
    last_name: "Smith",
    metadata: { wears: { hat: "red", size: 9 }, likes: ["tea", "coffee"] },
  });

test("a user has all given fields and those of the server", async () => {
  const jane = await addJane();
  assert.equal(jane.email, "jane@example.com");
  assert.equal(jane.first_name, "Jane");
  assert.equal(jane.last_name, "Smith");
  assert.deepEqual(jane.metadata, { wears: { hat: "red", size: 9 }, likes: ["tea", "coffee"] });
  assert.match(jane.uuid, /^[0-9a-f-]{36}$/);
  assert.ok(jane.id > 0);
  assert.ok(Math.abs(Date.now() - Date.parse(jane.created_at)) < 60_000);
  assert.equal(jane.deleted_at, null);
});

test("a user is returned as created", async () => {
  const jane = await addJane();
  assert.deepEqual(await zep.user.get(jane.user_id), jane);
});

test("an update merges metadata and changes only the given fields", async () => {
  const jane = await addJane();
  const updated = await zep.user.update({
    user_id: jane.user_id,
    first_name: "Janet",
    metadata: { wears: { coat: "blue", hat: null }, likes: ["milk"] },
  });
  assert.deepEqual(
    { ...updated },
    {
      ...jane,
      first_name: "Janet",
      metadata: { wears: { coat: "blue", hat: null, size: 9 }, likes: ["milk"] },
      updated_at: updated.updated_at,
    },
  );
  assert.notEqual(updated.updated_at, jane.updated_at);
  assert.deepEqual(await zep.user.get(jane.user_id), updated);
});

test("an update with empty metadata changes nothing", async () => {
  const jane = await addJane();
  const updated = await zep.user.update({ user_id: jane.user_id, metadata: {} });
  assert.deepEqual(updated.metadata, jane.metadata);
});

test("a returned user can be sent as an update", async () => {
  const jane = await addJane();
  const updated = await zep.user.update(jane);
  assert.deepEqual({ ...updated }, { ...jane, updated_at: updated.updated_at });
});

test("an id is unique", async () => {
  const jane = await addJane();
  await assert.rejects(zep.user.add({ user_id: jane.user_id }), (error) => {
    assert.equal(error.name, "APIError");
    assert.equal(error.code, 400);
    assert.ok(error.responseData.includes(jane.user_id));
    return true;
  });
  assert.deepEqual(await zep.user.get(jane.user_id), jane);
});

test("a user without an id is rejected", async () => {
  await assert.rejects(zep.user.add({ user_id: "" }), apiError(400));
});

test("an unknown user is not found", async () => {
  const unknown = fresh("unknown");
  await assert.rejects(zep.user.get(unknown), NotFoundError);
  await assert.rejects(zep.user.update({ user_id: unknown, email: "a@b.co" }), NotFoundError);
  await assert.rejects(zep.user.delete(unknown), NotFoundError);
  assert.deepEqual(await zep.user.getSessions(unknown), []);
});

test("the sessions of a user are listed", async () => {
  const jane = await addJane();
  const names = [fresh("a"), fresh("b")].sort();
  for (const session_id of names) {
    await zep.memory.addSession(new Session({ session_id, user_id: jane.user_id }));
  }
  const sessions = await zep.user.getSessions(jane.user_id);
  assert.deepEqual(sessions.map((session) => session.session_id).sort(), names);
  assert.ok(sessions.every((session) => session.user_id === jane.user_id));
});

test("an empty id deletes nothing", async () => {
  const jane = await addJane();
  await assert.rejects(zep.user.delete(""), apiError(405));
  assert.deepEqual(await zep.user.get(jane.user_id), jane);
});

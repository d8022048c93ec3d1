// Lists of all users and all sessions.
//
// The client's own iterators send an offset (cursor = 100, 200 …); other callers send the last id
// they received. Both must list every row once, also if rows are deleted in between. The server
// stores cursors by limit, so each test uses its own chunk size.
import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { Session, fresh, zep } from "./zep.js";

const users = {
  add: (user_id) => zep.user.add({ user_id }),
  delete: (name) => zep.user.delete(name),
  chunks: (size) => zep.user.listChunked(size),
  all: () => zep.user.list(),
  name: (user) => user.user_id,
};

const sessions = {
  add: (session_id) => zep.memory.addSession(new Session({ session_id })),
  delete: (name) => zep.memory.deleteMemory(name),
  chunks: (size) => zep.memory.listSessionsChunked(size),
  all: () => zep.memory.listSessions(),
  name: (session) => session.session_id,
};

const range = (from, to) => Array.from({ length: to - from }, (_, n) => from + n);

for (const [kind, rows] of Object.entries({ users, sessions })) {
  /** Creates rows 0 … count - 1; `numbers` returns those on a page of all rows. */
  const fill = async (count) => {
    const mark = fresh("");
    for (const n of range(0, count)) await rows.add(mark + n);
    const numbers = (page) =>
      page
        .map(rows.name)
        .filter((name) => name.startsWith(mark))
        .map((name) => Number(name.slice(mark.length)));
    return { numbers, remove: (n) => rows.delete(mark + n) };
  };

  suite(kind, () => {
    test("chunks list every row once after deletions in the middle", async () => {
      const { numbers, remove } = await fill(250);
      for (const n of range(75, 175)) await remove(n);
      const seen = [];
      for await (const page of rows.chunks(100)) seen.push(...numbers(page));
      assert.deepEqual(seen, [...range(0, 75), ...range(175, 250)]);
    });

    test("a loop that deletes each page deletes all rows", async () => {
      const { numbers, remove } = await fill(60);
      for await (const page of rows.chunks(7)) {
        for (const n of numbers(page)) await remove(n);
      }
      assert.deepEqual(numbers(await rows.all()), []);
    });

    test("without a limit every row is listed", async () => {
      const { numbers } = await fill(12);
      assert.deepEqual(numbers(await rows.all()), range(0, 12));
    });
  });
}

test("the last id leads to the next page of users", async () => {
  // Users only: this client drops the id of a session.
  const mark = fresh("");
  for (const n of range(0, 20)) await users.add(mark + n);
  for (const n of range(5, 10)) await users.delete(mark + n);
  const seen = [];
  let page = await zep.user.list(8);
  while (page.length > 0) {
    seen.push(...page.map(users.name).filter((name) => name.startsWith(mark)));
    page = await zep.user.list(8, page.at(-1).id);
  }
  assert.deepEqual(
    seen,
    [...range(0, 5), ...range(10, 20)].map((n) => mark + n),
  );
});

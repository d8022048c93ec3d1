// What the door does not have yet, it says, rather than answer something wrong.
import assert from "node:assert/strict";
import { test } from "node:test";

import { MemorySearchPayload, fresh, refusal, said, zep } from "./zep.js";

test("filters of a search are refused clearly", async () => {
  const session = fresh("s");
  await zep.memory.addMemory(session, said("Hello"));
  const query = new MemorySearchPayload({ metadata: { where: { jsonpath: "$" } } });
  await assert.rejects(zep.memory.searchMemory(session, query), refusal(501));
});

test("collections are refused clearly", async () => {
  const papers = { name: "papers", description: "All", embeddingDimensions: 8 };
  await assert.rejects(
    zep.document.addCollection({ ...papers, isAutoEmbedded: false }),
    refusal(501),
  );
  await assert.rejects(zep.document.getCollection("papers"), refusal(501));
  await assert.rejects(zep.document.updateCollection(papers), refusal(501));
  await assert.rejects(zep.document.listCollections(), refusal(501));
  await assert.rejects(zep.document.deleteCollection("papers"), refusal(501));
});

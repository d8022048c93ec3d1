// What the door does not have yet, it says, rather than answer something wrong.
import assert from "node:assert/strict";
import { test } from "node:test";

import { refusal, zep } from "./zep.js";

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

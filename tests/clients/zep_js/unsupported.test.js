// Unsupported routes return 501.
import assert from "node:assert/strict";
import { test } from "node:test";

import { apiError, zep } from "./zep.js";

test("collections return 501", async () => {
  const papers = { name: "papers", description: "All", embeddingDimensions: 8 };
  await assert.rejects(
    zep.document.addCollection({ ...papers, isAutoEmbedded: false }),
    apiError(501),
  );
  await assert.rejects(zep.document.getCollection("papers"), apiError(501));
  await assert.rejects(zep.document.updateCollection(papers), apiError(501));
  await assert.rejects(zep.document.listCollections(), apiError(501));
  await assert.rejects(zep.document.deleteCollection("papers"), apiError(501));
});

// Collections and documents.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";

import { Document, NotFoundError, apiError, zep } from "./zep.js";

const DIMENSIONS = 8;
// As many as the embedding model of the server makes.
const OF_THE_MODEL = 64;

const freshName = () => `papers${randomBytes(6).toString("hex")}`;

// The client rejects a query vector with a whole number in it, other than 0.
const near = (axis, other = 0) =>
  Float32Array.from({ length: DIMENSIONS }, (_, at) => (at === axis ? 0.5 : other));

const papersWith = async (...documents) => {
  const papers = await zep.document.addCollection({
    name: freshName(),
    description: "What I read",
    metadata: { topic: "shoes" },
    embeddingDimensions: DIMENSIONS,
    isAutoEmbedded: false,
  });
  return { papers, uuids: documents.length ? await papers.addDocuments(documents) : [] };
};

const three = () =>
  papersWith(
    new Document({ content: "red", document_id: "a", metadata: { n: 1 }, embedding: near(0) }),
    new Document({ content: "blue", metadata: { n: 2 }, embedding: near(0, 0.125) }),
    new Document({ content: "hats", embedding: near(3) }),
  );

const contents = (documents) => documents.map((document) => document.content);

test("a collection is created, read and listed", async () => {
  const { papers } = await three();
  assert.deepEqual(papers.metadata, { topic: "shoes" });
  const found = await zep.document.getCollection(papers.name);
  assert.equal(found.uuid, papers.uuid);
  const listed = (await zep.document.listCollections()).find(({ name }) => name === papers.name);
  assert.equal(listed.embedding_dimensions, DIMENSIONS);
  assert.equal(listed.is_auto_embedded, false);
  assert.deepEqual([listed.document_count, listed.document_embedded_count], [3, 3]);
});

test("a collection is updated and deleted", async () => {
  const { papers } = await three();
  const change = { name: papers.name, description: "More", metadata: { b: [1] } };
  const updated = await zep.document.updateCollection(change);
  assert.equal(updated.description, "More");
  assert.deepEqual(updated.metadata, { b: [1] });
  await zep.document.deleteCollection(papers.name);
  await assert.rejects(zep.document.getCollection(papers.name), NotFoundError);
});

test("documents are read by their uuids", async () => {
  const { papers, uuids } = await three();
  // The client uses a path that Zep does not have.
  const document = await papers.getDocument(uuids[0]);
  assert.equal(document.content, "red");
  assert.equal(document.document_id, "a");
  assert.deepEqual(document.metadata, { n: 1 });
  assert.deepEqual([...document.embedding], [...near(0)]);
  const many = await papers.getDocuments([uuids[2], uuids[0]]);
  assert.deepEqual(contents(many).sort(), ["hats", "red"]);
});

test("a document is updated and deleted", async () => {
  const { papers, uuids } = await three();
  await papers.updateDocument({ uuid: uuids[0], documentId: "b", metadata: { m: 2 } });
  const document = await papers.getDocument(uuids[0]);
  assert.equal(document.document_id, "b");
  assert.deepEqual(document.metadata, { m: 2 });
  await papers.deleteDocument(uuids[0]);
  await assert.rejects(papers.getDocument(uuids[0]), NotFoundError);
});

test("the nearest documents are found first", async () => {
  const { papers } = await three();
  const [found, vector] = await papers.searchReturnQueryVector({ embedding: near(0) }, 2);
  assert.deepEqual(contents(found), ["red", "blue"]);
  assert.ok(Math.abs(found[0].score - 1) < 1e-6);
  assert.deepEqual([...vector], [...near(0)]);
});

test("documents are found by metadata and by maximal marginal relevance", async () => {
  const { papers } = await three();
  const metadata = { where: { jsonpath: "$[*] ? (@.n == 2)" } };
  assert.deepEqual(contents(await papers.search({ metadata })), ["blue"]);
  const query = { embedding: near(0), searchType: "mmr", mmrLambda: 0.1 };
  assert.deepEqual(contents(await papers.search(query, 2)), ["red", "hats"]);
});

test("more documents than a batch are added", async () => {
  const { papers } = await papersWith();
  const many = Array.from(
    { length: 900 },
    (_, n) => new Document({ content: `${n}`, embedding: near(n % 8, 0.25) }),
  );
  assert.equal(new Set(await papers.addDocuments(many)).size, 900);
  const { document_count: count } = await zep.document.getCollection(papers.name);
  assert.equal(count, 900);
});

test("an index can be created", async () => {
  const { papers } = await three();
  await papers.createIndex(true);
});

test("documents are embedded automatically", async () => {
  const name = freshName();
  const notes = await zep.document.addCollection({
    name,
    embeddingDimensions: OF_THE_MODEL,
    isAutoEmbedded: true,
  });
  const texts = ["a journey by ship", "the price of shoes", "a dog and a cat"];
  await notes.addDocuments(texts.map((content) => new Document({ content })));
  const ends = Date.now() + 20_000;
  while ((await zep.document.getCollection(name)).document_embedded_count < 3) {
    assert.ok(Date.now() < ends);
    await setTimeout(20);
  }
  assert.deepEqual(contents(await notes.search({ text: "footwear" }, 1)), [texts[1]]);
});

test("a name that is used is rejected", async () => {
  const { papers } = await papersWith();
  const again = { name: papers.name, embeddingDimensions: DIMENSIONS, isAutoEmbedded: false };
  await assert.rejects(zep.document.addCollection(again), apiError(400));
});

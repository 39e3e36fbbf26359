/** The first session of the guides, typed: `node dist/first-session.js http://127.0.0.1:8000`. */
import { strict as assert } from "node:assert";
import { ApiError, movieShelf, need } from "./client.js";

const shelf = movieShelf({ baseUrl: process.argv[2] ?? "http://127.0.0.1:8000" });
const now = Date.now();

const { user } = need(
  await shelf.POST("/auth/register", {
    body: { name: "Ada", email: `ada-${now}@example.com`, password: "a shelf of my own" },
  }),
);
const film = need(
  await shelf.POST("/movies", {
    params: { header: { "Idempotency-Key": `film-${now}` } },
    body: { title: `The Attic Tapes ${now}`, releaseDate: "2026-05-01" },
  }),
);
assert.equal(film.createdBy, user.id);

const id = film.id;
const rated = need(await shelf.PUT("/movies/{movieId}/rating", { params: { path: { movieId: id } }, body: { value: 5 } }));
assert.equal(rated.averageRating, 5);

const review = need(
  await shelf.POST("/movies/{movieId}/reviews", {
    params: { path: { movieId: id } },
    body: { content: "I <3 this: two hours, no dull minute." },
  }),
);
assert.equal(review.rating, 5);

const found = need(await shelf.GET("/movies", { params: { query: { q: `tapes ${now}`, sort: "top" } } }));
assert.deepEqual(found.items.map((one) => one.id), [id]);

const shown = await shelf.GET("/movies/{id}", { params: { path: { id } } });
const tag = shown.response.headers.get("ETag") ?? "";
const again = await shelf.GET("/movies/{id}", { params: { path: { id }, header: { "If-None-Match": tag } } });
assert.equal(again.response.status, 304);

const taken = await shelf.POST("/movies", { body: { title: film.title } });
assert.throws(
  () => need(taken),
  (error: unknown) => error instanceof ApiError && error.code === "conflict" && error.details?.["title"]?.[0]?.movieId === id,
);
console.log(`A first session with film ${id}: all as typed.`);

/** How tokens are renewed, with a cookie jar in the browser's place: `node dist/renewal.js http://127.0.0.1:8000`. */
import { strict as assert } from "node:assert";
import { movieShelf, need } from "./client.js";

const baseUrl = process.argv[2] ?? "http://127.0.0.1:8000";
const calls: string[] = [];
let cookie = "";

async function browser(input: RequestInfo | URL): Promise<Response> {
  const request = new Request(input);
  const { pathname } = new URL(request.url);
  calls.push(pathname);
  if (cookie && pathname.startsWith("/auth/")) request.headers.set("Cookie", cookie);
  const answer = await fetch(request);
  for (const set of answer.headers.getSetCookie()) cookie = set.split(";")[0] ?? "";
  return answer;
}

const count = (path: string): number => calls.filter((one) => one === path).length;
const email = `tabs-${Date.now()}@example.com`;
const password = "a shelf of my own";
const first = movieShelf({ baseUrl, fetch: browser });
need(await first.POST("/auth/register", { body: { name: "Ada", email, password } }));

// The page was loaded anew: three requests are waiting, and one call renews for all of them.
const shelf = movieShelf({ baseUrl: `${baseUrl}/`, fetch: browser });
const answers = await Promise.all([1, 2, 3].map(() => shelf.GET("/users/me")));
for (const answer of answers) assert.equal(need(answer).email, email);
assert.equal(count("/auth/refresh"), 1);

// The token is no longer good.
shelf.logIn("not.a.token");
assert.equal(need(await shelf.GET("/users/me")).email, email);
assert.equal(count("/auth/refresh"), 2);

// A wrong password is a wrong password: nothing is renewed, and it is sent once.
const refused = await shelf.POST("/auth/login", { body: { email, password: "another shelf" } });
assert.equal(refused.response.status, 401);
assert.equal(count("/auth/login"), 1);
assert.equal(count("/auth/refresh"), 2);

// After logging out there is nothing to renew by, and the 401 is what one gets.
await shelf.POST("/auth/logout");
assert.equal((await shelf.GET("/users/me")).response.status, 401);
assert.equal(count("/auth/refresh"), 3);
console.log(`Renewed as the guide says, for ${email}.`);

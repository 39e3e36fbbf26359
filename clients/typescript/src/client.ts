/**
 * A typed client for MovieShelf. Paths, bodies and answers come from the OpenAPI document.
 *
 * The access token is kept in memory and nowhere else. The refresh token is a cookie that no script
 * can read: a browser sends it by itself. After a 401 the token is renewed once, by one call however
 * many requests are waiting for it, and the request is sent again. A page that was just loaded has no
 * token: its first 401 fetches one.
 */
import createClient, { type Client, type Middleware } from "openapi-fetch";
import type { components, paths } from "./schema.js";

export type Schemas = components["schemas"];
export type MovieShelf = Client<paths> & { logIn(accessToken: string | undefined): void };

export interface Options {
  baseUrl: string;
  /** Another `fetch`, for example one that keeps cookies outside of a browser. */
  fetch?: typeof globalThis.fetch;
}

/** Thrown by `need` for every answer that is no success. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: Schemas["ErrorCode"],
    message: string,
    readonly details: Schemas["Error"]["error"]["details"],
  ) {
    super(message);
  }
}

/** Give what was answered, or throw the error of the answer. */
export function need<T>(answer: { data?: T; error?: Schemas["Error"]; response: Response }): T {
  if (answer.error !== undefined) {
    const { code, message, details } = answer.error.error;
    throw new ApiError(answer.response.status, code, message, details);
  }
  return answer.data as T;
}

export function movieShelf({ baseUrl, fetch = globalThis.fetch }: Options): MovieShelf {
  let accessToken: string | undefined;
  let renewal: Promise<unknown> | undefined;

  // The calls about logins look at no access token, so a new one would change nothing.
  const isAboutLogins = (request: Request): boolean =>
    request.url.startsWith(new URL(`${baseUrl.replace(/\/$/, "")}/auth/`, request.url).href);

  const authorized = (request: Request): Request => {
    const copy = request.clone();
    if (accessToken !== undefined) copy.headers.set("Authorization", `Bearer ${accessToken}`);
    return copy;
  };

  const send = async (request: Request): Promise<Response> => {
    const used = accessToken;
    const answer = await fetch(authorized(request));
    if (answer.status !== 401 || isAboutLogins(request)) return answer;
    // Else another request has renewed it meanwhile.
    if (accessToken === used) await renew();
    return accessToken === undefined || accessToken === used ? answer : fetch(authorized(request));
  };

  const client = createClient<paths>({ baseUrl, fetch: send, credentials: "include" });
  const renew = (): Promise<unknown> =>
    (renewal ??= client.POST("/auth/refresh").finally(() => (renewal = undefined)));
  const keepToken: Middleware = {
    async onResponse({ response, schemaPath }) {
      const gives = ["/auth/register", "/auth/login", "/auth/refresh"].includes(schemaPath);
      if (response.ok && gives) {
        accessToken = ((await response.clone().json()) as Schemas["Token"]).accessToken;
      }
      const hasEnded = schemaPath === "/auth/refresh" && response.status === 401;
      if (hasEnded || (response.ok && schemaPath === "/auth/logout")) accessToken = undefined;
    },
  };
  client.use(keepToken);
  return Object.assign(client, {
    logIn: (token: string | undefined) => {
      accessToken = token;
    },
  });
}

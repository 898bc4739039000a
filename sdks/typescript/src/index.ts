import { Core, type ClientOptions, type Session } from "./core.js";
import { Resources } from "./generated/resources.js";

export type { Change, ClientOptions, Session } from "./core.js";
export * from "./errors.js";
export { EventFeed, type FollowOptions } from "./events.js";
export * from "./generated/models.js";
export * from "./generated/resources.js";
export { Pages, type Page } from "./pages.js";
export { metaOf } from "./types.js";
export type * from "./types.js";
export { VERSION } from "./version.js";
export * as webhooks from "./webhooks.js";

/**
 * A client of the service.
 *
 * ```ts
 * const kampanje = new Kampanje({ baseUrl: "http://localhost:8080", apiKey });
 * const campaign = await kampanje.campaigns.get("SPRING");
 * ```
 */
export class Kampanje extends Resources {
  readonly #core: Core;

  constructor(options: ClientOptions = {}) {
    const core = new Core(options);
    super(core);
    this.#core = core;
  }

  /**
   * The newest version of the price book that this client has made. Give it to another client, so
   * that its queries wait for the same version.
   */
  get session(): Session | undefined {
    return this.#core.session;
  }

  set session(session: Session | undefined) {
    this.#core.session = session;
  }
}

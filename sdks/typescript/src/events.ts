import { backoff, sleep, type CallOptions, type Core } from "./core.js";
import { ConnectionError, ProblemException } from "./errors.js";
import type { CloudEvent, EventPage } from "./generated/models.js";
import type { Pages } from "./pages.js";
import type { RequestOptions } from "./types.js";

const POLL_INTERVAL = 1_000;
const PAGE_SIZE = 500;
const WAIT_SECONDS = 20;

/** Options of `follow`. */
export interface FollowOptions extends RequestOptions {
  /** The last sequence that was processed. Default: 0, from the first event. */
  after?: number | undefined;
  /** The history that `after` belongs to. A restored database is refused with `OTHER_HISTORY`. */
  bookId?: string | undefined;
  /** One type of events only. */
  type?: string | undefined;
  /**
   * The number of seconds for which the service waits for an event before it answers that there is
   * none: at most 30, and less than the timeout of the client. Default: 20. 0 to poll.
   */
  wait?: number | undefined;
  /**
   * The minimum interval between two requests at the end of the feed in milliseconds. Default: 1
   * second.
   */
  pollInterval?: number | undefined;
  /**
   * Called with the sequence of an event after it was processed, which is when the next one is
   * requested. Store it, and pass it as `after` after a restart.
   */
  onSequence?: ((sequence: number, event: CloudEvent) => void | Promise<void>) | undefined;
}

/** The feed of events. */
export abstract class EventFeed {
  constructor(protected readonly core: Core) {}

  abstract list(
    options?: CallOptions & { after?: number; wait?: number },
  ): Pages<CloudEvent, EventPage>;

  /**
   * Iterates over all events after a sequence, and waits for new ones. Ends only when the signal
   * aborts or the caller leaves the loop.
   *
   * Each event is delivered at least once. Types that this package does not know are delivered too.
   * Failures of the network and of the service are retried without limit.
   */
  async *follow(options: FollowOptions = {}): AsyncGenerator<CloudEvent, void, undefined> {
    const { onSequence, pollInterval, ...rest } = options;
    let after = options.after ?? 0;
    let bookId = options.bookId;
    let failures = 0;
    while (true) {
      options.signal?.throwIfAborted();
      let events: CloudEvent[];
      const began = Date.now();
      try {
        const wait = options.wait ?? WAIT_SECONDS;
        const history = bookId !== undefined && { bookId };
        const query = { ...rest, ...history, after, wait, top: PAGE_SIZE };
        events = (await this.list(query).page()).value;
        failures = 0;
      } catch (error) {
        if (!isPassing(error)) {
          throw error;
        }
        failures += 1;
        await sleep(backoff(failures), options.signal);
        continue;
      }
      for (const event of events) {
        yield event;
        after = event.sequence;
        bookId ??= event.bookid;
        await onSequence?.(after, event);
      }
      if (events.length === 0) {
        // The service has waited, unless it is stopping.
        const pause = began + (pollInterval ?? POLL_INTERVAL) - Date.now();
        await sleep(Math.max(0, pause), options.signal);
      }
    }
  }
}

function isPassing(error: unknown): boolean {
  const statuses = [408, 429, 502, 503, 504];
  return (
    error instanceof ConnectionError ||
    (error instanceof ProblemException && statuses.includes(error.status))
  );
}

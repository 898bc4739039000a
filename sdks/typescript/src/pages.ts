/** A page of a list. */
export interface Page<T> {
  value: T[];
  nextLink?: string | null;
}

/**
 * A list, read page by page as it is iterated.
 *
 * ```ts
 * for await (const campaign of kampanje.campaigns.list()) { … }
 * ```
 */
export class Pages<T, P extends Page<T> = Page<T>> implements AsyncIterable<T> {
  readonly #read: (link: string | undefined) => Promise<P>;

  constructor(read: (link: string | undefined) => Promise<P>) {
    this.#read = read;
  }

  /** Returns the first page, or the one that a `nextLink` leads to. */
  page(nextLink?: string): Promise<P> {
    return this.#read(nextLink);
  }

  /** Iterates over the pages. */
  async *pages(): AsyncGenerator<P, void, undefined> {
    let link: string | null | undefined;
    do {
      const page = await this.#read(link ?? undefined);
      yield page;
      link = page.nextLink;
    } while (link != null);
  }

  /** Iterates over the rows of all pages. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for await (const page of this.pages()) {
      yield* page.value;
    }
  }

  /** Returns the first rows, at most `limit`. */
  async take(limit: number): Promise<T[]> {
    const rows: T[] = [];
    if (limit <= 0) {
      return rows;
    }
    for await (const row of this) {
      rows.push(row);
      if (rows.length >= limit) {
        break;
      }
    }
    return rows;
  }
}

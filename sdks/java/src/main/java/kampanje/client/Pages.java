package kampanje.client;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.function.Function;

/**
 * A list, read page by page as it is iterated.
 *
 * @param <T> the type of the rows
 * @param <P> the type of the pages
 */
public final class Pages<T, P> implements Iterable<T> {
  private final Function<String, P> read;
  private final Function<P, List<T>> rows;
  private final Function<P, String> nextLink;

  Pages(Function<String, P> read, Function<P, List<T>> rows, Function<P, String> nextLink) {
    this.read = read;
    this.rows = rows;
    this.nextLink = nextLink;
  }

  /** Returns the first page. */
  public P page() {
    return read.apply(null);
  }

  /** Returns the pages, each requested when it is needed. */
  public Iterable<P> pages() {
    return () ->
        new Iterator<>() {
          private String link;
          private boolean ended;

          @Override
          public boolean hasNext() {
            return !ended;
          }

          @Override
          public P next() {
            if (ended) {
              throw new NoSuchElementException();
            }
            P page = read.apply(link);
            link = nextLink.apply(page);
            ended = link == null;
            return page;
          }
        };
  }

  @Override
  public Iterator<T> iterator() {
    Iterator<P> pages = pages().iterator();
    return new Iterator<>() {
      private Iterator<T> current = List.<T>of().iterator();

      @Override
      public boolean hasNext() {
        while (!current.hasNext() && pages.hasNext()) {
          current = rows.apply(pages.next()).iterator();
        }
        return current.hasNext();
      }

      @Override
      public T next() {
        if (!hasNext()) {
          throw new NoSuchElementException();
        }
        return current.next();
      }
    };
  }

  /** Returns the first rows, at most {@code limit}. */
  public List<T> take(int limit) {
    List<T> result = new ArrayList<>();
    Iterator<T> all = iterator();
    while (result.size() < limit && all.hasNext()) {
      result.add(all.next());
    }
    return result;
  }
}

package kampanje.client;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.function.Function;

/**
 * A stream of rows. It can be iterated once, and has to be closed. A stream that breaks off is an
 * exception, not an end.
 *
 * @param <T> the type of the rows
 */
public final class JsonLines<T> implements Iterable<T>, AutoCloseable {
  private final BufferedReader reader;
  private final Function<ObjectNode, T> create;

  JsonLines(InputStream body, Function<ObjectNode, T> create) {
    this.reader = new BufferedReader(new InputStreamReader(body, StandardCharsets.UTF_8));
    this.create = create;
  }

  @Override
  public Iterator<T> iterator() {
    return new Iterator<>() {
      private String line;

      @Override
      public boolean hasNext() {
        try {
          while (line == null || line.isEmpty()) {
            line = reader.readLine();
            if (line == null) {
              return false;
            }
          }
          return true;
        } catch (IOException error) {
          throw new KampanjeException.ConnectionFailed("the stream broke off", error);
        }
      }

      @Override
      public T next() {
        if (!hasNext()) {
          throw new NoSuchElementException();
        }
        String current = line;
        line = null;
        return create.apply(Core.parseObject(current));
      }
    };
  }

  @Override
  public void close() {
    try {
      reader.close();
    } catch (IOException error) {
      throw new KampanjeException.ConnectionFailed("the stream broke off", error);
    }
  }
}

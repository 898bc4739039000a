package kampanje.client;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Consumer;

/**
 * Options of one request: its parameters and conditions, and what differs from the client.
 *
 * @param <T> the type itself
 */
public abstract class Options<T extends Options<T>> {
  final Map<String, String> query = new LinkedHashMap<>();
  String ifMatch;
  String ifNoneMatch;
  Duration timeout;
  Integer maxRetries;
  String idempotencyKey;
  Consumer<Meta> onMeta = meta -> {};

  /** Creates options without any. */
  protected Options() {}

  /** Returns this object. */
  protected abstract T self();

  /** Sets a parameter of the query; null removes it. */
  protected final T query(String name, Object value) {
    if (value == null) {
      query.remove(name);
    } else {
      query.put(name, Model.toText(value));
    }
    return self();
  }

  /** Sets the entity tag that the resource must have. */
  protected final T condition(String etag) {
    this.ifMatch = etag;
    return self();
  }

  /** Sets the entity tag that the resource must not have. */
  protected final T noneMatchCondition(String etag) {
    this.ifNoneMatch = etag;
    return self();
  }

  /** Sets the time for one attempt. */
  public final T timeout(Duration value) {
    this.timeout = value;
    return self();
  }

  /** Sets the maximum number of retries. */
  public final T maxRetries(int value) {
    this.maxRetries = value;
    return self();
  }

  /**
   * Sets the idempotency key. By default each call has a new one, which its retries keep. Your own
   * makes a call safe to repeat after a restart of your process.
   */
  public final T idempotencyKey(String value) {
    this.idempotencyKey = value;
    return self();
  }

  /** Sets the receiver of the headers of the successful response, also of one without content. */
  public final T onMeta(Consumer<Meta> value) {
    this.onMeta = value;
    return self();
  }
}

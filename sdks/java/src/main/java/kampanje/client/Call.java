package kampanje.client;

/** An operation with its arguments. */
final class Call {
  final String method;
  final String path;
  Object body;

  /** The operation accepts an idempotency key. */
  boolean idempotent;

  /** A repetition has no effect. */
  boolean safe;

  /** The operation can wait for a version of the price book. */
  boolean session;

  Call(String method, String path) {
    this.method = method;
    this.path = path;
  }

  Call body(Object value) {
    this.body = value;
    return this;
  }

  Call idempotent() {
    this.idempotent = true;
    return this;
  }

  Call safe() {
    this.safe = true;
    return this;
  }

  Call session() {
    this.session = true;
    return this;
  }
}

package kampanje.client;

/** Options of an operation without parameters. */
public final class RequestOptions extends Options<RequestOptions> {
  /** Creates options without any. */
  public RequestOptions() {}

  @Override
  protected RequestOptions self() {
    return this;
  }
}

package kampanje.client;

/**
 * The headers of a response.
 *
 * @param status the HTTP status
 * @param etag the entity tag, for {@code ifMatch}; or null
 * @param version the version of the price book that the change made, or that answered; or null
 * @param bookId the history that the version belongs to; or null
 * @param traceId identifies the request in the log of the service; or null
 * @param replayed true if this is the stored response of an earlier attempt with the same key
 * @param attempts the number of attempts that this request took
 */
public record Meta(
    int status,
    String etag,
    Long version,
    String bookId,
    String traceId,
    boolean replayed,
    int attempts) {}

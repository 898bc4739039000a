package kampanje.client;

/**
 * The newest version of the price book that a client has made.
 *
 * @param version the version
 * @param bookId the history that it belongs to; or null
 */
public record Session(long version, String bookId) {}

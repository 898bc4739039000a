package kampanje.client;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.util.List;
import java.util.stream.Collectors;

/** The base of all exceptions of this package. */
public class KampanjeException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  KampanjeException(String message, Throwable cause) {
    super(message, cause);
  }

  /** No response arrived: the connection failed, or broke before the response was complete. */
  public static class ConnectionFailed extends KampanjeException {
    private static final long serialVersionUID = 1L;

    ConnectionFailed(String message, Throwable cause) {
      super(message, cause);
    }
  }

  /** An attempt took longer than its timeout. */
  public static final class TimedOut extends ConnectionFailed {
    private static final long serialVersionUID = 1L;

    TimedOut(String message, Throwable cause) {
      super(message, cause);
    }
  }

  /** The resource still has the entity tag of {@code ifNoneMatch} (304). */
  public static final class NotModified extends KampanjeException {
    private static final long serialVersionUID = 1L;

    NotModified() {
      super("the resource has not changed", null);
    }
  }

  /** A delivery of a webhook is not signed by any of the secrets, or is too old. */
  public static final class InvalidSignature extends KampanjeException {
    private static final long serialVersionUID = 1L;

    InvalidSignature(String message) {
      super(message, null);
    }
  }

  /** The service refused the request. */
  public static final class Refused extends KampanjeException {
    private static final long serialVersionUID = 1L;

    private final transient Models.Problem problem;
    private final transient Meta meta;
    private final Duration retryAfter;
    private final String code;

    Refused(ObjectNode document, Meta meta, Duration retryAfter) {
      super(message(document, meta), null);
      this.problem = new Models.Problem(document);
      this.meta = meta;
      this.retryAfter = retryAfter;
      this.code = code(document, meta);
    }

    private static String code(ObjectNode document, Meta meta) {
      return document.path("code").asText("HTTP_" + meta.status());
    }

    private static String message(ObjectNode document, Meta meta) {
      String detail = document.path("detail").asText("the response has this status");
      String places =
          new Models.Problem(document)
              .errors().stream()
                  .limit(3)
                  .map(error -> "; " + error.pointer() + ": " + error.detail())
                  .collect(Collectors.joining());
      return code(document, meta) + ": " + detail + places;
    }

    /** Returns the HTTP status. */
    public int status() {
      return meta.status();
    }

    /** Returns the stable code; {@code HTTP_502} if a proxy answered instead. */
    public String code() {
      return code;
    }

    /** Returns everything that is wrong with the request. */
    public List<Models.ProblemError> errors() {
      return problem.errors();
    }

    /** Returns the findings that refuse an activation. */
    public List<Models.Finding> findings() {
      return problem.findings();
    }

    /** Returns what identifies the request in the log of the service; or null. */
    public String traceId() {
      return problem.traceId() == null ? meta.traceId() : problem.traceId();
    }

    /** Returns the document as it was received. */
    public Models.Problem problem() {
      return problem;
    }

    /** Returns the time to wait before a retry; or null. */
    public Duration retryAfter() {
      return retryAfter;
    }
  }
}

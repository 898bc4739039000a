package kampanje.client;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpHeaders;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/** Sends requests: authentication, retries, consistency, exceptions. */
final class Core {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Duration FIRST_BACKOFF = Duration.ofMillis(250);
  private static final Duration MAX_BACKOFF = Duration.ofSeconds(8);
  private static final Duration MAX_RETRY_AFTER = Duration.ofSeconds(60);
  private static final int MAX_MODIFICATIONS = 10;
  private static final Set<Integer> RETRIED = Set.of(408, 429, 502, 503, 504);

  /** The statuses after which a request without idempotency key certainly had no effect. */
  private static final Set<Integer> REFUSED = Set.of(429, 503);

  private final Kampanje.Builder options;
  private final String baseUrl;
  private final HttpClient http;
  private volatile Session session;

  Core(Kampanje.Builder options) {
    this.options = options;
    this.baseUrl = options.baseUrl.replaceAll("/+$", "");
    this.http =
        options.httpClient != null
            ? options.httpClient
            : HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
  }

  Session session() {
    return session;
  }

  void setSession(Session newest) {
    this.session = newest;
  }

  /** Joins a path of literals and parameters: literals are at even positions. */
  static String path(Object... parts) {
    StringBuilder path = new StringBuilder();
    for (int at = 0; at < parts.length; at++) {
      String text = String.valueOf(parts[at]);
      path.append(at % 2 == 0 ? text : encode(text));
    }
    return path.toString();
  }

  private static String encode(String text) {
    return URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20");
  }

  static ObjectNode parseObject(String text) {
    try {
      return JSON.readTree(text) instanceof ObjectNode node ? node : Model.empty();
    } catch (JsonProcessingException error) {
      throw new KampanjeException("not a JSON object", error);
    }
  }

  /** Sends a request and returns its content; null if there is none. */
  <T extends Model> T request(Call call, Options<?> wanted, Function<ObjectNode, T> create) {
    Received received = send(call, wanted, false);
    if (received.text.isEmpty()) {
      return null;
    }
    T value = create.apply(parseObject(received.text));
    value.setMeta(received.meta);
    return value;
  }

  /** Sends a request and returns its content as text. */
  String requestText(Call call, Options<?> wanted) {
    return send(call, wanted, false).text;
  }

  /** Returns a list, of which nothing is requested until it is iterated. */
  <T, P extends Model> Pages<T, P> pages(
      Call call,
      Options<?> wanted,
      Function<ObjectNode, P> create,
      Function<P, List<T>> rows,
      Function<P, String> nextLink) {
    return new Pages<>(
        link ->
            link == null
                ? request(call, wanted, create)
                : request(new Call("GET", link).safe(), unconditional(wanted), create),
        rows,
        nextLink);
  }

  /** The options of a request without its query, which the link of a page contains already. */
  private static RequestOptions unconditional(Options<?> wanted) {
    RequestOptions rest = new RequestOptions();
    rest.timeout = wanted.timeout;
    rest.maxRetries = wanted.maxRetries;
    rest.onMeta = wanted.onMeta;
    return rest;
  }

  /** Requests a stream of JSON lines. */
  <T> JsonLines<T> stream(Call call, Options<?> wanted, Function<ObjectNode, T> create) {
    return new JsonLines<>(send(call, wanted, true).stream, create);
  }

  /** Reads, changes and writes a resource; again from the start if it was changed meanwhile. */
  static <T extends Model, P> T modify(
      Supplier<T> read, Function<T, P> change, BiFunction<P, String, T> write) {
    for (int attempt = 1; ; attempt++) {
      T current = read.get();
      P wanted = change.apply(current);
      if (wanted == null) {
        return current;
      }
      Meta meta = current.meta();
      try {
        return write.apply(wanted, meta == null || meta.etag() == null ? "*" : meta.etag());
      } catch (KampanjeException.Refused refused) {
        if (refused.status() != 412 || attempt >= MAX_MODIFICATIONS) {
          throw refused;
        }
      }
    }
  }

  private record Received(int status, HttpHeaders headers, String text, InputStream stream,
      Meta meta) {}

  private Received send(Call call, Options<?> wanted, boolean isStream) {
    int maxRetries = wanted.maxRetries == null ? options.maxRetries : wanted.maxRetries;
    // One key for the call: a retry after a lost response gets that response.
    String ownKey = wanted.idempotencyKey;
    String newKey = ownKey == null ? UUID.randomUUID().toString() : ownKey;
    String key = call.idempotent ? newKey : null;
    boolean useSession = call.session && options.sessionConsistency;
    for (int attempt = 1; ; attempt++) {
      KampanjeException failure;
      Duration wait = null;
      try {
        Received received = attempt(call, wanted, isStream, key, useSession, attempt);
        if (received.status / 100 == 2) {
          remember(received.meta);
          wanted.onMeta.accept(received.meta);
          return received;
        }
        if (received.status == 304) {
          throw new KampanjeException.NotModified();
        }
        KampanjeException.Refused refused = refusal(received);
        if (useSession && refused.code().equals("OTHER_HISTORY")) {
          // The database was restored: what this client has written may be gone.
          session = null;
          useSession = false;
          continue;
        }
        if (!isRetried(refused, call)) {
          throw refused;
        }
        failure = refused;
        wait = refused.retryAfter();
      } catch (KampanjeException.ConnectionFailed error) {
        if (!call.safe && !call.idempotent) {
          throw error;
        }
        failure = error;
      }
      if (attempt > maxRetries) {
        throw failure;
      }
      sleep(wait == null ? backoff(attempt) : wait);
    }
  }

  private Received attempt(
      Call call, Options<?> wanted, boolean isStream, String key, boolean useSession, int attempt) {
    Duration timeout = wanted.timeout == null ? options.timeout : wanted.timeout;
    HttpRequest request = build(call, wanted, isStream, key, useSession);
    CompletableFuture<HttpResponse<InputStream>> sending =
        http.sendAsync(request, HttpResponse.BodyHandlers.ofInputStream());
    CompletableFuture<Received> receiving =
        sending.thenApplyAsync(response -> receive(response, isStream, attempt));
    try {
      return receiving.get(timeout.toMillis(), TimeUnit.MILLISECONDS);
    } catch (TimeoutException error) {
      sending.cancel(true);
      sending.thenAccept(response -> close(response.body()));
      throw new KampanjeException.TimedOut("no response within " + timeout, error);
    } catch (ExecutionException error) {
      if (error.getCause() instanceof KampanjeException known) {
        throw known;
      }
      String place = call.method + " " + call.path;
      throw new KampanjeException.ConnectionFailed("the request failed: " + place, error.getCause());
    } catch (InterruptedException error) {
      sending.cancel(true);
      Thread.currentThread().interrupt();
      throw new KampanjeException("interrupted", error);
    }
  }

  private static Received receive(
      HttpResponse<InputStream> response, boolean isStream, int attempt) {
    HttpHeaders headers = response.headers();
    Meta meta = meta(response, attempt);
    boolean isSuccess = response.statusCode() / 100 == 2;
    if (isStream && isSuccess) {
      return new Received(response.statusCode(), headers, "", response.body(), meta);
    }
    try (InputStream body = response.body()) {
      String text = new String(body.readAllBytes(), StandardCharsets.UTF_8);
      boolean isJson = headers.firstValue("content-type").orElse("").contains("json");
      if (isSuccess && isJson && !text.isEmpty()) {
        JSON.readTree(text);
      }
      return new Received(response.statusCode(), headers, text, null, meta);
    } catch (IOException error) {
      // Also of a body that is not complete JSON.
      throw new KampanjeException.ConnectionFailed("the response is not complete", error);
    }
  }

  private static void close(InputStream body) {
    try {
      body.close();
    } catch (IOException ignored) {
      // Nobody reads it any more.
    }
  }

  private HttpRequest build(
      Call call, Options<?> wanted, boolean isStream, String key, boolean useSession) {
    HttpRequest.BodyPublisher body =
        call.body == null
            ? HttpRequest.BodyPublishers.noBody()
            : HttpRequest.BodyPublishers.ofString(Model.toJson(call.body).toString());
    HttpRequest.Builder request =
        HttpRequest.newBuilder(URI.create(url(call, wanted, useSession))).method(call.method, body);
    Map<String, String> headers = new LinkedHashMap<>(options.headers);
    headers.put("accept", isStream ? "application/x-ndjson" : "application/json");
    String token = options.apiKey.get();
    headers.put("authorization", token == null ? null : "Bearer " + token);
    String merge = call.method.equals("PATCH") ? "merge-patch+json" : "json";
    headers.put("content-type", call.body == null ? null : "application/" + merge);
    headers.put("if-match", wanted.ifMatch);
    headers.put("if-none-match", wanted.ifNoneMatch);
    headers.put("idempotency-key", key);
    headers.put("user-agent", "kampanje-java/" + Version.VERSION);
    headers.forEach(
        (name, value) -> {
          if (value != null) {
            request.setHeader(name, value);
          }
        });
    return request.build();
  }

  private String url(Call call, Options<?> wanted, boolean useSession) {
    if (!call.path.startsWith("/") || call.path.startsWith("//")) {
      throw new IllegalArgumentException("not a path of the service: " + call.path);
    }
    Map<String, String> query = new LinkedHashMap<>(wanted.query);
    Session newest = session;
    boolean isChosen =
        query.containsKey("publicationVersion") || query.containsKey("minPublicationVersion");
    if (useSession && newest != null && !isChosen) {
      query.put("minPublicationVersion", Long.toString(newest.version()));
      if (newest.bookId() != null) {
        query.putIfAbsent("bookId", newest.bookId());
      }
    }
    String text =
        query.entrySet().stream()
            .map(entry -> encode(entry.getKey()) + "=" + encode(entry.getValue()))
            .collect(Collectors.joining("&"));
    return baseUrl + call.path + (text.isEmpty() ? "" : "?" + text);
  }

  private synchronized void remember(Meta meta) {
    if (meta.version() == null || meta.bookId() == null) {
      return;
    }
    Session known = session;
    boolean isOther = known == null || !meta.bookId().equals(known.bookId());
    if (isOther || known.version() < meta.version()) {
      session = new Session(meta.version(), meta.bookId());
    }
  }

  private static Meta meta(HttpResponse<?> response, int attempts) {
    HttpHeaders headers = response.headers();
    return new Meta(
        response.statusCode(),
        headers.firstValue("etag").orElse(null),
        headers.firstValue("publication-version").map(Long::valueOf).orElse(null),
        headers.firstValue("book-id").orElse(null),
        headers.firstValue("trace-id").orElse(null),
        headers.firstValue("idempotency-replayed").orElse("").equals("true"),
        attempts);
  }

  private static KampanjeException.Refused refusal(Received received) {
    ObjectNode document = JsonNodeFactory.instance.objectNode();
    try {
      JsonNode value = JSON.readTree(received.text);
      document = value instanceof ObjectNode object ? object : document;
    } catch (JsonProcessingException ignored) {
      // A proxy answered, in a form of its own.
    }
    return new KampanjeException.Refused(document, received.meta, retryAfter(received.headers));
  }

  private static Duration retryAfter(HttpHeaders headers) {
    String header = headers.firstValue("retry-after").orElse(null);
    if (header == null) {
      return null;
    }
    Duration wait;
    try {
      wait = Duration.ofSeconds(Long.parseLong(header));
    } catch (NumberFormatException notSeconds) {
      try {
        ZonedDateTime date = ZonedDateTime.parse(header, DateTimeFormatter.RFC_1123_DATE_TIME);
        wait = Duration.between(Instant.now(), date.toInstant());
      } catch (DateTimeException notDate) {
        return null;
      }
    }
    Duration atLeast = wait.isNegative() ? Duration.ZERO : wait;
    return atLeast.compareTo(MAX_RETRY_AFTER) > 0 ? MAX_RETRY_AFTER : atLeast;
  }

  static boolean isPassing(KampanjeException error) {
    return error instanceof KampanjeException.ConnectionFailed
        || error instanceof KampanjeException.Refused refused && RETRIED.contains(refused.status());
  }

  private static boolean isRetried(KampanjeException.Refused refused, Call call) {
    return refused.code().equals("IDEMPOTENCY_IN_PROGRESS")
        || (call.safe || call.idempotent ? RETRIED : REFUSED).contains(refused.status());
  }

  /** Doubles with each attempt, less a random part, so that clients do not return all together. */
  static Duration backoff(int attempt) {
    Duration doubled = FIRST_BACKOFF.multipliedBy(1L << Math.min(attempt - 1, 10));
    long longest = Math.min(doubled.toMillis(), MAX_BACKOFF.toMillis());
    return Duration.ofMillis(ThreadLocalRandom.current().nextLong(longest / 2, longest + 1));
  }

  static void sleep(Duration wait) {
    try {
      Thread.sleep(wait.toMillis());
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
      throw new KampanjeException("interrupted", error);
    }
  }
}

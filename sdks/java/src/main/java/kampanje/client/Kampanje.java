package kampanje.client;

import java.net.http.HttpClient;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.function.Supplier;

/**
 * A client of the service. It can be shared by threads.
 *
 * <pre>{@code
 * Kampanje kampanje = Kampanje.builder("http://localhost:8080").apiKey(key).build();
 * Models.Campaign campaign = kampanje.campaigns.get("SPRING");
 * }</pre>
 */
public final class Kampanje extends Resources {
  private final Core core;

  private Kampanje(Core core) {
    super(core);
    this.core = core;
  }

  /** Begins the configuration of a client for a service at this address. */
  public static Builder builder(String baseUrl) {
    return new Builder(baseUrl);
  }

  /** Returns the newest version of the price book that this client has made; or null. */
  public Session session() {
    return core.session();
  }

  /** Makes later queries about prices wait for a version that another client has made. */
  public void setSession(Session session) {
    core.setSession(session);
  }

  /** The configuration of a client. */
  public static final class Builder {
    final String baseUrl;
    final Map<String, String> headers = new HashMap<>();
    Supplier<String> apiKey = () -> null;
    Duration timeout = Duration.ofSeconds(30);
    int maxRetries = 4;
    boolean sessionConsistency = true;
    HttpClient httpClient;

    private Builder(String baseUrl) {
      this.baseUrl = Objects.requireNonNull(baseUrl);
    }

    /** Sets the API key; null for a service that needs none. */
    public Builder apiKey(String value) {
      this.apiKey = () -> value;
      return this;
    }

    /** Sets the function that returns the current API key. */
    public Builder apiKey(Supplier<String> value) {
      this.apiKey = Objects.requireNonNull(value);
      return this;
    }

    /** Sets the time for one attempt. Default: 30 seconds. */
    public Builder timeout(Duration value) {
      this.timeout = Objects.requireNonNull(value);
      return this;
    }

    /** Sets the maximum number of retries. Default: 4. */
    public Builder maxRetries(int value) {
      this.maxRetries = value;
      return this;
    }

    /** Adds a header to every request. */
    public Builder header(String name, String value) {
      headers.put(name, value);
      return this;
    }

    /** Sets if a query about prices waits for the versions that this client makes. Default: true. */
    public Builder sessionConsistency(boolean value) {
      this.sessionConsistency = value;
      return this;
    }

    /** Sets the HTTP client, with its proxy, certificates and connections. */
    public Builder httpClient(HttpClient value) {
      this.httpClient = value;
      return this;
    }

    /** Creates the client. */
    public Kampanje build() {
      return new Kampanje(new Core(this));
    }
  }
}

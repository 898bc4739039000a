package kampanje.client;

import java.time.Duration;
import java.util.Objects;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/** The feed of events. */
public abstract class EventFeed {
  private static final Duration POLL_INTERVAL = Duration.ofSeconds(1);
  private static final long PAGE_SIZE = 500;
  private static final Duration WAIT = Duration.ofSeconds(20);

  final Core core;

  EventFeed(Core core) {
    this.core = core;
  }

  abstract Models.EventPage page(long after, String bookId, String type, long wait, long top);

  /** How to follow the feed. */
  public static final class FollowOptions {
    long after;
    String bookId;
    String type;
    Duration pollInterval = POLL_INTERVAL;
    Duration wait = WAIT;
    Consumer<Long> onSequence = sequence -> {};
    BooleanSupplier until = () -> Thread.currentThread().isInterrupted();

    /** Creates options: from the first event, until the thread is interrupted. */
    public FollowOptions() {}

    /** Sets the last sequence that was processed. */
    public FollowOptions after(long value) {
      this.after = value;
      return this;
    }

    /** Sets the history that {@code after} belongs to; another is refused with OTHER_HISTORY. */
    public FollowOptions bookId(String value) {
      this.bookId = value;
      return this;
    }

    /** Selects one type of events. */
    public FollowOptions type(String value) {
      this.type = value;
      return this;
    }

    /**
     * Sets how long the service waits for an event before it answers that there is none: at most 30
     * s, and less than the timeout of the client. 0 to poll.
     */
    public FollowOptions waitFor(Duration value) {
      this.wait = Objects.requireNonNull(value);
      return this;
    }

    /** Sets the minimum interval between two requests at the end of the feed. */
    public FollowOptions pollInterval(Duration value) {
      this.pollInterval = Objects.requireNonNull(value);
      return this;
    }

    /** Sets the receiver of the sequence of each event after it was processed. */
    public FollowOptions onSequence(Consumer<Long> value) {
      this.onSequence = Objects.requireNonNull(value);
      return this;
    }

    /** Sets the condition that ends the loop; it is asked after each event and each request. */
    public FollowOptions until(BooleanSupplier value) {
      this.until = Objects.requireNonNull(value);
      return this;
    }
  }

  /**
   * Hands over all events after a sequence, and waits for new ones until the condition of the
   * options holds.
   *
   * <p>Each event is delivered at least once, also of types that this package does not know.
   * Failures of the network and of the service are retried without limit.
   */
  public void follow(FollowOptions options, Consumer<Models.CloudEvent> process) {
    long after = options.after;
    String bookId = options.bookId;
    int failures = 0;
    while (!options.until.getAsBoolean()) {
      Models.EventPage page;
      long began = System.nanoTime();
      try {
        page = page(after, bookId, options.type, options.wait.toSeconds(), PAGE_SIZE);
        failures = 0;
      } catch (KampanjeException error) {
        if (!Core.isPassing(error)) {
          throw error;
        }
        failures++;
        Core.sleep(Core.backoff(failures));
        continue;
      }
      for (Models.CloudEvent event : page.value()) {
        process.accept(event);
        after = event.json().path("sequence").asLong();
        bookId = bookId == null ? event.json().path("bookid").asText() : bookId;
        options.onSequence.accept(after);
        if (options.until.getAsBoolean()) {
          return;
        }
      }
      if (page.value().isEmpty()) {
        // The service has waited, unless it is stopping.
        Duration rest = options.pollInterval.minusNanos(System.nanoTime() - began);
        if (!rest.isNegative()) {
          Core.sleep(rest);
        }
      }
    }
  }
}

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import kampanje.client.KampanjeException;
import kampanje.client.Webhooks;

/** Verifies the deliveries of the file that all SDKs share. */
public final class WebhookVectors {
  private WebhookVectors() {}

  public static void main(String[] arguments) throws IOException {
    int passed = 0;
    for (JsonNode vector : new ObjectMapper().readTree(new File(arguments[0]))) {
      if (isValid(vector) != vector.get("valid").asBoolean()) {
        throw new AssertionError(vector.get("name").asText());
      }
      passed++;
    }
    System.out.println("java: " + passed + " webhook vectors passed");
  }

  private static boolean isValid(JsonNode vector) {
    Map<String, String> headers = new HashMap<>();
    vector.get("headers").fields().forEachRemaining(h -> headers.put(h.getKey(), h.getValue().asText()));
    List<String> secrets = new ArrayList<>();
    vector.get("secrets").forEach(secret -> secrets.add(secret.asText()));
    byte[] payload = vector.get("payload").asText().getBytes(StandardCharsets.UTF_8);
    Instant now = Instant.ofEpochSecond(vector.get("now").asLong());
    try {
      Webhooks.verify(payload, headers, secrets, Duration.ofMinutes(5), now);
      return true;
    } catch (KampanjeException.InvalidSignature invalid) {
      return false;
    }
  }
}

package kampanje.client;

import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** Verifies deliveries by the scheme of Standard Webhooks. */
public final class Webhooks {
  private static final Duration TOLERANCE = Duration.ofMinutes(5);
  private static final String SECRET_PREFIX = "whsec_";

  private Webhooks() {}

  /** Verifies a delivery, whose time may differ from ours by 5 minutes. */
  public static Models.CloudEvent verify(
      byte[] payload, Map<String, String> headers, List<String> secrets) {
    return verify(payload, headers, secrets, TOLERANCE, Instant.now());
  }

  /**
   * Verifies a delivery and returns its event. The payload is the body exactly as it was received.
   * While a secret is being replaced, pass both.
   */
  public static Models.CloudEvent verify(
      byte[] payload,
      Map<String, String> headers,
      List<String> secrets,
      Duration tolerance,
      Instant now) {
    Map<String, String> names = new TreeMap<>(String.CASE_INSENSITIVE_ORDER);
    names.putAll(headers);
    String timestamp = names.getOrDefault("webhook-timestamp", "");
    if (!timestamp.matches("[0-9]{1,15}")
        || Math.abs(now.getEpochSecond() - Long.parseLong(timestamp)) > tolerance.toSeconds()) {
      throw new KampanjeException.InvalidSignature(
          "the timestamp is missing, too old or in the future");
    }
    String prefix = names.getOrDefault("webhook-id", "") + "." + timestamp + ".";
    for (String secret : secrets) {
      byte[] expected = sign(decodeSecret(secret), prefix, payload);
      for (String signature : names.getOrDefault("webhook-signature", "").split(" ")) {
        if (signature.startsWith("v1,")
            && MessageDigest.isEqual(
                expected, signature.substring(3).getBytes(StandardCharsets.UTF_8))) {
          String text = new String(payload, StandardCharsets.UTF_8);
          return new Models.CloudEvent(Core.parseObject(text));
        }
      }
    }
    throw new KampanjeException.InvalidSignature("no signature matches");
  }

  private static byte[] decodeSecret(String secret) {
    String text =
        secret.startsWith(SECRET_PREFIX) ? secret.substring(SECRET_PREFIX.length()) : secret;
    return Base64.getDecoder().decode(text);
  }

  private static byte[] sign(byte[] secret, String prefix, byte[] payload) {
    try {
      Mac mac = Mac.getInstance("HmacSHA256");
      mac.init(new SecretKeySpec(secret, "HmacSHA256"));
      mac.update(prefix.getBytes(StandardCharsets.UTF_8));
      return Base64.getEncoder().encode(mac.doFinal(payload));
    } catch (GeneralSecurityException error) {
      throw new IllegalStateException("every Java platform has HmacSHA256", error);
    }
  }
}

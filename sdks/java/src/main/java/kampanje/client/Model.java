package kampanje.client;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.math.BigDecimal;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Function;

/**
 * An object of a request or response: a view of its JSON.
 *
 * <p>So a field that is not set is absent, a field that is set to null is null, and fields of later
 * versions of the service are kept.
 */
public abstract class Model {
  private final ObjectNode node;
  private Meta meta;

  /** Creates a view of an object. */
  protected Model(ObjectNode node) {
    this.node = Objects.requireNonNull(node);
  }

  /** Creates an empty object. */
  protected static ObjectNode empty() {
    return JsonNodeFactory.instance.objectNode();
  }

  /** Returns the JSON of the object, with the fields that this version does not know. */
  public final ObjectNode json() {
    return node;
  }

  /** Returns true if the object has the field, even if it is null. */
  public final boolean has(String name) {
    return node.has(name);
  }

  /** Returns the headers of the response that the object came from, or null. */
  public final Meta meta() {
    return meta;
  }

  final void setMeta(Meta received) {
    this.meta = received;
  }

  /** Returns a field, or null if it is absent or null. */
  protected final <T> T get(String name, Function<JsonNode, T> read) {
    JsonNode value = node.get(name);
    return value == null || value.isNull() ? null : read.apply(value);
  }

  /** Returns a list, which is empty if the field is absent or null. */
  protected final <T> List<T> list(String name, Function<JsonNode, T> read) {
    JsonNode values = node.get(name);
    if (values == null || values.isNull()) {
      return List.of();
    }
    List<T> result = new ArrayList<>(values.size());
    values.forEach(value -> result.add(read.apply(value)));
    return result;
  }

  /** Sets a field. */
  protected final void put(String name, Object value) {
    node.set(name, toJson(value));
  }

  /** Returns this object as one of a union, if its discriminator has the value. */
  protected final <T> Optional<T> variant(
      String discriminator, String value, Function<ObjectNode, T> create) {
    boolean matches = value.equals(node.path(discriminator).asText());
    return matches ? Optional.of(create.apply(node)) : Optional.empty();
  }

  /** Returns the members of this object that have one of the names. */
  protected final ObjectNode pick(String... names) {
    ObjectNode result = empty();
    for (String name : names) {
      if (node.has(name)) {
        result.set(name, node.get(name).deepCopy());
      }
    }
    return result;
  }

  static JsonNode toJson(Object value) {
    JsonNodeFactory factory = JsonNodeFactory.instance;
    if (value == null) {
      return factory.nullNode();
    }
    if (value instanceof JsonNode json) {
      return json;
    }
    if (value instanceof Model model) {
      return model.node;
    }
    if (value instanceof Boolean flag) {
      return factory.booleanNode(flag);
    }
    if (value instanceof Long number) {
      return factory.numberNode(number);
    }
    if (value instanceof List<?> values) {
      ArrayNode array = factory.arrayNode();
      values.forEach(one -> array.add(toJson(one)));
      return array;
    }
    return factory.textNode(toText(value));
  }

  static String toText(Object value) {
    if (value instanceof BigDecimal decimal) {
      return decimal.toPlainString();
    }
    if (value instanceof OffsetDateTime moment) {
      return moment.withOffsetSameInstant(ZoneOffset.UTC).toString();
    }
    return value.toString();
  }

  static ObjectNode object(JsonNode value) {
    return (ObjectNode) value;
  }

  static BigDecimal decimal(JsonNode value) {
    return new BigDecimal(value.asText());
  }

  static LocalDate date(JsonNode value) {
    return LocalDate.parse(value.asText());
  }

  static OffsetDateTime timestamp(JsonNode value) {
    return OffsetDateTime.parse(value.asText());
  }

  @Override
  public final boolean equals(Object other) {
    return other != null && other.getClass() == getClass() && node.equals(((Model) other).node);
  }

  @Override
  public final int hashCode() {
    return node.hashCode();
  }

  @Override
  public final String toString() {
    return getClass().getSimpleName() + node;
  }
}

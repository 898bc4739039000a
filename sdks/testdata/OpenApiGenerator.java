import com.fasterxml.jackson.core.JsonProcessingException;
import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.time.LocalDate;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.ApiResponse;
import org.openapitools.client.api.ActivationApi;
import org.openapitools.client.api.CampaignsApi;
import org.openapitools.client.api.ContactsApi;
import org.openapitools.client.api.EventsApi;
import org.openapitools.client.api.PriceQuotesApi;
import org.openapitools.client.api.PricesAndDiscountsApi;
import org.openapitools.client.api.ReferenceDataApi;
import org.openapitools.client.api.SegmentsApi;
import org.openapitools.client.model.ActivationRequest;
import org.openapitools.client.model.ActivationResult;
import org.openapitools.client.model.BatchReceipt;
import org.openapitools.client.model.Campaign;
import org.openapitools.client.model.CampaignBatch;
import org.openapitools.client.model.CampaignBatchRow;
import org.openapitools.client.model.CampaignPatch;
import org.openapitools.client.model.CampaignWrite;
import org.openapitools.client.model.CloudEvent;
import org.openapitools.client.model.ContactType;
import org.openapitools.client.model.ContactWrite;
import org.openapitools.client.model.CustomerWrite;
import org.openapitools.client.model.EffectivePrice;
import org.openapitools.client.model.EffectivePricePriced;
import org.openapitools.client.model.ItemBatch;
import org.openapitools.client.model.ItemBatchRow;
import org.openapitools.client.model.ItemPage;
import org.openapitools.client.model.ItemWrite;
import org.openapitools.client.model.PriceLineWrite;
import org.openapitools.client.model.PriceQuote;
import org.openapitools.client.model.PricedLine;
import org.openapitools.client.model.Problem;
import org.openapitools.client.model.ProblemError;
import org.openapitools.client.model.Publication;
import org.openapitools.client.model.PublicationCreated;
import org.openapitools.client.model.PublicationCreatedEvent;
import org.openapitools.client.model.SegmentLineCreate;
import org.openapitools.client.model.SegmentWrite;

/** The scenario, played with the client that openapi-generator makes with java and native. */
public final class OpenApiGenerator {
  private static final String RUN =
      "OG" + Long.toString(System.currentTimeMillis(), 36).toUpperCase(java.util.Locale.ROOT);
  private static final String ITEM = RUN + "-DESK";
  private static final String COMPANY = RUN + "-ACME";
  private static final String PERSON = RUN + "-ANNE";
  private static final String CAMPAIGN = RUN + "-SPRING";
  private static final String SEGMENT = RUN + "-FAIR";
  private static final LocalDate FIRST_DAY = LocalDate.of(2031, 5, 1);
  private static final LocalDate LAST_DAY = LocalDate.of(2031, 5, 31);
  private static final LocalDate DATE = LocalDate.of(2031, 5, 15);

  private static final ApiClient client = client();
  private static final ActivationApi activation = new ActivationApi(client);
  private static final CampaignsApi campaigns = new CampaignsApi(client);
  private static final ContactsApi contacts = new ContactsApi(client);
  private static final EventsApi events = new EventsApi(client);
  private static final PriceQuotesApi quotes = new PriceQuotesApi(client);
  private static final PricesAndDiscountsApi prices = new PricesAndDiscountsApi(client);
  private static final ReferenceDataApi referenceData = new ReferenceDataApi(client);
  private static final SegmentsApi segments = new SegmentsApi(client);
  private static int steps;

  private OpenApiGenerator() {}

  private static ApiClient client() {
    ApiClient made = new ApiClient();
    made.updateBaseUri(System.getenv("KAMPANJE_URL"));
    String authorization = "Bearer " + System.getenv("KAMPANJE_API_KEY");
    made.setRequestInterceptor(request -> request.header("authorization", authorization));
    return made;
  }

  private static <T> T step(String name, Callable<T> action) {
    steps++;
    try {
      return action.call();
    } catch (Exception | AssertionError error) {
      throw new IllegalStateException("step " + steps + " failed: " + name, error);
    }
  }

  private static void check(boolean condition, Object found) {
    if (!condition) {
      throw new AssertionError(String.valueOf(found));
    }
  }

  private static void same(Object expected, Object found) {
    check(expected.equals(found), "expected " + expected + ", found " + found);
  }

  private static Problem refused(int status, Callable<?> action) throws Exception {
    try {
      action.call();
    } catch (ApiException refused) {
      same(status, refused.getCode());
      return problem(refused);
    }
    throw new AssertionError("the request was accepted");
  }

  private static Problem problem(ApiException refused) throws JsonProcessingException {
    return client.getObjectMapper().readValue(refused.getResponseBody(), Problem.class);
  }

  private static String header(ApiResponse<?> answer, String name) {
    return answer.getHeaders().get(name).get(0);
  }

  private static PricedLine quote(long version) throws ApiException {
    PriceQuote quote =
        quotes.getPriceQuote(
            ITEM, COMPANY, null, null, null, null, DATE, null, null, null, null, true, null,
            version, null, null);
    return quote.getLines().get(0).getPricedLine();
  }

  private static Campaign change(CampaignPatch body) throws ApiException {
    String tag = header(campaigns.getCampaignWithHttpInfo(CAMPAIGN, null), "etag");
    return campaigns.updateCampaign(CAMPAIGN, body, null, tag, null);
  }

  private static String cursor(String link) {
    if (link == null) {
      return null;
    }
    return Stream.of(URI.create(link).getRawQuery().split("&"))
        .filter(parameter -> parameter.startsWith("cursor="))
        .map(parameter -> parameter.substring("cursor=".length()))
        .map(value -> URLDecoder.decode(value, StandardCharsets.UTF_8))
        .findFirst()
        .orElseThrow();
  }

  public static void main(String[] arguments) {
    step(
        "create an item with exact decimals",
        () -> {
          ItemWrite body = new ItemWrite().description("Desk").listPrice("400.10").taxPercent("25");
          var created = referenceData.putItemWithHttpInfo(ITEM, body, null, null, "*", null);
          same(201, created.getStatusCode());
          same("400.1", created.getData().getListPrice());
          return null;
        });
    step(
        "create a customer and a person",
        () -> {
          ContactWrite acme = new ContactWrite().number(COMPANY).name("Acme");
          acme.type(ContactType.COMPANY).customer(new CustomerWrite().number(RUN + "-D1"));
          contacts.createContact(acme, null, null);
          ContactWrite anne = new ContactWrite().number(PERSON).name("Anne");
          anne.type(ContactType.PERSON).companyNumber(COMPANY);
          same(COMPANY, contacts.createContact(anne, null, null).getCompanyNumber());
          return null;
        });
    step(
        "create a campaign",
        () -> {
          CampaignWrite body = new CampaignWrite().number(CAMPAIGN).description("Spring");
          body.startingDate(FIRST_DAY).endingDate(LAST_DAY);
          Campaign created = campaigns.createCampaign(body, null, null);
          same("DRAFT", created.getState().getActualInstance());
          same(FIRST_DAY, created.getStartingDate());
          return null;
        });
    step(
        "target the person",
        () -> {
          SegmentWrite body = new SegmentWrite().campaignNumber(CAMPAIGN).campaignTarget(true);
          segments.putSegment(SEGMENT, body, null, null, null, null);
          SegmentLineCreate line = new SegmentLineCreate().contactNumber(PERSON);
          same(PERSON, segments.createSegmentLine(SEGMENT, line, null, null).getContactNumber());
          return null;
        });
    step(
        "add a price",
        () -> {
          PriceLineWrite body = new PriceLineWrite().itemNumber(ITEM).unitPrice("350");
          same("350", prices.createCampaignPrice(CAMPAIGN, body, null, null).getUnitPrice());
          return null;
        });
    String planHash =
        step(
            "plan the activation",
            () -> {
              ActivationRequest body = new ActivationRequest().validateOnly(true);
              return activation.activateCampaign(CAMPAIGN, null, body).getPlanHash();
            });
    long version =
        step(
            "activate",
            () -> {
              ActivationRequest body =
                  new ActivationRequest().planHash(planHash).acknowledge(List.of("*"));
              ApiResponse<ActivationResult> activated =
                  activation.activateCampaignWithHttpInfo(CAMPAIGN, null, body);
              return Long.valueOf(header(activated, "publication-version"));
            });
    step(
        "quote with an explanation, at the version just made",
        () -> {
          PricedLine line = quote(version);
          same("350", line.getUnitPrice());
          check(line.getTrace() != null, line);
          return null;
        });
    step(
        "write a batch",
        () -> {
          ItemBatch batch = new ItemBatch();
          for (int at = 0; at < 5; at++) {
            ItemBatchRow row = new ItemBatchRow().number(RUN + "-LAMP-" + at);
            batch.addRowsItem(row.description("Lamp").listPrice((at + 1) + ".05"));
          }
          List<BatchReceipt> receipts = referenceData.batchItems(batch, null).getReceipts();
          List<Integer> statuses = receipts.stream().map(BatchReceipt::getStatus).toList();
          same(List.of(201, 201, 201, 201, 201), statuses);
          return null;
        });
    step(
        "read a list page by page",
        () -> {
          List<Integer> sizes = new ArrayList<>();
          String filter = "startswith(number, '" + RUN + "-LAMP')";
          String cursor = null;
          do {
            ItemPage page = referenceData.listItems(2, null, filter, "number", null, cursor);
            sizes.add(page.getValue().size());
            cursor = cursor(page.getNextLink());
          } while (cursor != null);
          same(List.of(2, 2, 1), sizes);
          return null;
        });
    step(
        "be refused with an outdated entity tag",
        () -> {
          CampaignPatch body = new CampaignPatch().description("x");
          return refused(
              412, () -> campaigns.updateCampaign(CAMPAIGN, body, null, "\"outdated\"", null));
        });
    step(
        "change: an absent field stays, and replacement removes",
        () -> {
          change(new CampaignPatch().description("Spring sale"));
          Campaign capped = change(new CampaignPatch().maxDiscountPercent("20"));
          same("20", capped.getMaxDiscountPercent());
          same("Spring sale", capped.getDescription());
          // Models without JsonNullable cannot send null, so PUT removes the field.
          CampaignWrite body = new CampaignWrite().description(capped.getDescription());
          body.startingDate(FIRST_DAY).endingDate(LAST_DAY);
          String tag = header(campaigns.getCampaignWithHttpInfo(CAMPAIGN, null), "etag");
          Campaign cleared = campaigns.putCampaign(CAMPAIGN, body, null, tag, null, null);
          check(cleared.getMaxDiscountPercent() == null, cleared);
          same("Spring sale", cleared.getDescription());
          return null;
        });
    step(
        "get every error of a refused request",
        () -> {
          CampaignBatch batch = new CampaignBatch();
          IntStream.range(0, 2)
              .mapToObj(at -> new CampaignBatchRow().number(RUN + "-" + at))
              .map(row -> row.startingDate(LocalDate.of(2031, 6, 2)))
              .map(row -> row.endingDate(LocalDate.of(2031, 6, 1)))
              .forEach(batch::addRowsItem);
          Problem problem = refused(422, () -> campaigns.batchCampaigns(batch, null));
          same("VALIDATION_FAILED", problem.getCode());
          same(
              List.of("/rows/0/endingDate", "/rows/1/endingDate"),
              problem.getErrors().stream().map(ProblemError::getPointer).sorted().toList());
          return null;
        });
    step(
        "read the price list",
        () -> {
          List<EffectivePrice> rows =
              quotes
                  .listEffectivePrices(
                      COMPANY, null, null, DATE, null, null, null, null, null, null, null)
                  .getValue();
          EffectivePricePriced found =
              rows.stream()
                  .map(EffectivePrice::getActualInstance)
                  .filter(EffectivePricePriced.class::isInstance)
                  .map(EffectivePricePriced.class::cast)
                  .filter(row -> row.getItemNumber().equals(ITEM))
                  .findFirst()
                  .orElseThrow();
          same("350", found.getUnitPrice());
          return null;
        });
    step(
        "read the events",
        () -> {
          same(version, publishedVersion());
          return null;
        });
    step(
        "deactivate",
        () -> {
          Publication made = activation.deactivateCampaign(CAMPAIGN, null);
          check(made.getVersion() > version, made);
          same("400.1", quote(made.getVersion()).getUnitPrice());
          return null;
        });
    System.out.println("openapi-generator: " + steps + " steps passed");
  }

  private static Long publishedVersion() throws ApiException {
    String cursor = null;
    do {
      var page = events.listEvents(0L, null, null, null, 500, null, null, null, null, cursor);
      for (CloudEvent event : page.getValue()) {
        if (event.getActualInstance() instanceof PublicationCreatedEvent published) {
          PublicationCreated data = published.getData();
          if (CAMPAIGN.equals(data.getCampaignNumber())) {
            return data.getVersion();
          }
        }
      }
      cursor = cursor(page.getNextLink());
    } while (cursor != null);
    throw new AssertionError("no event of the publication");
  }
}

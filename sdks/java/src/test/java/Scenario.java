import java.math.BigDecimal;
import java.time.LocalDate;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import kampanje.client.EventFeed.FollowOptions;
import kampanje.client.JsonLines;
import kampanje.client.Kampanje;
import kampanje.client.KampanjeException;
import kampanje.client.Models.ActivationRequest;
import kampanje.client.Models.Campaign;
import kampanje.client.Models.CampaignBatch;
import kampanje.client.Models.CampaignBatchRow;
import kampanje.client.Models.CampaignPatch;
import kampanje.client.Models.CampaignWrite;
import kampanje.client.Models.Contact;
import kampanje.client.Models.ContactWrite;
import kampanje.client.Models.CustomerWrite;
import kampanje.client.Models.EffectivePrice;
import kampanje.client.Models.Item;
import kampanje.client.Models.ItemBatch;
import kampanje.client.Models.ItemBatchRow;
import kampanje.client.Models.ItemPage;
import kampanje.client.Models.ItemWrite;
import kampanje.client.Models.PriceLineWrite;
import kampanje.client.Models.PriceQuote;
import kampanje.client.Models.PricedLine;
import kampanje.client.Models.Publication;
import kampanje.client.Models.SegmentLineCreate;
import kampanje.client.Models.SegmentWrite;
import kampanje.client.RequestOptions;
import kampanje.client.Resources.GetPriceQuoteOptions;
import kampanje.client.Resources.ListEffectivePricesOptions;
import kampanje.client.Resources.ListItemsOptions;
import kampanje.client.Resources.PutCampaignOptions;
import kampanje.client.Resources.PutItemOptions;
import kampanje.client.Resources.UpdateCampaignOptions;

/** The scenario that every SDK plays, directly and through the hostile proxy. */
public final class Scenario {
  private static final boolean HOSTILE = "1".equals(System.getenv("KAMPANJE_HOSTILE"));
  private static final String RUN =
      "JV" + Long.toString(System.currentTimeMillis(), 36).toUpperCase(java.util.Locale.ROOT);
  private static final String ITEM = RUN + "-DESK";
  private static final String COMPANY = RUN + "-ACME";
  private static final String PERSON = RUN + "-ANNE";
  private static final String CAMPAIGN = RUN + "-SPRING";
  private static final String SEGMENT = RUN + "-FAIR";
  private static final LocalDate DATE = LocalDate.of(2031, 5, 15);

  private static final Kampanje kampanje =
      Kampanje.builder(System.getenv("KAMPANJE_URL"))
          .apiKey(System.getenv("KAMPANJE_API_KEY"))
          .build();
  private static int steps;
  private static int reads;

  private Scenario() {}

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

  private static KampanjeException.Refused refused(Runnable action) {
    try {
      action.run();
    } catch (KampanjeException.Refused refused) {
      return refused;
    }
    throw new AssertionError("the request was accepted");
  }

  private static BigDecimal unitPrice(PriceQuote quote) {
    return quote.lines().get(0).asPricedLine().orElseThrow().unitPrice();
  }

  public static void main(String[] arguments) {
    step(
        "create an item with exact decimals",
        () -> {
          BigDecimal price = new BigDecimal("400.10");
          ItemWrite body =
              new ItemWrite().description("Desk").listPrice(price).taxPercent(new BigDecimal(25));
          Item created = kampanje.items.put(ITEM, body, new PutItemOptions().ifNoneMatch("*"));
          same(new BigDecimal("400.1"), created.listPrice());
          same(201, created.meta().status());
          return created;
        });
    step(
        "create a customer and a person",
        () -> {
          CustomerWrite customer = new CustomerWrite().number(RUN + "-D1");
          ContactWrite acme = new ContactWrite().number(COMPANY).type("COMPANY").name("Acme");
          kampanje.contacts.create(acme.customer(customer));
          ContactWrite anne = new ContactWrite().number(PERSON).type("PERSON").name("Anne");
          Contact created = kampanje.contacts.create(anne.companyNumber(COMPANY));
          same(COMPANY, created.companyNumber());
          return created;
        });
    Campaign campaign =
        step(
            "create a campaign",
            () ->
                kampanje.campaigns.create(
                    new CampaignWrite()
                        .number(CAMPAIGN)
                        .description("Spring")
                        .startingDate(LocalDate.of(2031, 5, 1))
                        .endingDate(LocalDate.of(2031, 5, 31))));
    same(HOSTILE ? "STATE_OF_THE_FUTURE" : "DRAFT", campaign.state());
    same(LocalDate.of(2031, 5, 1), campaign.startingDate());
    step(
        "target the person",
        () -> {
          SegmentWrite body = new SegmentWrite().campaignNumber(CAMPAIGN).campaignTarget(true);
          kampanje.segments.put(SEGMENT, body);
          SegmentLineCreate line = new SegmentLineCreate().contactNumber(PERSON);
          same(PERSON, kampanje.segmentLines.create(SEGMENT, line).contactNumber());
          return null;
        });
    step(
        "add a price",
        () -> {
          PriceLineWrite body =
              new PriceLineWrite().itemNumber(ITEM).unitPrice(new BigDecimal(350));
          same(new BigDecimal(350), kampanje.campaignPrices.create(CAMPAIGN, body).unitPrice());
          return null;
        });
    String planHash =
        step(
            "plan the activation",
            () ->
                kampanje
                    .campaigns
                    .activate(CAMPAIGN, new ActivationRequest().validateOnly(true))
                    .planHash());
    long version =
        step(
            "activate",
            () -> {
              ActivationRequest body =
                  new ActivationRequest().planHash(planHash).acknowledge(List.of("*"));
              Long made = kampanje.campaigns.activate(CAMPAIGN, body).meta().version();
              same(made, kampanje.session().version());
              return made;
            });
    GetPriceQuoteOptions wanted =
        new GetPriceQuoteOptions().contactNumber(COMPANY).itemNumber(ITEM).date(DATE);
    step(
        "quote with an explanation, at the version just made",
        () -> {
          PriceQuote quote = kampanje.priceQuotes.get(wanted.explain(true));
          check(quote.publicationVersion() >= version, quote);
          same(new BigDecimal(350), unitPrice(quote));
          PricedLine line = quote.lines().get(0).asPricedLine().orElseThrow();
          check(line.trace() != null, line);
          return null;
        });
    step(
        "write a batch",
        () -> {
          List<ItemBatchRow> rows = new ArrayList<>();
          for (int at = 0; at < 5; at++) {
            BigDecimal price = new BigDecimal((at + 1) + ".05");
            String number = RUN + "-LAMP-" + at;
            rows.add(new ItemBatchRow().number(number).description("Lamp").listPrice(price));
          }
          var receipts = kampanje.items.batch(new ItemBatch().rows(rows)).receipts();
          same(List.of(201L, 201L, 201L, 201L, 201L), receipts.stream().map(r -> r.status()).toList());
          return null;
        });
    step(
        "read a list page by page",
        () -> {
          String filter = "startswith(number, '" + RUN + "-LAMP')";
          ListItemsOptions list = new ListItemsOptions().filter(filter).top(2L);
          List<Integer> sizes = new ArrayList<>();
          for (ItemPage page : kampanje.items.list(list.orderby("number")).pages()) {
            sizes.add(page.value().size());
          }
          same(List.of(2, 2, 1), sizes);
          List<Item> lamps = kampanje.items.list(list.orderby("number desc")).take(3);
          List<String> prices = lamps.stream().map(lamp -> lamp.listPrice().toString()).toList();
          same(List.of("5.05", "4.05", "3.05"), prices);
          return null;
        });
    step(
        "be refused with an outdated entity tag",
        () -> {
          UpdateCampaignOptions outdated = new UpdateCampaignOptions().ifMatch("\"outdated\"");
          CampaignPatch change = new CampaignPatch().description("x");
          same(412, refused(() -> kampanje.campaigns.update(CAMPAIGN, change, outdated)).status());
          return null;
        });
    step(
        "modify: an absent field stays, and null removes",
        () -> {
          Campaign modified =
              kampanje.campaigns.modify(
                  CAMPAIGN,
                  current -> {
                    reads++;
                    if (reads == 1) {
                      // Somebody else is faster.
                      CampaignPatch other =
                          new CampaignPatch().maxDiscountPercent(new BigDecimal(20));
                      kampanje.campaigns.update(
                          CAMPAIGN, other, new UpdateCampaignOptions().ifMatch("*"));
                    }
                    return new CampaignPatch().description(current.description() + " sale");
                  });
          same(2, reads);
          same("Spring sale", modified.description());
          same(new BigDecimal(20), modified.maxDiscountPercent());
          CampaignPatch clear = new CampaignPatch().maxDiscountPercent(null);
          Campaign cleared = kampanje.campaigns.modify(CAMPAIGN, current -> clear);
          check(cleared.maxDiscountPercent() == null, cleared);
          same("Spring sale", cleared.description());
          PutCampaignOptions current = new PutCampaignOptions().ifMatch(cleared.meta().etag());
          Campaign put = kampanje.campaigns.put(CAMPAIGN, cleared.toWrite(), current);
          same("Spring sale", put.description());
          return null;
        });
    step(
        "get every error of a refused request",
        () -> {
          List<CampaignBatchRow> rows =
              IntStream.range(0, 2)
                  .mapToObj(
                      at ->
                          new CampaignBatchRow()
                              .number(RUN + "-" + at)
                              .startingDate(LocalDate.of(2031, 6, 2))
                              .endingDate(LocalDate.of(2031, 6, 1)))
                  .toList();
          KampanjeException.Refused refused =
              refused(() -> kampanje.campaigns.batch(new CampaignBatch().rows(rows)));
          same(422, refused.status());
          same("VALIDATION_FAILED", refused.code());
          List<String> pointers = refused.errors().stream().map(e -> e.pointer()).sorted().toList();
          same(List.of("/rows/0/endingDate", "/rows/1/endingDate"), pointers);
          same(32, refused.traceId().length());
          return null;
        });
    step(
        "stream the price list",
        () -> {
          BigDecimal price = null;
          ListEffectivePricesOptions list =
              new ListEffectivePricesOptions().contactNumber(COMPANY).date(DATE);
          try (JsonLines<EffectivePrice> rows = kampanje.effectivePrices.stream(list)) {
            for (EffectivePrice row : rows) {
              var priced = row.asEffectivePricePriced();
              if (priced.isPresent() && priced.get().itemNumber().equals(ITEM)) {
                price = priced.get().unitPrice();
              }
            }
          }
          same(new BigDecimal(350), price);
          return null;
        });
    step(
        "follow the events",
        () -> {
          List<Long> versions = new ArrayList<>();
          List<String> unknown = new ArrayList<>();
          List<Long> processed = new ArrayList<>();
          FollowOptions options = new FollowOptions().onSequence(processed::add);
          kampanje.events.follow(
              options.until(() -> !versions.isEmpty()),
              event -> {
                if (event.type().equals("kampanje.future.event")) {
                  unknown.add(event.type());
                }
                event
                    .asPublicationCreatedEvent()
                    .filter(created -> CAMPAIGN.equals(created.data().campaignNumber()))
                    .ifPresent(created -> versions.add(created.data().version()));
              });
          same(List.of(version), versions);
          check(!processed.isEmpty(), processed);
          same(HOSTILE, !unknown.isEmpty());
          return null;
        });
    step(
        "deactivate",
        () -> {
          RequestOptions options = new RequestOptions().idempotencyKey(RUN + "-deactivate");
          Publication publication = kampanje.campaigns.deactivate(CAMPAIGN, options);
          check(publication.version() > version, publication);
          same(new BigDecimal("400.1"), unitPrice(kampanje.priceQuotes.get(wanted)));
          return null;
        });
    System.out.println(
        "java: " + steps + " steps passed" + (HOSTILE ? " through the hostile proxy" : ""));
  }
}

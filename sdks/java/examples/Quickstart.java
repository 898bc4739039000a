import java.math.BigDecimal;
import java.time.LocalDate;
import java.util.List;
import kampanje.client.Kampanje;
import kampanje.client.Models.ActivationRequest;
import kampanje.client.Models.ActivationResult;
import kampanje.client.Models.CampaignBatch;
import kampanje.client.Models.CampaignBatchRow;
import kampanje.client.Models.ContactBatch;
import kampanje.client.Models.ContactBatchRow;
import kampanje.client.Models.CustomerPatch;
import kampanje.client.Models.ItemBatch;
import kampanje.client.Models.ItemBatchRow;
import kampanje.client.Models.PriceLineBatch;
import kampanje.client.Models.PriceLineBatchRow;
import kampanje.client.Models.PriceQuote;
import kampanje.client.Models.SegmentBatch;
import kampanje.client.Models.SegmentBatchRow;
import kampanje.client.Models.SegmentLineBatch;
import kampanje.client.Models.SegmentLineBatchRow;
import kampanje.client.Resources.GetPriceQuoteOptions;

/**
 * A first campaign: an item, a customer, a campaign price, and the quote that results. It can be run
 * again: batches create what does not exist and change what does.
 */
public final class Quickstart {
  private Quickstart() {}

  public static void main(String[] arguments) {
    String url = System.getenv().getOrDefault("KAMPANJE_URL", "http://localhost:8080");
    Kampanje kampanje = Kampanje.builder(url).apiKey(System.getenv("KAMPANJE_API_KEY")).build();

    ItemBatchRow desk =
        new ItemBatchRow()
            .number("DESK")
            .description("Desk")
            .listPrice(new BigDecimal(400))
            .taxPercent(new BigDecimal(25));
    kampanje.items.batch(new ItemBatch().rows(List.of(desk)));
    ContactBatchRow acme =
        new ContactBatchRow()
            .number("ACME")
            .type("COMPANY")
            .name("Acme")
            .customer(new CustomerPatch().number("D100"));
    kampanje.contacts.batch(new ContactBatch().rows(List.of(acme)));
    CampaignBatchRow spring =
        new CampaignBatchRow()
            .number("SPRING")
            .startingDate(LocalDate.of(2031, 5, 1))
            .endingDate(LocalDate.of(2031, 5, 31));
    kampanje.campaigns.batch(new CampaignBatch().rows(List.of(spring)));
    SegmentBatchRow fair =
        new SegmentBatchRow().number("FAIR").campaignNumber("SPRING").campaignTarget(true);
    kampanje.segments.batch(new SegmentBatch().rows(List.of(fair)));
    SegmentLineBatchRow line = new SegmentLineBatchRow().contactNumber("ACME");
    kampanje.segmentLines.batch("FAIR", new SegmentLineBatch().rows(List.of(line)));
    PriceLineBatchRow price =
        new PriceLineBatchRow().itemNumber("DESK").unitPrice(new BigDecimal(350));
    kampanje.campaignPrices.batch("SPRING", new PriceLineBatch().rows(List.of(price)));

    ActivationResult plan =
        kampanje.campaigns.activate("SPRING", new ActivationRequest().validateOnly(true));
    plan.findings()
        .forEach(finding -> System.out.println(finding.severity() + " " + finding.detail()));
    kampanje.campaigns.activate("SPRING", new ActivationRequest().planHash(plan.planHash()));

    // The quote waits for the version of the price book that the activation has made.
    GetPriceQuoteOptions wanted =
        new GetPriceQuoteOptions()
            .contactNumber("ACME")
            .itemNumber("DESK")
            .date(LocalDate.of(2031, 5, 15));
    PriceQuote quote = kampanje.priceQuotes.get(wanted);
    quote
        .lines()
        .forEach(
            answer ->
                answer
                    .asPricedLine()
                    .ifPresent(priced -> System.out.println("Acme pays " + priced.unitPrice())));
  }
}

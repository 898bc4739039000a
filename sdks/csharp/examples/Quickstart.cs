using System;
using System.Threading.Tasks;
using Kampanje.Client;
using Kampanje.Client.Models;

/// <summary>
/// A first campaign: an item, a customer, a campaign price, and the quote that results. It can be
/// run again: batches create what does not exist and change what does.
/// </summary>
public static class Quickstart
{
    /// <summary>Runs the example.</summary>
    public static void Main()
    {
        RunAsync().GetAwaiter().GetResult();
    }

    private static async Task RunAsync()
    {
        var url = Environment.GetEnvironmentVariable("KAMPANJE_URL") ?? "http://localhost:8080";
        var key = Environment.GetEnvironmentVariable("KAMPANJE_API_KEY");
        var kampanje = new KampanjeClient(url, key);

        var desk = new ItemBatchRow
        {
            Number = "DESK",
            Description = "Desk",
            ListPrice = 400,
            TaxPercent = 25,
        };
        await kampanje.Items.BatchAsync(new ItemBatch { Rows = new[] { desk } });
        var acme = new ContactBatchRow
        {
            Number = "ACME",
            Type = ContactType.Company,
            Name = "Acme",
            Customer = new CustomerPatch { Number = "D100" },
        };
        await kampanje.Contacts.BatchAsync(new ContactBatch { Rows = new[] { acme } });
        var spring = new CampaignBatchRow
        {
            Number = "SPRING",
            StartingDate = new DateTime(2031, 5, 1),
            EndingDate = new DateTime(2031, 5, 31),
        };
        await kampanje.Campaigns.BatchAsync(new CampaignBatch { Rows = new[] { spring } });
        var fair = new SegmentBatchRow
        {
            Number = "FAIR",
            CampaignNumber = "SPRING",
            CampaignTarget = true,
        };
        await kampanje.Segments.BatchAsync(new SegmentBatch { Rows = new[] { fair } });
        var line = new SegmentLineBatchRow { ContactNumber = "ACME" };
        await kampanje.SegmentLines.BatchAsync(
            "FAIR", new SegmentLineBatch { Rows = new[] { line } });
        var price = new PriceLineBatchRow { ItemNumber = "DESK", UnitPrice = 350 };
        await kampanje.CampaignPrices.BatchAsync(
            "SPRING", new PriceLineBatch { Rows = new[] { price } });

        var plan = await kampanje.Campaigns.ActivateAsync(
            "SPRING", new ActivationRequest { ValidateOnly = true });
        foreach (var finding in plan.Findings)
        {
            Console.WriteLine(finding.Severity + " " + finding.Detail);
        }

        await kampanje.Campaigns.ActivateAsync(
            "SPRING", new ActivationRequest { PlanHash = plan.PlanHash });

        // The quote waits for the version of the price book that the activation has made.
        var quote = await kampanje.PriceQuotes.GetAsync(new GetPriceQuoteOptions
        {
            ContactNumber = "ACME",
            ItemNumber = "DESK",
            Date = new DateTime(2031, 5, 15),
        });
        foreach (var answer in quote.Lines)
        {
            var priced = answer.AsPricedLine();
            Console.WriteLine(
                priced == null ? answer.Outcome : "Acme pays " + priced.UnitPrice);
        }
    }
}

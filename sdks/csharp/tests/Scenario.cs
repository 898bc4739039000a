using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Threading.Tasks;
using Kampanje.Client;
using Kampanje.Client.Models;

/// <summary>
/// The scenario that every SDK plays, directly and through the hostile proxy.
/// </summary>
public static class Scenario
{
    private static readonly bool IsHostile =
        Environment.GetEnvironmentVariable("KAMPANJE_HOSTILE") == "1";

    private static readonly string Run =
        "CS" + DateTime.UtcNow.Ticks.ToString("X", CultureInfo.InvariantCulture);

    private static readonly string ItemNumber = Run + "-DESK";
    private static readonly string Company = Run + "-ACME";
    private static readonly string Person = Run + "-ANNE";
    private static readonly string CampaignNumber = Run + "-SPRING";
    private static readonly string SegmentNumber = Run + "-FAIR";
    private static readonly DateTime Date = new DateTime(2031, 5, 15);

    private static readonly KampanjeClient Kampanje = new KampanjeClient(
        Environment.GetEnvironmentVariable("KAMPANJE_URL"),
        Environment.GetEnvironmentVariable("KAMPANJE_API_KEY"));

    private static int steps;

    /// <summary>Plays the scenario, and fails with the first step that does.</summary>
    public static int Main()
    {
        try
        {
            PlayAsync().GetAwaiter().GetResult();
        }
        catch (Exception error)
        {
            Console.Error.WriteLine(error);
            return 1;
        }

        Console.WriteLine(
            "csharp: " + steps + " steps passed"
            + (IsHostile ? " through the hostile proxy" : string.Empty));
        return 0;
    }

    private static async Task PlayAsync()
    {
        await StepAsync("create an item with exact decimals", async () =>
        {
            var created = await Kampanje.Items.PutAsync(
                ItemNumber,
                new ItemWrite { Description = "Desk", ListPrice = 400.10m, TaxPercent = 25 },
                new PutItemOptions { IfNoneMatch = "*" });
            Same(400.1m, created.ListPrice);
            Same(201, created.Meta.Status);
        });
        await StepAsync("create a customer and a person", async () =>
        {
            await Kampanje.Contacts.CreateAsync(new ContactWrite
            {
                Number = Company,
                Type = ContactType.Company,
                Name = "Acme",
                Customer = new CustomerWrite { Number = Run + "-D1" },
            });
            var created = await Kampanje.Contacts.CreateAsync(new ContactWrite
            {
                Number = Person,
                Type = ContactType.Person,
                Name = "Anne",
                CompanyNumber = Company,
            });
            Same(Company, created.CompanyNumber);
        });
        await StepAsync("create a campaign", async () =>
        {
            var campaign = await Kampanje.Campaigns.CreateAsync(new CampaignWrite
            {
                Number = CampaignNumber,
                Description = "Spring",
                StartingDate = new DateTime(2031, 5, 1),
                EndingDate = new DateTime(2031, 5, 31),
            });
            Same(IsHostile ? "STATE_OF_THE_FUTURE" : CampaignState.Draft, campaign.State);
            Same(new DateTime(2031, 5, 1), campaign.StartingDate);
        });
        await StepAsync("target the person", async () =>
        {
            var segment =
                new SegmentWrite { CampaignNumber = CampaignNumber, CampaignTarget = true };
            await Kampanje.Segments.PutAsync(SegmentNumber, segment);
            var line = await Kampanje.SegmentLines.CreateAsync(
                SegmentNumber, new SegmentLineCreate { ContactNumber = Person });
            Same(Person, line.ContactNumber);
        });
        await StepAsync("add a price", async () =>
        {
            var line = await Kampanje.CampaignPrices.CreateAsync(
                CampaignNumber, new PriceLineWrite { ItemNumber = ItemNumber, UnitPrice = 350 });
            Same(350m, line.UnitPrice);
        });
        string planHash = null;
        await StepAsync("plan the activation", async () =>
        {
            var plan = await Kampanje.Campaigns.ActivateAsync(
                CampaignNumber, new ActivationRequest { ValidateOnly = true });
            planHash = plan.PlanHash;
        });
        long version = 0;
        await StepAsync("activate", async () =>
        {
            var body = new ActivationRequest { PlanHash = planHash, Acknowledge = new[] { "*" } };
            var activation = await Kampanje.Campaigns.ActivateAsync(CampaignNumber, body);
            version = activation.Meta.Version.Value;
            Same(version, Kampanje.Session.Version);
        });
        var wanted = new GetPriceQuoteOptions
        {
            ContactNumber = Company,
            ItemNumber = ItemNumber,
            Date = Date,
            Explain = true,
        };
        await StepAsync("quote with an explanation, at the version just made", async () =>
        {
            var quote = await Kampanje.PriceQuotes.GetAsync(wanted);
            Check(quote.PublicationVersion >= version, quote);
            Same(350m, UnitPrice(quote));
            Check(quote.Lines[0].AsPricedLine().Trace != null, quote);
        });
        await StepAsync("write a batch", async () =>
        {
            var rows = Enumerable.Range(0, 5).Select(at => new ItemBatchRow
            {
                Number = Run + "-LAMP-" + at,
                Description = "Lamp",
                ListPrice = at + 1.05m,
            });
            var answer = await Kampanje.Items.BatchAsync(new ItemBatch { Rows = rows.ToList() });
            Same("201 201 201 201 201", string.Join(" ", answer.Receipts.Select(r => r.Status)));
        });
        await StepAsync("read a list page by page", async () =>
        {
            var lamps = new ListItemsOptions
            {
                Filter = "startswith(number, '" + Run + "-LAMP')",
                Top = 2,
                Orderby = "number",
            };
            var sizes = new List<int>();
            ItemPage page = null;
            var all = Kampanje.Items.List(lamps).GetAsyncEnumerator();
            while (await all.MoveNextAsync())
            {
                if (!ReferenceEquals(page, all.Page))
                {
                    page = all.Page;
                    sizes.Add(page.Value.Count);
                }
            }

            Same("2 2 1", string.Join(" ", sizes));
            lamps.Orderby = "number desc";
            var last = await Kampanje.Items.List(lamps).TakeAsync(3);
            Same(
                "5.05 4.05 3.05",
                string.Join(" ", last.Select(lamp =>
                    lamp.ListPrice.Value.ToString(CultureInfo.InvariantCulture))));
        });
        await StepAsync("be refused with an outdated entity tag", async () =>
        {
            var refused = await RefusedAsync(() => Kampanje.Campaigns.UpdateAsync(
                CampaignNumber,
                new CampaignPatch { Description = "x" },
                new UpdateCampaignOptions { IfMatch = "\"outdated\"" }));
            Same(412, refused.Status);
        });
        await StepAsync("modify: an absent field stays, and null removes", async () =>
        {
            var reads = 0;
            var modified = await Kampanje.Campaigns.ModifyAsync(CampaignNumber, current =>
            {
                reads++;
                if (reads == 1)
                {
                    // Somebody else is faster.
                    Kampanje.Campaigns.UpdateAsync(
                        CampaignNumber,
                        new CampaignPatch { MaxDiscountPercent = 20 },
                        new UpdateCampaignOptions { IfMatch = "*" }).GetAwaiter().GetResult();
                }

                return new CampaignPatch { Description = current.Description + " sale" };
            });
            Same(2, reads);
            Same("Spring sale", modified.Description);
            Same(20m, modified.MaxDiscountPercent);
            var cleared = await Kampanje.Campaigns.ModifyAsync(
                CampaignNumber, current => new CampaignPatch { MaxDiscountPercent = null });
            Check(cleared.MaxDiscountPercent == null, cleared);
            Same("Spring sale", cleared.Description);
            var put = await Kampanje.Campaigns.PutAsync(
                CampaignNumber,
                cleared.ToWrite(),
                new PutCampaignOptions { IfMatch = cleared.Meta.Etag });
            Same("Spring sale", put.Description);
        });
        await StepAsync("get every error of a refused request", async () =>
        {
            var rows = Enumerable.Range(0, 2).Select(at => new CampaignBatchRow
            {
                Number = Run + "-" + at,
                StartingDate = new DateTime(2031, 6, 2),
                EndingDate = new DateTime(2031, 6, 1),
            });
            var refused = await RefusedAsync(() =>
                Kampanje.Campaigns.BatchAsync(new CampaignBatch { Rows = rows.ToList() }));
            Same(422, refused.Status);
            Same("VALIDATION_FAILED", refused.Code);
            Same(
                "/rows/0/endingDate /rows/1/endingDate",
                string.Join(" ", refused.Errors.Select(error => error.Pointer).OrderBy(p => p)));
            Same(32, refused.TraceId.Length);
        });
        await StepAsync("stream the price list", async () =>
        {
            decimal? price = null;
            var list = new ListEffectivePricesOptions { ContactNumber = Company, Date = Date };
            using (var stream = await Kampanje.EffectivePrices.StreamAsync(list))
            {
                var rows = stream.GetAsyncEnumerator();
                while (await rows.MoveNextAsync())
                {
                    var priced = rows.Current.AsEffectivePricePriced();
                    if (priced != null && priced.ItemNumber == ItemNumber)
                    {
                        price = priced.UnitPrice;
                    }
                }
            }

            Same(350m, price);
        });
        await StepAsync("follow the events", async () =>
        {
            var versions = new List<long?>();
            var unknown = 0;
            var processed = new List<long>();
            var options = new FollowOptions
            {
                OnSequence = processed.Add,
                Until = () => versions.Count > 0,
            };
            await Kampanje.Events.FollowAsync(options, received =>
            {
                unknown += received.Type == "kampanje.future.event" ? 1 : 0;
                var publication = received.AsPublicationCreatedEvent();
                if (publication != null && publication.Data.CampaignNumber == CampaignNumber)
                {
                    versions.Add(publication.Data.Version);
                }

                return Task.CompletedTask;
            });
            Same(version, versions.Single());
            Check(processed.Count > 0, processed.Count);
            Same(IsHostile, unknown > 0);
        });
        await StepAsync("deactivate", async () =>
        {
            var publication = await Kampanje.Campaigns.DeactivateAsync(
                CampaignNumber, new RequestOptions { IdempotencyKey = Run + "-deactivate" });
            Check(publication.Version > version, publication);
            Same(400.1m, UnitPrice(await Kampanje.PriceQuotes.GetAsync(wanted)));
        });
    }

    private static async Task StepAsync(string name, Func<Task> action)
    {
        steps++;
        try
        {
            await action();
        }
        catch (Exception error)
        {
            throw new InvalidOperationException("step " + steps + " failed: " + name, error);
        }
    }

    private static async Task<RefusedException> RefusedAsync(Func<Task> action)
    {
        try
        {
            await action();
        }
        catch (RefusedException refused)
        {
            return refused;
        }

        throw new InvalidOperationException("the request was accepted");
    }

    private static decimal? UnitPrice(PriceQuote quote)
    {
        return quote.Lines[0].AsPricedLine().UnitPrice;
    }

    private static void Check(bool condition, object found)
    {
        if (!condition)
        {
            throw new InvalidOperationException(Convert.ToString(found));
        }
    }

    private static void Same(object expected, object found)
    {
        Check(Equals(expected, found), "expected " + expected + ", found " + found);
    }
}

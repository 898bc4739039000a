using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using Kampanje.Client;
using Newtonsoft.Json;
using Newtonsoft.Json.Linq;

/// <summary>Verifies the deliveries of the file that all SDKs share.</summary>
public static class WebhookVectors
{
    /// <summary>Verifies the deliveries of the named file.</summary>
    public static int Main(string[] arguments)
    {
        var settings = new JsonSerializerSettings { DateParseHandling = DateParseHandling.None };
        var vectors = JsonConvert.DeserializeObject<JArray>(
            File.ReadAllText(arguments[0]), settings);
        foreach (var vector in vectors)
        {
            if (IsValid(vector) != (bool)vector["valid"])
            {
                Console.Error.WriteLine("wrong: " + vector["name"]);
                return 1;
            }
        }

        Console.WriteLine("csharp: " + vectors.Count + " webhook vectors passed");
        return vectors.Count > 0 ? 0 : 1;
    }

    private static bool IsValid(JToken vector)
    {
        var epoch = new DateTimeOffset(1970, 1, 1, 0, 0, 0, TimeSpan.Zero);
        try
        {
            var received = Webhooks.Verify(
                Encoding.UTF8.GetBytes((string)vector["payload"]),
                vector["headers"].ToObject<Dictionary<string, string>>(),
                vector["secrets"].Select(secret => (string)secret),
                TimeSpan.FromMinutes(5),
                epoch.AddSeconds((long)vector["now"]));
            return received.Type != null;
        }
        catch (InvalidSignatureException)
        {
            return false;
        }
    }
}

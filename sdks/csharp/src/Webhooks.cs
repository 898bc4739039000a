using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using Newtonsoft.Json;
using Newtonsoft.Json.Linq;

namespace Kampanje.Client
{
    /// <summary>Verifies deliveries by the scheme of Standard Webhooks.</summary>
    public static class Webhooks
    {
        private const string SecretPrefix = "whsec_";
        private const string Version = "v1,";
        private static readonly TimeSpan Tolerance = TimeSpan.FromMinutes(5);
        private static readonly DateTimeOffset Epoch =
            new DateTimeOffset(1970, 1, 1, 0, 0, 0, TimeSpan.Zero);

        /// <summary>Verifies a delivery, whose time may differ from ours by 5 minutes.</summary>
        public static Models.CloudEvent Verify(
            byte[] payload, IDictionary<string, string> headers, IEnumerable<string> secrets)
        {
            return Verify(payload, headers, secrets, Tolerance, DateTimeOffset.UtcNow);
        }

        /// <summary>
        /// Verifies a delivery and returns its event. The payload is the body exactly as it was
        /// received. While a secret is being replaced, pass both.
        /// </summary>
        public static Models.CloudEvent Verify(
            byte[] payload,
            IDictionary<string, string> headers,
            IEnumerable<string> secrets,
            TimeSpan tolerance,
            DateTimeOffset now)
        {
            var names =
                new Dictionary<string, string>(headers, StringComparer.OrdinalIgnoreCase);
            var timestamp = Find(names, "webhook-timestamp");
            if (!Regex.IsMatch(timestamp, "^[0-9]{1,15}\\z")
                || Math.Abs((now - Epoch).TotalSeconds - Seconds(timestamp))
                    > tolerance.TotalSeconds)
            {
                throw new InvalidSignatureException(
                    "the timestamp is missing, too old or in the future");
            }

            var prefix = Encoding.UTF8.GetBytes(
                Find(names, "webhook-id") + "." + timestamp + ".");
            var signed = prefix.Concat(payload).ToArray();
            var signatures = Find(names, "webhook-signature").Split(' ')
                .Where(text => text.StartsWith(Version, StringComparison.Ordinal))
                .Select(text => text.Substring(Version.Length))
                .ToArray();
            foreach (var secret in secrets)
            {
                using (var mac = new HMACSHA256(DecodeSecret(secret)))
                {
                    var expected = Convert.ToBase64String(mac.ComputeHash(signed));
                    if (signatures.Any(signature => IsEqual(expected, signature)))
                    {
                        return Read(payload);
                    }
                }
            }

            throw new InvalidSignatureException("no signature matches");
        }

        private static Models.CloudEvent Read(byte[] payload)
        {
            try
            {
                var json = Core.Parse(Encoding.UTF8.GetString(payload)) as JObject;
                return new Models.CloudEvent(json ?? new JObject());
            }
            catch (JsonException error)
            {
                throw new KampanjeException("the delivery is not JSON", error);
            }
        }

        private static string Find(Dictionary<string, string> headers, string name)
        {
            string value;
            return headers.TryGetValue(name, out value) ? value : string.Empty;
        }

        private static double Seconds(string timestamp)
        {
            return long.Parse(timestamp, CultureInfo.InvariantCulture);
        }

        private static byte[] DecodeSecret(string secret)
        {
            var isPrefixed = secret.StartsWith(SecretPrefix, StringComparison.Ordinal);
            return Convert.FromBase64String(
                isPrefixed ? secret.Substring(SecretPrefix.Length) : secret);
        }

        /// <summary>Compares in a time that does not depend on the contents.</summary>
        private static bool IsEqual(string expected, string found)
        {
            var difference = expected.Length ^ found.Length;
            for (var at = 0; at < expected.Length && at < found.Length; at++)
            {
                difference |= expected[at] ^ found[at];
            }

            return difference == 0;
        }
    }
}

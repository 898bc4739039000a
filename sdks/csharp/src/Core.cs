using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Newtonsoft.Json;
using Newtonsoft.Json.Linq;

namespace Kampanje.Client
{
    /// <summary>Sends requests: authentication, retries, consistency, exceptions.</summary>
    internal sealed class Core
    {
        private const int MaxModifications = 10;
        private static readonly TimeSpan FirstBackoff = TimeSpan.FromMilliseconds(250);
        private static readonly TimeSpan MaxBackoff = TimeSpan.FromSeconds(8);
        private static readonly TimeSpan MaxRetryAfter = TimeSpan.FromSeconds(60);
        private static readonly int[] Retried = { 408, 429, 502, 503, 504 };

        /// <summary>
        /// The statuses after which a request without idempotency key certainly had no effect.
        /// </summary>
        private static readonly int[] WithoutEffect = { 429, 503 };

        private static readonly Random Random = new Random();

        private readonly ClientOptions client;
        private readonly string baseUrl;
        private readonly HttpClient http;
        private readonly object sessionLock = new object();
        private volatile Session session;

        internal Core(ClientOptions options)
        {
            client = options;
            baseUrl = options.BaseUrl.TrimEnd('/');
            http = options.HttpClient ?? new HttpClient(
                new HttpClientHandler { AllowAutoRedirect = false, UseCookies = false })
            {
                Timeout = Timeout.InfiniteTimeSpan,
            };
        }

        internal Session Session
        {
            get { return session; }
            set { session = value; }
        }

        /// <summary>Joins a path of literals and parameters: literals are at even places.</summary>
        internal static string Path(params object[] parts)
        {
            return string.Concat(parts.Select((part, at) =>
                at % 2 == 0 ? Model.ToText(part) : Uri.EscapeDataString(Model.ToText(part))));
        }

        /// <summary>Parses JSON without a change of any text or number.</summary>
        internal static JToken Parse(string text)
        {
            using (var reader = new JsonTextReader(new StringReader(text)))
            {
                reader.DateParseHandling = DateParseHandling.None;
                reader.FloatParseHandling = FloatParseHandling.Decimal;
                var value = JToken.ReadFrom(reader);
                while (reader.Read())
                {
                    if (reader.TokenType != JsonToken.Comment)
                    {
                        throw new JsonReaderException("text after the end of the JSON value");
                    }
                }

                return value;
            }
        }

        /// <summary>Sends a request and returns its content; null if there is none.</summary>
        internal async Task<T> RequestAsync<T>(
            Call call,
            RequestOptions wanted,
            Func<JObject, T> create,
            CancellationToken cancellation)
            where T : Model
        {
            var received = await SendAsync(call, wanted, false, cancellation)
                .ConfigureAwait(false);
            if (received.Text.Length == 0)
            {
                return null;
            }

            var value = create(Parse(received.Text) as JObject ?? new JObject());
            value.Meta = received.Meta;
            return value;
        }

        /// <summary>Sends a request and returns its content as text.</summary>
        internal async Task<string> RequestTextAsync(
            Call call, RequestOptions wanted, CancellationToken cancellation)
        {
            var received = await SendAsync(call, wanted, false, cancellation)
                .ConfigureAwait(false);
            return received.Text;
        }

        /// <summary>Returns a list, of which nothing is requested until it is iterated.</summary>
        internal Pages<T, TPage> Pages<T, TPage>(
            Call call,
            RequestOptions wanted,
            Func<JObject, TPage> create,
            Func<TPage, IReadOnlyList<T>> rows,
            Func<TPage, string> nextLink)
            where TPage : Model
        {
            // The link of a page contains the query already.
            var rest = wanted == null ? null : wanted.WithoutQuery();
            return new Pages<T, TPage>(
                (link, cancellation) => link == null
                    ? RequestAsync(call, wanted, create, cancellation)
                    : RequestAsync(
                        new Call("GET", link) { IsSafe = true }, rest, create, cancellation),
                rows,
                nextLink);
        }

        /// <summary>Requests a stream of JSON lines.</summary>
        internal async Task<JsonLines<T>> StreamAsync<T>(
            Call call,
            RequestOptions wanted,
            Func<JObject, T> create,
            CancellationToken cancellation)
        {
            var received = await SendAsync(call, wanted, true, cancellation)
                .ConfigureAwait(false);
            return new JsonLines<T>(received.Response, received.Body, create);
        }

        /// <summary>
        /// Reads, changes and writes a resource; again from the start if it was changed meanwhile.
        /// </summary>
        internal static async Task<T> ModifyAsync<T, TPatch>(
            Func<Task<T>> read, Func<T, TPatch> change, Func<TPatch, string, Task<T>> write)
            where T : Model
            where TPatch : class
        {
            for (var attempt = 1; ; attempt++)
            {
                var current = await read().ConfigureAwait(false);
                var wanted = change(current);
                if (wanted == null)
                {
                    return current;
                }

                var etag = current.Meta == null ? null : current.Meta.Etag;
                try
                {
                    return await write(wanted, etag ?? "*").ConfigureAwait(false);
                }
                catch (RefusedException refused)
                    when (refused.Status == 412 && attempt < MaxModifications)
                {
                    // The loop begins again.
                }
            }
        }

        internal static bool IsPassing(KampanjeException error)
        {
            var refused = error as RefusedException;
            return error is ConnectionFailedException
                || (refused != null && Retried.Contains(refused.Status));
        }

        /// <summary>Returns true for the failures of a connection.</summary>
        internal static bool IsNetwork(Exception error)
        {
            return error is HttpRequestException
                || error is WebException
                || error is SocketException
                || error is IOException
                || error is ObjectDisposedException;
        }

        /// <summary>
        /// Doubles with each attempt, less a random part, so that clients do not return all
        /// together.
        /// </summary>
        internal static TimeSpan Backoff(int attempt)
        {
            var doubled = FirstBackoff.TotalMilliseconds * (1 << Math.Min(attempt - 1, 10));
            var longest = Math.Min(doubled, MaxBackoff.TotalMilliseconds);
            lock (Random)
            {
                return TimeSpan.FromMilliseconds(longest * (1 + Random.NextDouble()) / 2);
            }
        }

        private async Task<Received> SendAsync(
            Call call, RequestOptions wanted, bool isStream, CancellationToken cancellation)
        {
            wanted = wanted ?? new RequestOptions();
            var maxRetries = wanted.MaxRetries ?? client.MaxRetries;
            // One key for the call: a retry after a lost response gets that response.
            var key = wanted.IdempotencyKey ?? Guid.NewGuid().ToString();
            var useSession = call.UsesSession && client.SessionConsistency;
            for (var attempt = 1; ; attempt++)
            {
                KampanjeException failure;
                TimeSpan? wait = null;
                try
                {
                    var received = await AttemptAsync(
                        call,
                        wanted,
                        isStream,
                        call.IsIdempotent ? key : null,
                        useSession,
                        attempt,
                        cancellation).ConfigureAwait(false);
                    if (received.IsSuccess)
                    {
                        Remember(received.Meta);
                        if (wanted.OnMeta != null)
                        {
                            wanted.OnMeta(received.Meta);
                        }

                        return received;
                    }

                    if (received.Meta.Status == 304)
                    {
                        throw new NotModifiedException();
                    }

                    var refused = Refusal(received);
                    if (useSession && refused.Code == "OTHER_HISTORY")
                    {
                        // The database was restored: what this client has written may be gone.
                        session = null;
                        useSession = false;
                        continue;
                    }

                    if (!IsRetried(refused, call))
                    {
                        throw refused;
                    }

                    failure = refused;
                    wait = refused.RetryAfter;
                }
                catch (ConnectionFailedException error)
                    when (call.IsSafe || call.IsIdempotent)
                {
                    failure = error;
                }

                if (attempt > maxRetries)
                {
                    throw failure;
                }

                await Task.Delay(wait ?? Backoff(attempt), cancellation).ConfigureAwait(false);
            }
        }

        private async Task<Received> AttemptAsync(
            Call call,
            RequestOptions wanted,
            bool isStream,
            string key,
            bool useSession,
            int attempt,
            CancellationToken cancellation)
        {
            var timeout = wanted.Timeout ?? client.Timeout;
            using (var timer = new CancellationTokenSource(timeout))
            using (var either =
                CancellationTokenSource.CreateLinkedTokenSource(timer.Token, cancellation))
            using (var request = Build(call, wanted, isStream, key, useSession))
            {
                HttpResponseMessage response = null;
                try
                {
                    response = await http.SendAsync(
                        request, HttpCompletionOption.ResponseHeadersRead, either.Token)
                        .ConfigureAwait(false);
                    // Closing the response ends a read that takes too long.
                    using (either.Token.Register(response.Dispose))
                    {
                        return await ReceiveAsync(response, isStream, attempt)
                            .ConfigureAwait(false);
                    }
                }
                catch (Exception error)
                {
                    if (response != null)
                    {
                        response.Dispose();
                    }

                    cancellation.ThrowIfCancellationRequested();
                    if (timer.IsCancellationRequested)
                    {
                        throw new TimedOutException("no response within " + timeout, error);
                    }

                    if (IsNetwork(error) || error is JsonException)
                    {
                        throw new ConnectionFailedException(
                            "the request failed: " + call.Method + " " + call.Path, error);
                    }

                    throw;
                }
            }
        }

        private static async Task<Received> ReceiveAsync(
            HttpResponseMessage response, bool isStream, int attempt)
        {
            var received = new Received(response, MetaOf(response, attempt));
            var body = await response.Content.ReadAsStreamAsync().ConfigureAwait(false);
            var whole = new WholeStream(body, response.Content.Headers.ContentLength);
            if (isStream && received.IsSuccess)
            {
                received.Body = whole;
                return received;
            }

            using (response)
            using (var reader = new StreamReader(whole, Encoding.UTF8))
            {
                received.Text = await reader.ReadToEndAsync().ConfigureAwait(false);
            }

            var type = response.Content.Headers.ContentType;
            var isJson = type != null && type.MediaType.Contains("json");
            if (received.IsSuccess && isJson && received.Text.Length > 0)
            {
                // A body that is not complete is a failure of the connection.
                Parse(received.Text);
            }

            return received;
        }

        private HttpRequestMessage Build(
            Call call, RequestOptions wanted, bool isStream, string key, bool useSession)
        {
            var request = new HttpRequestMessage(
                new HttpMethod(call.Method), Address(call, wanted, useSession));
            if (call.Body != null)
            {
                var json = Model.ToJson(call.Body).ToString(Formatting.None);
                request.Content = new ByteArrayContent(Encoding.UTF8.GetBytes(json));
                request.Content.Headers.ContentType = new MediaTypeHeaderValue(
                    call.Method == "PATCH" ? "application/merge-patch+json" : "application/json");
            }

            var headers = new Dictionary<string, string>(client.Headers)
            {
                ["accept"] = isStream ? "application/x-ndjson" : "application/json",
                ["if-match"] = wanted.Condition,
                ["if-none-match"] = wanted.NoneMatchCondition,
                ["idempotency-key"] = key,
                ["user-agent"] = "kampanje-csharp/" + PackageVersion.Value,
            };
            var token = client.ApiKey == null ? null : client.ApiKey();
            if (token != null)
            {
                headers["authorization"] = "Bearer " + token;
            }

            foreach (var header in headers.Where(header => header.Value != null))
            {
                request.Headers.TryAddWithoutValidation(header.Key, header.Value);
            }

            return request;
        }

        private string Address(Call call, RequestOptions wanted, bool useSession)
        {
            if (!call.Path.StartsWith("/", StringComparison.Ordinal)
                || call.Path.StartsWith("//", StringComparison.Ordinal))
            {
                throw new KampanjeException("not a path of the service: " + call.Path);
            }

            var query = wanted.Query.ToList();
            var newest = session;
            var isChosen = query.Any(parameter =>
                parameter.Key == "publicationVersion" || parameter.Key == "minPublicationVersion");
            if (useSession && newest != null && !isChosen)
            {
                query.Add(new KeyValuePair<string, string>(
                    "minPublicationVersion", Model.ToText(newest.Version)));
                if (newest.BookId != null && query.All(parameter => parameter.Key != "bookId"))
                {
                    query.Add(new KeyValuePair<string, string>("bookId", newest.BookId));
                }
            }

            var text = string.Join("&", query.Select(parameter =>
                parameter.Key + "=" + Uri.EscapeDataString(parameter.Value)));
            return baseUrl + call.Path + (text.Length == 0 ? string.Empty : "?" + text);
        }

        private void Remember(Meta meta)
        {
            if (meta.Version == null || meta.BookId == null)
            {
                return;
            }

            lock (sessionLock)
            {
                var known = session;
                if (known == null
                    || known.BookId != meta.BookId
                    || known.Version < meta.Version.Value)
                {
                    session = new Session(meta.Version.Value, meta.BookId);
                }
            }
        }

        private static Meta MetaOf(HttpResponseMessage response, int attempts)
        {
            var version = Header(response, "publication-version");
            return new Meta
            {
                Status = (int)response.StatusCode,
                Etag = Header(response, "etag"),
                Version = version == null
                    ? (long?)null
                    : long.Parse(version, CultureInfo.InvariantCulture),
                BookId = Header(response, "book-id"),
                TraceId = Header(response, "trace-id"),
                IsReplayed = Header(response, "idempotency-replayed") == "true",
                Attempts = attempts,
            };
        }

        private static string Header(HttpResponseMessage response, string name)
        {
            IEnumerable<string> values;
            return response.Headers.TryGetValues(name, out values) ? values.First() : null;
        }

        private static RefusedException Refusal(Received received)
        {
            JObject document = null;
            try
            {
                document = Parse(received.Text) as JObject;
            }
            catch (JsonException)
            {
                // A proxy answered, in a form of its own.
            }

            return new RefusedException(
                document ?? new JObject(), received.Meta, RetryAfter(received.Response));
        }

        private static TimeSpan? RetryAfter(HttpResponseMessage response)
        {
            var header = response.Headers.RetryAfter;
            if (header == null)
            {
                return null;
            }

            var wait = header.Delta ?? header.Date - DateTimeOffset.UtcNow ?? TimeSpan.Zero;
            var atLeast = wait < TimeSpan.Zero ? TimeSpan.Zero : wait;
            return atLeast > MaxRetryAfter ? MaxRetryAfter : atLeast;
        }

        private static bool IsRetried(RefusedException refused, Call call)
        {
            var statuses = call.IsSafe || call.IsIdempotent ? Retried : WithoutEffect;
            return refused.Code == "IDEMPOTENCY_IN_PROGRESS" || statuses.Contains(refused.Status);
        }

        private sealed class Received
        {
            internal Received(HttpResponseMessage response, Meta meta)
            {
                Response = response;
                Meta = meta;
            }

            internal HttpResponseMessage Response { get; }

            internal Meta Meta { get; }

            internal string Text { get; set; } = string.Empty;

            internal Stream Body { get; set; }

            internal bool IsSuccess
            {
                get { return Meta.Status / 100 == 2; }
            }
        }
    }
}

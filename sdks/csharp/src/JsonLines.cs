using System;
using System.IO;
using System.Text;
using System.Threading.Tasks;
using Newtonsoft.Json;
using Newtonsoft.Json.Linq;

namespace Kampanje.Client
{
    /// <summary>
    /// A stream of rows. It can be iterated once, with <c>await foreach</c> or with
    /// <c>GetAsyncEnumerator</c>, and has to be disposed of. A stream that breaks off is an
    /// exception, not an end.
    /// </summary>
    /// <typeparam name="T">The type of the rows.</typeparam>
    public sealed class JsonLines<T> : IDisposable
    {
        private readonly IDisposable response;
        private readonly StreamReader reader;
        private readonly Func<JObject, T> create;

        internal JsonLines(IDisposable response, Stream body, Func<JObject, T> create)
        {
            this.response = response;
            this.reader = new StreamReader(body, Encoding.UTF8);
            this.create = create;
        }

        /// <summary>Returns an enumerator over the rows.</summary>
        public Enumerator GetAsyncEnumerator()
        {
            return new Enumerator(this);
        }

        /// <summary>Closes the connection.</summary>
        public void Dispose()
        {
            reader.Dispose();
            response.Dispose();
        }

        /// <summary>An enumerator over the rows.</summary>
        public sealed class Enumerator
        {
            private readonly JsonLines<T> lines;

            internal Enumerator(JsonLines<T> lines)
            {
                this.lines = lines;
            }

            /// <summary>The row that <c>MoveNextAsync</c> has read.</summary>
            public T Current { get; private set; }

            /// <summary>Goes on to the next row, and returns false if there is none.</summary>
            public async Task<bool> MoveNextAsync()
            {
                try
                {
                    string line;
                    do
                    {
                        line = await lines.reader.ReadLineAsync().ConfigureAwait(false);
                    }
                    while (line != null && line.Length == 0);
                    if (line == null)
                    {
                        return false;
                    }

                    Current = lines.create((JObject)Core.Parse(line));
                    return true;
                }
                catch (Exception error) when (Core.IsNetwork(error) || error is JsonException)
                {
                    throw new ConnectionFailedException("the stream broke off", error);
                }
            }
        }
    }
}

using System;
using System.Threading;
using System.Threading.Tasks;

namespace Kampanje.Client
{
    /// <summary>The feed of events.</summary>
    public abstract class EventFeed
    {
        private const long PageSize = 500;

        internal EventFeed()
        {
        }

        /// <summary>
        /// Hands over all events after a sequence, and waits for new ones until the condition of
        /// the options holds or the token is canceled. Each event is delivered at least once, also
        /// of types that this package does not know. Failures of the network and of the service are
        /// retried without limit.
        /// </summary>
        public async Task FollowAsync(
            FollowOptions options,
            Func<Models.CloudEvent, Task> process,
            CancellationToken cancellation = default)
        {
            var after = options.After;
            var bookId = options.BookId;
            var failures = 0;
            while (!options.Until())
            {
                Models.EventPage page = null;
                try
                {
                    page = await PageAsync(after, bookId, options.Type, PageSize, cancellation)
                        .ConfigureAwait(false);
                    failures = 0;
                }
                catch (KampanjeException error) when (Core.IsPassing(error))
                {
                    failures++;
                }

                if (page == null)
                {
                    await Task.Delay(Core.Backoff(failures), cancellation).ConfigureAwait(false);
                    continue;
                }

                foreach (var one in page.Value)
                {
                    await process(one).ConfigureAwait(false);
                    after = (long)one.Json["sequence"];
                    bookId = bookId ?? (string)one.Json["bookid"];
                    if (options.OnSequence != null)
                    {
                        options.OnSequence(after);
                    }

                    if (options.Until())
                    {
                        return;
                    }
                }

                if (page.Value.Count == 0)
                {
                    await Task.Delay(options.PollInterval, cancellation).ConfigureAwait(false);
                }
            }
        }

        internal abstract Task<Models.EventPage> PageAsync(
            long after, string bookId, string type, long top, CancellationToken cancellation);
    }

    /// <summary>
    /// Options for following the feed. By default it begins with the first event and has no end.
    /// </summary>
    public sealed class FollowOptions
    {
        /// <summary>The last sequence that was processed.</summary>
        public long After { get; set; }

        /// <summary>
        /// The history that <c>After</c> belongs to; another is refused with OTHER_HISTORY.
        /// </summary>
        public string BookId { get; set; }

        /// <summary>The only type of events to deliver; null for all.</summary>
        public string Type { get; set; }

        /// <summary>The interval of requests at the end of the feed.</summary>
        public TimeSpan PollInterval { get; set; } = TimeSpan.FromSeconds(1);

        /// <summary>The receiver of the sequence of each event after it was processed.</summary>
        public Action<long> OnSequence { get; set; }

        /// <summary>
        /// The condition that ends the loop; it is checked after each event and each request.
        /// </summary>
        public Func<bool> Until { get; set; } = () => false;
    }
}

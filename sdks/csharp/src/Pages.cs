using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace Kampanje.Client
{
    /// <summary>
    /// A list, read page by page. <c>await foreach</c> iterates over its rows; so does
    /// <c>GetAsyncEnumerator</c> before C# 8. Each page is requested when it is needed.
    /// </summary>
    /// <typeparam name="T">The type of the rows.</typeparam>
    /// <typeparam name="TPage">The type of the pages.</typeparam>
    public sealed class Pages<T, TPage>
    {
        private readonly Func<string, CancellationToken, Task<TPage>> read;
        private readonly Func<TPage, IReadOnlyList<T>> rows;
        private readonly Func<TPage, string> nextLink;

        internal Pages(
            Func<string, CancellationToken, Task<TPage>> read,
            Func<TPage, IReadOnlyList<T>> rows,
            Func<TPage, string> nextLink)
        {
            this.read = read;
            this.rows = rows;
            this.nextLink = nextLink;
        }

        /// <summary>Returns the first page.</summary>
        public Task<TPage> PageAsync(CancellationToken cancellation = default)
        {
            return read(null, cancellation);
        }

        /// <summary>Returns an enumerator over the rows.</summary>
        public Enumerator GetAsyncEnumerator(CancellationToken cancellation = default)
        {
            return new Enumerator(this, cancellation);
        }

        /// <summary>Returns the first rows, at most <paramref name="limit"/>.</summary>
        public async Task<IReadOnlyList<T>> TakeAsync(
            int limit, CancellationToken cancellation = default)
        {
            var result = new List<T>();
            var all = GetAsyncEnumerator(cancellation);
            while (result.Count < limit && await all.MoveNextAsync().ConfigureAwait(false))
            {
                result.Add(all.Current);
            }

            return result;
        }

        /// <summary>An enumerator over the rows of all pages.</summary>
        public sealed class Enumerator
        {
            private readonly Pages<T, TPage> pages;
            private readonly CancellationToken cancellation;
            private IReadOnlyList<T> rows = new T[0];
            private string link;
            private bool isLast;
            private int next;

            internal Enumerator(Pages<T, TPage> pages, CancellationToken cancellation)
            {
                this.pages = pages;
                this.cancellation = cancellation;
            }

            /// <summary>The row that <c>MoveNextAsync</c> has found.</summary>
            public T Current { get; private set; }

            /// <summary>The page of the current row.</summary>
            public TPage Page { get; private set; }

            /// <summary>Goes on to the next row, and returns false if there is none.</summary>
            public async Task<bool> MoveNextAsync()
            {
                while (next == rows.Count)
                {
                    if (isLast)
                    {
                        return false;
                    }

                    Page = await pages.read(link, cancellation).ConfigureAwait(false);
                    rows = pages.rows(Page);
                    link = pages.nextLink(Page);
                    isLast = link == null;
                    next = 0;
                }

                Current = rows[next];
                next++;
                return true;
            }
        }
    }
}

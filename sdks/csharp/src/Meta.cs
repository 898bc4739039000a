namespace Kampanje.Client
{
    /// <summary>The headers of a response.</summary>
    public sealed class Meta
    {
        internal Meta()
        {
        }

        /// <summary>The HTTP status.</summary>
        public int Status { get; internal set; }

        /// <summary>The entity tag, for <c>IfMatch</c>; or null.</summary>
        public string Etag { get; internal set; }

        /// <summary>
        /// The version of the price book that the change made, or that answered; or null.
        /// </summary>
        public long? Version { get; internal set; }

        /// <summary>The history that the version belongs to; or null.</summary>
        public string BookId { get; internal set; }

        /// <summary>The identity of the request in the log of the service; or null.</summary>
        public string TraceId { get; internal set; }

        /// <summary>
        /// True if this is the stored response of an earlier attempt with the same key.
        /// </summary>
        public bool IsReplayed { get; internal set; }

        /// <summary>The number of attempts that this request took.</summary>
        public int Attempts { get; internal set; }
    }
}

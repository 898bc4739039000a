namespace Kampanje.Client
{
    /// <summary>The newest version of the price book that a client has made.</summary>
    public sealed class Session
    {
        /// <summary>Creates a session from a version and its history, which can be null.</summary>
        public Session(long version, string bookId)
        {
            Version = version;
            BookId = bookId;
        }

        /// <summary>The version.</summary>
        public long Version { get; }

        /// <summary>The history that the version belongs to; or null.</summary>
        public string BookId { get; }
    }
}

namespace Kampanje.Client
{
    /// <summary>An operation with its arguments.</summary>
    internal sealed class Call
    {
        internal Call(string method, string path)
        {
            Method = method;
            Path = path;
        }

        internal string Method { get; }

        internal string Path { get; }

        internal object Body { get; set; }

        /// <summary>True if the operation accepts an idempotency key.</summary>
        internal bool IsIdempotent { get; set; }

        /// <summary>True if a repetition has no effect of its own.</summary>
        internal bool IsSafe { get; set; }

        /// <summary>True if the operation can wait for a version of the price book.</summary>
        internal bool UsesSession { get; set; }
    }
}

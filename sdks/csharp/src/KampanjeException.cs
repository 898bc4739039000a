using System;
using System.Collections.Generic;
using System.Linq;
using Newtonsoft.Json.Linq;

namespace Kampanje.Client
{
    /// <summary>The base of all exceptions of this package.</summary>
    public class KampanjeException : Exception
    {
        internal KampanjeException(string message, Exception cause = null)
            : base(message, cause)
        {
        }
    }

    /// <summary>
    /// No response arrived: the connection failed, or broke before the response was complete.
    /// </summary>
    public class ConnectionFailedException : KampanjeException
    {
        internal ConnectionFailedException(string message, Exception cause = null)
            : base(message, cause)
        {
        }
    }

    /// <summary>An attempt took longer than its timeout.</summary>
    public sealed class TimedOutException : ConnectionFailedException
    {
        internal TimedOutException(string message, Exception cause)
            : base(message, cause)
        {
        }
    }

    /// <summary>The resource still has the entity tag of <c>IfNoneMatch</c> (304).</summary>
    public sealed class NotModifiedException : KampanjeException
    {
        internal NotModifiedException()
            : base("the resource has not changed")
        {
        }
    }

    /// <summary>
    /// A delivery of a webhook is not signed by any of the secrets, or is too old.
    /// </summary>
    public sealed class InvalidSignatureException : KampanjeException
    {
        internal InvalidSignatureException(string message)
            : base(message)
        {
        }
    }

    /// <summary>The service refused the request.</summary>
    public sealed class RefusedException : KampanjeException
    {
        private readonly Meta meta;

        internal RefusedException(JObject document, Meta meta, TimeSpan? retryAfter)
            : base(Describe(document, meta))
        {
            this.meta = meta;
            Problem = new Models.Problem(document);
            RetryAfter = retryAfter;
        }

        /// <summary>The HTTP status.</summary>
        public int Status
        {
            get { return meta.Status; }
        }

        /// <summary>The stable code; <c>HTTP_502</c> if a proxy answered instead.</summary>
        public string Code
        {
            get { return CodeOf(Problem.Json, meta); }
        }

        /// <summary>Everything that is wrong with the request.</summary>
        public IReadOnlyList<Models.ProblemError> Errors
        {
            get { return Problem.Errors; }
        }

        /// <summary>The findings that refuse an activation.</summary>
        public IReadOnlyList<Models.Finding> Findings
        {
            get { return Problem.Findings; }
        }

        /// <summary>The identity of the request in the log of the service; or null.</summary>
        public string TraceId
        {
            get { return Problem.TraceId ?? meta.TraceId; }
        }

        /// <summary>The document as it was received.</summary>
        public Models.Problem Problem { get; }

        /// <summary>The time to wait before a retry; or null.</summary>
        public TimeSpan? RetryAfter { get; }

        private static string CodeOf(JObject document, Meta meta)
        {
            return (string)document["code"] ?? "HTTP_" + meta.Status;
        }

        private static string Describe(JObject document, Meta meta)
        {
            var detail = (string)document["detail"] ?? "the response has this status";
            var places = new Models.Problem(document).Errors
                .Take(3)
                .Select(error => "; " + error.Pointer + ": " + error.Detail);
            return CodeOf(document, meta) + ": " + detail + string.Concat(places);
        }
    }
}

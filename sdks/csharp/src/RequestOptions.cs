using System;
using System.Collections.Generic;

namespace Kampanje.Client
{
    /// <summary>Options of one request: what differs from the options of the client.</summary>
    public class RequestOptions
    {
        private readonly Dictionary<string, object> values = new Dictionary<string, object>();
        private readonly List<KeyValuePair<string, string>> query =
            new List<KeyValuePair<string, string>>();

        /// <summary>The time for one attempt.</summary>
        public TimeSpan? Timeout { get; set; }

        /// <summary>The maximum number of retries.</summary>
        public int? MaxRetries { get; set; }

        /// <summary>
        /// The idempotency key. By default each call has a new one, which its retries keep. Your
        /// own makes a call safe to repeat after a restart of your process.
        /// </summary>
        public string IdempotencyKey { get; set; }

        /// <summary>
        /// The receiver of the headers of the successful response, also of one without content.
        /// </summary>
        public Action<Meta> OnMeta { get; set; }

        internal string Condition { get; set; }

        internal string NoneMatchCondition { get; set; }

        /// <summary>The parameters of the query, in the order in which they were set.</summary>
        internal IReadOnlyList<KeyValuePair<string, string>> Query
        {
            get { return query; }
        }

        /// <summary>The options of a request without its query and its conditions.</summary>
        internal RequestOptions WithoutQuery()
        {
            return new RequestOptions
            {
                Timeout = Timeout,
                MaxRetries = MaxRetries,
                OnMeta = OnMeta,
            };
        }

        internal object GetQuery(string name)
        {
            object value;
            values.TryGetValue(name, out value);
            return value;
        }

        internal void SetQuery(string name, object value)
        {
            values[name] = value;
            query.RemoveAll(parameter => parameter.Key == name);
            if (value != null)
            {
                query.Add(new KeyValuePair<string, string>(name, Model.ToText(value)));
            }
        }
    }
}

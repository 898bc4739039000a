using System;
using System.Collections.Generic;
using System.Net.Http;

namespace Kampanje.Client
{
    /// <summary>
    /// A client of the service. It can be shared by threads.
    /// <code>
    /// var kampanje = new KampanjeClient("http://localhost:8080", apiKey);
    /// var campaign = await kampanje.Campaigns.GetAsync("SPRING");
    /// </code>
    /// </summary>
    public sealed class KampanjeClient : Resources
    {
        private readonly Core core;

        /// <summary>Creates a client; without API key for a service that needs none.</summary>
        public KampanjeClient(string baseUrl, string apiKey = null)
            : this(new ClientOptions(baseUrl) { ApiKey = () => apiKey })
        {
        }

        /// <summary>Creates a client with options.</summary>
        public KampanjeClient(ClientOptions options)
            : this(new Core(options))
        {
        }

        private KampanjeClient(Core core)
            : base(core)
        {
            this.core = core;
        }

        /// <summary>
        /// The newest version of the price book that this client has made; or null. Queries about
        /// prices wait for it. It can be set to the version that another client has made.
        /// </summary>
        public Session Session
        {
            get { return core.Session; }
            set { core.Session = value; }
        }
    }

    /// <summary>The options of a client.</summary>
    public sealed class ClientOptions
    {
        /// <summary>Creates options for a service at this address.</summary>
        public ClientOptions(string baseUrl)
        {
            BaseUrl = baseUrl ?? throw new ArgumentNullException("baseUrl");
        }

        /// <summary>The address of the service.</summary>
        public string BaseUrl { get; }

        /// <summary>The function that returns the current API key; or null.</summary>
        public Func<string> ApiKey { get; set; }

        /// <summary>The time for one attempt. Default: 30 seconds.</summary>
        public TimeSpan Timeout { get; set; } = TimeSpan.FromSeconds(30);

        /// <summary>The maximum number of retries. Default: 4.</summary>
        public int MaxRetries { get; set; } = 4;

        /// <summary>
        /// True if a query about prices waits for the versions that this client makes. Default.
        /// </summary>
        public bool SessionConsistency { get; set; } = true;

        /// <summary>The headers of every request.</summary>
        public IDictionary<string, string> Headers { get; } = new Dictionary<string, string>();

        /// <summary>
        /// The HTTP client, with its proxy, certificates and connections. Its own timeout should be
        /// infinite. Default: a new one.
        /// </summary>
        public HttpClient HttpClient { get; set; }
    }
}

//! What the service serves: every room's operations, in one route table, behind one middleware.

use std::io;
use std::net::SocketAddr;

use actix_server::Server;
use actix_service::IntoServiceFactory as _;
use actix_web::middleware::from_fn;
use actix_web::{App, web};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::activation;
use crate::activities::{Activities, mount_campaign_activities};
use crate::campaign_statuses::CampaignStatuses;
use crate::campaigns::{Campaigns, OfCampaign, mount_copies, mount_status_changes};
use crate::contacts::Contacts;
use crate::currencies::Currencies;
use crate::events;
use crate::exchange_rates::ExchangeRates;
use crate::golden_quotes::GoldenQuotes;
use crate::health::{self, Readiness};
use crate::interaction_templates::InteractionTemplates;
use crate::interactions::{Interactions, mount_logged, mount_logging, mount_reuses};
use crate::items::Items;
use crate::lines::{DiscountLines, PriceLines};
use crate::openapi;
use crate::opportunities::Opportunities;
use crate::platform::clock::Calendar;
use crate::platform::db::pool::Pool;
use crate::platform::db::secrets;
use crate::platform::http::access::Credentials;
use crate::platform::http::call::BodyLimit;
use crate::platform::http::connections::{self, ConnectionLimits};
use crate::platform::http::list::CursorKey;
use crate::platform::http::middleware::request_context;
use crate::platform::http::mount::{mount, mount_append_only};
use crate::platform::http::routes::Routes;
use crate::platform::http::short_circuit::ShortCircuit;
use crate::platform::http::stream::Streams;
use crate::platform::unit_of_work::Database;
use crate::publication::live::{LiveBook, RefreshError};
use crate::publication::{self, writer};
use crate::quotes;
use crate::quotes::fast_path::QuoteFastPath;
use crate::sales::Sales;
use crate::salespeople::Salespeople;
use crate::segments::Segments;
use crate::segments::criteria;
use crate::segments::criteria::saved::SavedCriteria;
use crate::segments::lines::SegmentLines;
use crate::settings;
use crate::statistics;
use crate::tasks::Tasks;
use crate::teams::Teams;

/// How long requests in flight may take to finish once the service stops, in seconds.
const STOP_TIMEOUT_SECONDS: u64 = 30;

/// The name of the secret that tells one database from another.
const DATABASE_IDENTITY: &str = "database identity";

/// Every operation of the service.
#[must_use]
pub fn routes() -> Routes {
    let mut routes = Routes::default();
    settings::mount(&mut routes);
    mount::<Currencies>(&mut routes);
    mount::<ExchangeRates>(&mut routes);
    mount::<Items>(&mut routes);
    mount::<Salespeople>(&mut routes);
    mount::<Teams>(&mut routes);
    mount::<Contacts>(&mut routes);
    mount::<CampaignStatuses>(&mut routes);
    mount::<Campaigns>(&mut routes);
    mount_status_changes(&mut routes);
    mount_copies(&mut routes);
    mount::<Segments>(&mut routes);
    mount::<SegmentLines>(&mut routes);
    criteria::http::mount(&mut routes);
    mount::<SavedCriteria>(&mut routes);
    mount::<InteractionTemplates>(&mut routes);
    mount::<Interactions>(&mut routes);
    mount_logging(&mut routes);
    mount_logged(&mut routes);
    mount_reuses(&mut routes);
    mount::<PriceLines<()>>(&mut routes);
    mount::<PriceLines<OfCampaign>>(&mut routes);
    mount::<DiscountLines<()>>(&mut routes);
    mount::<DiscountLines<OfCampaign>>(&mut routes);
    mount::<GoldenQuotes>(&mut routes);
    mount::<Tasks>(&mut routes);
    mount::<Activities>(&mut routes);
    mount_campaign_activities(&mut routes);
    mount::<Opportunities>(&mut routes);
    mount_append_only::<Sales>(&mut routes);
    statistics::mount(&mut routes);
    activation::http::mount(&mut routes);
    publication::http::mount(&mut routes);
    events::mount(&mut routes);
    quotes::http::mount(&mut routes);
    quotes::effective_prices::mount(&mut routes);
    quotes::lowest_prices::mount(&mut routes);
    health::mount(&mut routes);
    openapi::mount(&mut routes);
    routes
}

/// Brings the copy of the price book to the newest version of a database, whether it was restored
/// from disk or has nothing yet.
///
/// # Errors
/// When the database is out of reach, or its book was not written by a build like this.
pub async fn open_book(pool: &Pool, book: &LiveBook) -> Result<(), RefreshError> {
    let mut conn = pool.get().await?;
    book.set_database_identity(secrets::shared(&mut conn, DATABASE_IDENTITY).await?).await;
    // The settings count from the beginning, before anybody has changed them.
    writer::ensure_initial_version(&mut conn).await?;
    drop(conn);
    book.refresh(pool).await
}

/// What the handlers of all threads share.
#[derive(Clone)]
pub struct Shared {
    /// The database and what follows each effect.
    pub database: Database,
    /// What day it is.
    pub calendar: Calendar,
    /// The copy of the price book that quotes read.
    pub book: LiveBook,
    /// What list cursors are signed with.
    pub cursor_key: CursorKey,
    /// Who may call.
    pub credentials: Credentials,
    /// The largest body.
    pub body_limit: BodyLimit,
    /// Whether requests should be sent here.
    pub readiness: Readiness,
    /// The bounds of streams.
    pub streams: Streams,
}

/// The HTTP server, listening, and the address that it listens on. It serves once it is awaited;
/// signals are left to the caller.
///
/// # Errors
/// When the address cannot be listened on.
pub fn server(
    shared: Shared,
    listen: SocketAddr,
    workers: usize,
    limits: ConnectionLimits,
) -> io::Result<(Server, SocketAddr)> {
    let server =
        Server::build().workers(workers).shutdown_timeout(STOP_TIMEOUT_SECONDS).disable_signals();
    let (server, address) = connections::listen(server, listen, limits, move || {
        let shared = shared.clone();
        let routes = routes();
        let (book, calendar, credentials) = (&shared.book, &shared.calendar, &shared.credentials);
        let fast_path = QuoteFastPath::new(
            book.clone(),
            calendar.clone(),
            credentials.clone(),
            &routes,
            shared.body_limit,
        );
        let app = App::new()
            .app_data(web::Data::new(shared.database))
            .app_data(web::Data::new(shared.calendar))
            .app_data(web::Data::new(shared.book))
            .app_data(web::Data::new(shared.cursor_key))
            .app_data(web::Data::new(shared.credentials))
            .app_data(web::Data::new(shared.body_limit))
            .app_data(web::Data::new(shared.readiness))
            .app_data(web::Data::new(shared.streams))
            .wrap(from_fn(request_context))
            // The documentation's files are the same in every copy of the service, so they need no
            // credentials.
            .service(web::redirect("/docs", "/docs/"))
            .service(SwaggerUi::new("/docs/{_:.*}").config(Config::from("/openapi.json")))
            .configure(|app| routes.configure(app));
        ShortCircuit::of(fast_path, app.into_factory())
    })?;
    Ok((server.run(), address))
}

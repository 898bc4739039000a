//! The HTTP application: the operations of all modules in one route table, behind one middleware.

use std::io;
use std::net::SocketAddr;

use actix_http::Request;
use actix_server::Server;
use actix_service::IntoServiceFactory as _;
use actix_web::middleware::from_fn;
use actix_web::{App, web};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::activities::{Activities, mount_campaign_activities};
use crate::audit_entries::record_refusals;
use crate::campaign_statuses::CampaignStatuses;
use crate::campaigns::{Campaigns, OfCampaign, mount_copies, mount_status_changes};
use crate::contacts::{Contacts, erasures};
use crate::currencies::Currencies;
use crate::desk::Desk;
use crate::events::latest::LatestEvent;
use crate::exchange_rates::ExchangeRates;
use crate::golden_quotes::GoldenQuotes;
use crate::health::Readiness;
use crate::interaction_templates::InteractionTemplates;
use crate::interactions::{Interactions, mount_logged, mount_logging, mount_reuses};
use crate::items::Items;
use crate::lines::{DiscountLines, PriceLines};
use crate::live_book::{LiveBook, RefreshError};
use crate::opportunities::Opportunities;
use crate::platform::clock::Calendar;
use crate::platform::db::pool::Pool;
use crate::platform::http::access::Credentials;
use crate::platform::http::call::BodyLimits;
use crate::platform::http::connections;
use crate::platform::http::connections::ConnectionLimits;
use crate::platform::http::framing;
use crate::platform::http::list::CursorKey;
use crate::platform::http::middleware::request_context;
use crate::platform::http::routes::Routes;
use crate::platform::http::short_circuit::ShortCircuit;
use crate::platform::http::stream::Streams;
use crate::publication::writer;
use crate::quotes::fast_path::QuoteFastPath;
use crate::quotes::response::QuoteResponder;
use crate::resource::mount::{mount, mount_append_only};
use crate::sales::Sales;
use crate::salespeople::Salespeople;
use crate::segments::criteria::saved::SavedCriteria;
use crate::segments::lines::SegmentLines;
use crate::segments::{Segments, criteria};
use crate::tasks::Tasks;
use crate::teams::Teams;
use crate::unit_of_work::Database;
use crate::{
    activation, api_keys, audit_entries, desk, events, health, imports, index, openapi,
    publication, quotes, search, settings, statistics, webhooks,
};

/// Seconds in which requests in flight have to finish once the service stops. With the default
/// drain before it, the stop fits the 30 s after which Kubernetes kills a process.
const STOP_TIMEOUT_SECONDS: u64 = 20;

/// Returns the route table with every operation of the service.
#[must_use]
pub fn routes() -> Routes {
    let mut routes = Routes::default();
    api_keys::mount(&mut routes);
    audit_entries::mount(&mut routes);
    settings::mount(&mut routes);
    mount::<Currencies>(&mut routes);
    mount::<ExchangeRates>(&mut routes);
    mount::<Items>(&mut routes);
    mount::<Salespeople>(&mut routes);
    mount::<Teams>(&mut routes);
    mount::<Contacts>(&mut routes);
    erasures::mount(&mut routes);
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
    imports::http::mount(&mut routes);
    webhooks::mount(&mut routes);
    quotes::http::mount(&mut routes);
    quotes::effective_prices::mount(&mut routes);
    quotes::lowest_prices::mount(&mut routes);
    quotes::price_timeline::mount(&mut routes);
    search::mount(&mut routes);
    health::mount(&mut routes);
    openapi::mount(&mut routes);
    index::mount(&mut routes);
    routes
}

/// Brings the in-memory price book to the newest version of a database. The book may be restored
/// from disk or still empty.
///
/// # Errors
/// When the database is unavailable, or its book was written by an incompatible build.
pub async fn open_book(pool: &Pool, book: &LiveBook) -> Result<(), RefreshError> {
    let mut conn = pool.get().await?;
    // The settings apply from the start, before anybody changes them.
    writer::ensure_initial_version(&mut conn).await?;
    drop(conn);
    book.refresh(pool).await
}

/// State that the handlers of all threads share.
#[derive(Clone)]
pub struct Shared {
    /// The database, with the publisher that follows each unit of work.
    pub database: Database,
    /// The clock and the company's calendar.
    pub calendar: Calendar,
    /// The in-memory price book that quotes read.
    pub book: LiveBook,
    /// The key that signs list cursors.
    pub cursor_key: CursorKey,
    /// The credentials that the service accepts.
    pub credentials: Credentials,
    /// The limits of request bodies.
    pub body_limits: BodyLimits,
    /// The readiness that probes query.
    pub readiness: Readiness,
    /// The limit of concurrent streams.
    pub streams: Streams,
    /// The newest event, for requests that wait for it.
    pub latest_event: LatestEvent,
    /// The configuration of the desk.
    pub desk: Desk,
}

/// Binds the HTTP server and returns it with its address. It serves once it is awaited, and leaves
/// signals to the caller.
///
/// # Errors
/// When the address cannot be bound.
pub fn server(
    shared: Shared,
    listen: SocketAddr,
    workers: usize,
    limits: ConnectionLimits,
) -> io::Result<(Server, SocketAddr)> {
    let server =
        Server::build().workers(workers).shutdown_timeout(STOP_TIMEOUT_SECONDS).disable_signals();
    let body_limits = shared.body_limits;
    let expect = move |request: &Request| {
        body_limits
            .check_declared(request.path(), &request.head().headers)
            .map_err(|problem| framing::refusal(request, &problem))
    };
    let (server, address) = connections::listen(server, listen, limits, expect, move || {
        let shared = shared.clone();
        let routes = routes();
        let (book, calendar, credentials) = (&shared.book, &shared.calendar, &shared.credentials);
        let responder = web::Data::new(QuoteResponder::new(book.clone()));
        let fast_path = QuoteFastPath::new(
            book.clone(),
            calendar.clone(),
            credentials.clone(),
            shared.body_limits,
            responder.clone(),
        );
        let app = App::new()
            .app_data(web::Data::new(shared.database))
            .app_data(web::Data::new(shared.calendar))
            .app_data(web::Data::new(shared.book))
            .app_data(web::Data::new(shared.cursor_key))
            .app_data(web::Data::new(shared.credentials))
            .app_data(web::Data::new(shared.body_limits))
            .app_data(web::Data::new(shared.readiness))
            .app_data(web::Data::new(shared.streams))
            .app_data(web::Data::new(shared.latest_event))
            .app_data(web::Data::new(shared.desk))
            .app_data(responder)
            .wrap(from_fn(record_refusals))
            .wrap(from_fn(request_context))
            // The files of the documentation are the same in every installation, so they need no
            // credentials.
            .service(web::redirect("/docs", "/docs/"))
            .service(SwaggerUi::new("/docs/{_:.*}").config(Config::from("/openapi.json")))
            .service(web::redirect("/desk", desk::HOME))
            .service(desk::resource())
            .configure(|app| routes.configure(app));
        ShortCircuit::of(fast_path, app.into_factory())
    })?;
    Ok((server.run(), address))
}

//! What the service serves: every room's operations, in one route table.

use crate::campaign_statuses::CampaignStatuses;
use crate::currencies::Currencies;
use crate::exchange_rates::ExchangeRates;
use crate::items::Items;
use crate::platform::http::mount::mount;
use crate::platform::http::routes::Routes;
use crate::salespeople::Salespeople;
use crate::settings;

/// Every operation of the service.
#[must_use]
pub fn routes() -> Routes {
    let mut routes = Routes::default();
    settings::mount(&mut routes);
    mount::<Currencies>(&mut routes);
    mount::<ExchangeRates>(&mut routes);
    mount::<Items>(&mut routes);
    mount::<Salespeople>(&mut routes);
    mount::<CampaignStatuses>(&mut routes);
    routes
}

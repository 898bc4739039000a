//! What the service serves: every room's operations, in one route table.

use crate::campaign_statuses::CampaignStatuses;
use crate::campaigns::{Campaigns, OfCampaign, mount_status_changes};
use crate::lines::{DiscountLines, PriceLines};
use crate::platform::http::mount::mount;
use crate::platform::http::routes::Routes;

/// Every operation of the service.
#[must_use]
pub fn routes() -> Routes {
    let mut routes = Routes::default();
    mount::<CampaignStatuses>(&mut routes);
    mount::<Campaigns>(&mut routes);
    mount_status_changes(&mut routes);
    mount::<PriceLines<()>>(&mut routes);
    mount::<PriceLines<OfCampaign>>(&mut routes);
    mount::<DiscountLines<()>>(&mut routes);
    mount::<DiscountLines<OfCampaign>>(&mut routes);
    routes
}

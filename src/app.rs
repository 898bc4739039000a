//! What the service serves: every room's operations, in one route table.

use crate::campaign_statuses::CampaignStatuses;
use crate::contacts::Contacts;
use crate::platform::http::mount::mount;
use crate::platform::http::routes::Routes;
use crate::segments::Segments;
use crate::segments::lines::SegmentLines;

/// Every operation of the service.
#[must_use]
pub fn routes() -> Routes {
    let mut routes = Routes::default();
    mount::<CampaignStatuses>(&mut routes);
    mount::<Contacts>(&mut routes);
    mount::<Segments>(&mut routes);
    mount::<SegmentLines>(&mut routes);
    routes
}

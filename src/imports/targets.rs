//! The resources that can be imported: all that have a batch.

use actix_web::dev::Extensions;
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use serde_json::Value;

use crate::activities::Activities;
use crate::campaign_statuses::CampaignStatuses;
use crate::campaigns::{Campaigns, OfCampaign};
use crate::contacts::Contacts;
use crate::currencies::Currencies;
use crate::exchange_rates::ExchangeRates;
use crate::golden_quotes::GoldenQuotes;
use crate::interaction_templates::InteractionTemplates;
use crate::interactions::Interactions;
use crate::items::Items;
use crate::lines::{DiscountLines, PriceLines};
use crate::opportunities::Opportunities;
use crate::platform::http::problem::{FieldCode, FieldError, Problem};
use crate::resource::batch::{Mode, RowResult, identity_of, write_part};
use crate::resource::{self, Names, Origin, Resource, Scope as _};
use crate::sales::Sales;
use crate::salespeople::Salespeople;
use crate::segments::Segments;
use crate::segments::criteria::saved::SavedCriteria;
use crate::segments::lines::SegmentLines;
use crate::tabular::shape::{Field, Kind};
use crate::tasks::Tasks;
use crate::teams::Teams;
use crate::unit_of_work::UnitOfWork;

/// The prefix of the paths of all collections.
const ROOT: &str = "/v1/";

type FindParent =
    for<'a> fn(Origin<'a>, &'a mut AsyncPgConnection) -> LocalBoxFuture<'a, Result<(), Problem>>;

type Write = for<'a> fn(
    &'a mut UnitOfWork,
    Origin<'a>,
    Mode,
    Vec<Value>,
) -> LocalBoxFuture<'a, Result<Vec<RowResult>, Problem>>;

/// A resource that can be imported.
pub struct Target {
    /// Its names.
    pub names: Names,
    /// True if its rows never change, so that their import has no mode.
    pub is_append_only: bool,
    /// Returns the columns that a file may have.
    pub field: fn() -> Field,
    /// Returns the identity that no two rows of a file may share.
    pub identity: fn(Mode, &Value) -> Option<String>,
    /// Checks that the parent of the collection exists.
    pub find_parent: FindParent,
    /// Writes rows.
    pub write: Write,
}

impl Target {
    const fn of<R: Resource>() -> Self {
        Self {
            names: R::NAMES,
            is_append_only: R::IS_APPEND_ONLY,
            field: field::<R>,
            identity: identity_of::<R>,
            find_parent: find_parent::<R>,
            write: write::<R>,
        }
    }

    /// Returns the parent that a resource of this kind names; `None` if it is of another kind.
    fn parent<'a>(&self, resource: &'a str) -> Option<Option<&'a str>> {
        let path = self.names.path.strip_prefix(ROOT)?;
        let Some((before, after)) = path.split_once('{') else {
            return (path == resource).then_some(None);
        };
        let after = after.split_once('}')?.1;
        let parent = resource.strip_prefix(before)?.strip_suffix(after)?;
        (!parent.is_empty()).then_some(Some(parent))
    }
}

/// All resources that can be imported.
pub const TARGETS: &[Target] = &[
    Target::of::<Currencies>(),
    Target::of::<ExchangeRates>(),
    Target::of::<Items>(),
    Target::of::<Salespeople>(),
    Target::of::<Teams>(),
    Target::of::<Contacts>(),
    Target::of::<CampaignStatuses>(),
    Target::of::<Campaigns>(),
    Target::of::<Segments>(),
    Target::of::<SegmentLines>(),
    Target::of::<SavedCriteria>(),
    Target::of::<InteractionTemplates>(),
    Target::of::<Interactions>(),
    Target::of::<PriceLines<()>>(),
    Target::of::<PriceLines<OfCampaign>>(),
    Target::of::<DiscountLines<()>>(),
    Target::of::<DiscountLines<OfCampaign>>(),
    Target::of::<GoldenQuotes>(),
    Target::of::<Tasks>(),
    Target::of::<Activities>(),
    Target::of::<Opportunities>(),
    Target::of::<Sales>(),
];

/// Returns the resource with this name, and its parent: `items`, `campaigns/SPRING/prices`.
///
/// # Errors
/// 400 when there is no such resource.
pub fn find(resource: &str) -> Result<(&'static Target, Option<&str>), Problem> {
    let mut found = TARGETS.iter().filter_map(|target| Some((target, target.parent(resource)?)));
    found.next().ok_or_else(|| {
        let name = |target: &Target| target.names.path.trim_start_matches(ROOT).to_owned();
        let names: Vec<String> = TARGETS.iter().map(name).collect();
        let detail = format!("resource is one of {}", names.join(", "));
        Problem::from_errors(vec![FieldError::new("?resource", FieldCode::InvalidValue, detail)])
    })
}

/// Checks that the parent of a collection exists. No parent is found from the state.
///
/// # Errors
/// 404 when it does not.
pub async fn check_parent(resource: &str, conn: &mut AsyncPgConnection) -> Result<(), Problem> {
    let (target, parent) = find(resource)?;
    if parent.is_none() {
        return Ok(());
    }
    let state = Extensions::new();
    (target.find_parent)(Origin::Background { parent, state: &state }, conn).await
}

/// Returns the columns of an import: those of an export, and the control fields of a batch.
fn field<R: Resource>() -> Field {
    let mut field = resource::field::<R>();
    if let Kind::Object(fields) = &mut field.kind
        && !R::IS_APPEND_ONLY
    {
        for (name, kind) in [("id", Kind::Text), ("ifMatch", Kind::Text), ("delete", Kind::Boolean)]
        {
            if fields.iter().all(|(known, _)| known != name) {
                fields.push((name.to_owned(), Field::control(kind)));
            }
        }
    }
    field
}

fn find_parent<'a, R: Resource>(
    origin: Origin<'a>,
    conn: &'a mut AsyncPgConnection,
) -> LocalBoxFuture<'a, Result<(), Problem>> {
    async move { R::Scope::find_from(&origin, conn).await.map(drop) }.boxed_local()
}

fn write<'a, R: Resource>(
    work: &'a mut UnitOfWork,
    origin: Origin<'a>,
    mode: Mode,
    rows: Vec<Value>,
) -> LocalBoxFuture<'a, Result<Vec<RowResult>, Problem>> {
    async move {
        let scope = R::Scope::find_from(&origin, &mut work.conn).await?;
        write_part::<R>(work, &scope, mode, rows).await
    }
    .boxed_local()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::routes;

    #[test]
    fn every_batch_can_be_imported() {
        let served = routes().served();
        let mut batches: Vec<&str> =
            served.iter().filter_map(|(_, path)| path.strip_suffix("/batch")).collect();
        let mut targets: Vec<&str> = TARGETS.iter().map(|target| target.names.path).collect();
        batches.sort_unstable();
        targets.sort_unstable();
        assert_eq!(targets, batches);
    }

    #[test]
    fn resources_by_name() {
        let found = |name| find(name).map(|(target, parent)| (target.names.path, parent)).ok();
        assert_eq!(found("items"), Some(("/v1/items", None)));
        assert_eq!(
            found("campaigns/A/B/prices"),
            Some(("/v1/campaigns/{campaign}/prices", Some("A/B")))
        );
        for unknown in ["", "item", "/v1/items", "campaigns//prices", "settings", "items/A"] {
            assert_eq!(found(unknown), None, "{unknown}");
        }
    }
}

//! References between resources: the kinds of resources that others name by business key, and the
//! errors for keys that name nothing.

use diesel::pg::Pg;
use diesel::result::Error;
use diesel::sql_types::{Bool, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::platform::http::problem::{FieldCode, FieldError};

/// A kind of resource that a write refers to by business key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReferenceKind {
    /// A campaign status.
    CampaignStatus,
    /// A salesperson.
    Salesperson,
    /// A team of salespeople.
    Team,
    /// An activity.
    Activity,
    /// A currency.
    Currency,
    /// A currency, or the local currency, which need not exist as a resource.
    CurrencyOrLocal,
    /// A contact.
    Contact,
    /// A contact of type COMPANY.
    Company,
    /// A company by its number as a customer.
    Customer,
    /// A campaign.
    Campaign,
    /// An interaction template.
    InteractionTemplate,
    /// An item.
    Item,
    /// A variant of the item with this number.
    VariantOf(String),
    /// A unit of measure of the item with this number.
    UnitOf(String),
}

impl ReferenceKind {
    /// Returns the name of the kind in messages, and the rows that have the key `$1` as SQL. `$2`
    /// is the item, for kinds that belong to one.
    const fn label_and_rows(&self) -> (&'static str, &'static str) {
        match self {
            Self::CampaignStatus => ("campaign status", "campaign_statuses WHERE code = $1"),
            Self::Salesperson => ("salesperson", "salespeople WHERE code = $1"),
            Self::Team => ("team", "teams WHERE code = $1"),
            Self::Activity => ("activity", "activities WHERE code = $1"),
            Self::Currency => ("currency", "currencies WHERE code = $1"),
            Self::CurrencyOrLocal => (
                "currency",
                "(SELECT code FROM currencies UNION SELECT local_currency_code FROM settings) \
                 AS known (code) WHERE code = $1",
            ),
            Self::Contact => ("contact", "contacts WHERE number = $1"),
            Self::Company => {
                ("contact of type COMPANY", "contacts WHERE number = $1 AND type = 'COMPANY'")
            }
            Self::Customer => ("customer", "contacts WHERE customer_number = $1"),
            Self::Campaign => ("campaign", "campaigns WHERE number = $1"),
            Self::InteractionTemplate => {
                ("interaction template", "interaction_templates WHERE code = $1")
            }
            Self::Item => ("item", "items WHERE number = $1"),
            Self::VariantOf(_) => {
                ("variant of the item", "item_variants WHERE code = $1 AND item_number = $2")
            }
            Self::UnitOf(_) => (
                "unit of measure of the item",
                "item_units_of_measure WHERE code = $1 AND item_number = $2",
            ),
        }
    }
}

/// A reference of a write, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedReference {
    /// The JSON pointer to the key in the body.
    pub pointer: &'static str,
    /// The kind of the referenced resource.
    pub target: ReferenceKind,
    /// The key.
    pub key: String,
}

/// Returns the reference of a field, if the field is given.
pub fn named(
    pointer: &'static str,
    target: ReferenceKind,
    key: Option<impl ToString>,
) -> Option<NamedReference> {
    key.map(|key| NamedReference { pointer, target, key: key.to_string() })
}

/// Returns an error for each reference to a resource that does not exist.
///
/// # Errors
/// When the database fails.
pub async fn missing(
    conn: &mut AsyncPgConnection,
    references: &[NamedReference],
) -> Result<Vec<FieldError>, Error> {
    #[derive(diesel::QueryableByName)]
    struct Found {
        #[diesel(sql_type = Bool)]
        found: bool,
    }
    let mut errors = Vec::new();
    for reference in references {
        let (label, rows) = reference.target.label_and_rows();
        let mut query = diesel::sql_query(format!("SELECT EXISTS (SELECT FROM {rows}) AS found"))
            .into_boxed::<Pg>();
        query = query.bind::<Text, _>(&reference.key);
        if let ReferenceKind::VariantOf(item) | ReferenceKind::UnitOf(item) = &reference.target {
            query = query.bind::<Text, _>(item);
        }
        if !query.get_result::<Found>(conn).await?.found {
            let detail = format!("there is no {label} {}", reference.key);
            let code = if reference.target == ReferenceKind::Company {
                FieldCode::CompanyLink
            } else {
                FieldCode::ReferenceNotFound
            };
            errors.push(FieldError::new(reference.pointer, code, detail));
        }
    }
    Ok(errors)
}

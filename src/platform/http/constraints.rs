//! Problems of failed statements: the meaning of each constraint for a client, and of every other
//! failure.
//!
//! The constraint is the check: no module queries first. A foreign key can be violated at either
//! end. If a reference of the written resource is missing, that is the error. Otherwise a dependent
//! still refers to the removed row.

use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{Bool, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::problem::{FieldCode, FieldError, Problem, ProblemCode};

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match &error {
            Error::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => Self::again(),
            // The primary has become a standby. Later connections find its successor.
            Error::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _) => Self {
                detail: "the database takes no changes at present; nothing was changed".to_owned(),
                ..Self::again()
            },
            Error::DatabaseError(
                DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
                _,
            )
            | Error::BrokenTransactionManager => Self::unavailable(&error),
            Error::DatabaseError(_, information) => match information.message() {
                // Diesel has no kinds for deadlocks, timeouts and a server that shuts down.
                text if text.contains("deadlock detected") || text.contains("lock timeout") => {
                    Self::again()
                }
                text if text.contains("statement timeout") => Self::query_timeout(),
                // Canceled by an operator, or on a standby because of a recovery conflict.
                text if text.contains("canceling statement") => Self {
                    detail: "the database canceled the statement; nothing was changed".to_owned(),
                    ..Self::again()
                },
                text if text.contains("terminating connection")
                    || text.contains("connection closed") =>
                {
                    Self::unavailable(&error)
                }
                _ => Self::internal(&error),
            },
            _ => Self::internal(&error),
        }
    }
}

/// The meaning of a constraint: the problem and the error in it.
struct Meaning {
    constraint: &'static str,
    problem: ProblemCode,
    pointer: &'static str,
    code: FieldCode,
    detail: &'static str,
}

const fn rule(
    constraint: &'static str,
    pointer: &'static str,
    code: FieldCode,
    detail: &'static str,
) -> Meaning {
    Meaning { constraint, problem: ProblemCode::ValidationFailed, pointer, code, detail }
}

const fn taken(constraint: &'static str, pointer: &'static str) -> Meaning {
    let detail = "another resource has this key";
    Meaning {
        constraint,
        problem: ProblemCode::Conflict,
        pointer,
        code: FieldCode::AlreadyExists,
        detail,
    }
}

const fn duplicate_line(constraint: &'static str) -> Meaning {
    let detail = "a line alike in source, item, variant, unit, currency and minimum quantity \
         overlaps in its dates";
    Meaning {
        constraint,
        problem: ProblemCode::DuplicateLine,
        pointer: "",
        code: FieldCode::AlreadyExists,
        detail,
    }
}

/// All constraints that input of a client can violate, except foreign keys. Constraints that the
/// value types already guarantee are missing on purpose: violating one is a defect.
const MEANINGS: &[Meaning] = &[
    taken("currencies_code_key", "/code"),
    taken("exchange_rates_currency_date_key", "/startingDate"),
    taken("items_number_key", "/number"),
    taken("salespeople_code_key", "/code"),
    taken("teams_code_key", "/code"),
    taken("activities_code_key", "/code"),
    taken("opportunities_number_key", "/number"),
    taken("campaign_statuses_code_key", "/code"),
    taken("contacts_number_key", "/number"),
    taken("contacts_number_type_key", "/number"),
    taken("contacts_customer_number_key", "/customer/number"),
    taken("campaigns_number_key", "/number"),
    taken("segments_number_key", "/number"),
    taken("segment_lines_contact_key", "/contactNumber"),
    taken("saved_criteria_code_key", "/code"),
    taken("interaction_templates_code_key", "/code"),
    taken("sales_line_key", "/lineNumber"),
    Meaning {
        constraint: "segments_number_logged",
        problem: ProblemCode::Conflict,
        pointer: "/number",
        code: FieldCode::AlreadyExists,
        detail: "a segment with this number was logged",
    },
    Meaning {
        constraint: "golden_quotes_question",
        problem: ProblemCode::Conflict,
        pointer: "",
        code: FieldCode::AlreadyExists,
        detail: "the campaign has a golden quote for this question",
    },
    duplicate_line("price_lines_duplicate"),
    duplicate_line("discount_lines_duplicate"),
    // Raised by the triggers of all tables that name a salesperson.
    rule(
        "salesperson_blocked",
        "/salespersonCode",
        FieldCode::SalespersonBlocked,
        "the salesperson is blocked and can be given nothing new",
    ),
    rule(
        "campaigns_period",
        "/endingDate",
        FieldCode::EndBeforeStart,
        "the ending date lies before the starting date",
    ),
    rule(
        "price_lines_period",
        "/endingDate",
        FieldCode::EndBeforeStart,
        "the ending date lies before the starting date",
    ),
    rule(
        "discount_lines_period",
        "/endingDate",
        FieldCode::EndBeforeStart,
        "the ending date lies before the starting date",
    ),
    rule(
        "contacts_customer_account",
        "/customer",
        FieldCode::CustomerNeedsAccount,
        "prices are granted to the person's company, so that can be the customer",
    ),
    rule(
        "contacts_person_company",
        "/companyNumber",
        FieldCode::CompanyLink,
        "only a PERSON belongs to a company",
    ),
];

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
    const fn label(&self) -> &'static str {
        match self {
            Self::CampaignStatus => "campaign status",
            Self::Salesperson => "salesperson",
            Self::Team => "team",
            Self::Activity => "activity",
            Self::Currency | Self::CurrencyOrLocal => "currency",
            Self::Contact => "contact",
            Self::Company => "contact of type COMPANY",
            Self::Customer => "customer",
            Self::Campaign => "campaign",
            Self::InteractionTemplate => "interaction template",
            Self::Item => "item",
            Self::VariantOf(_) => "variant of the item",
            Self::UnitOf(_) => "unit of measure of the item",
        }
    }

    /// Returns the query whether the key exists. `$2` is the item, for kinds that belong to an
    /// item.
    const fn query(&self) -> &'static str {
        match self {
            Self::CampaignStatus => {
                "SELECT EXISTS (SELECT FROM campaign_statuses WHERE code = $1) OR $2 IS NULL AS found"
            }
            Self::Salesperson => {
                "SELECT EXISTS (SELECT FROM salespeople WHERE code = $1) OR $2 IS NULL AS found"
            }
            Self::Team => {
                "SELECT EXISTS (SELECT FROM teams WHERE code = $1) OR $2 IS NULL AS found"
            }
            Self::Activity => {
                "SELECT EXISTS (SELECT FROM activities WHERE code = $1) OR $2 IS NULL AS found"
            }
            Self::Currency => {
                "SELECT EXISTS (SELECT FROM currencies WHERE code = $1) OR $2 IS NULL AS found"
            }
            Self::CurrencyOrLocal => {
                "SELECT EXISTS (SELECT FROM currencies WHERE code = $1) \
                 OR EXISTS (SELECT FROM settings WHERE local_currency_code = $1) \
                 OR $2 IS NULL AS found"
            }
            Self::Contact => {
                "SELECT EXISTS (SELECT FROM contacts WHERE number = $1) OR $2 IS NULL AS found"
            }
            Self::Company => {
                "SELECT EXISTS (SELECT FROM contacts WHERE number = $1 AND type = 'COMPANY') OR $2 IS NULL AS found"
            }
            Self::Customer => {
                "SELECT EXISTS (SELECT FROM contacts WHERE customer_number = $1) OR $2 IS NULL AS found"
            }
            Self::Campaign => {
                "SELECT EXISTS (SELECT FROM campaigns WHERE number = $1) OR $2 IS NULL AS found"
            }
            Self::InteractionTemplate => {
                "SELECT EXISTS (SELECT FROM interaction_templates WHERE code = $1) OR $2 IS NULL AS found"
            }
            Self::Item => {
                "SELECT EXISTS (SELECT FROM items WHERE number = $1) OR $2 IS NULL AS found"
            }
            Self::VariantOf(_) => {
                "SELECT EXISTS (SELECT FROM item_variants WHERE code = $1 AND item_number = $2) AS found"
            }
            Self::UnitOf(_) => {
                "SELECT EXISTS (SELECT FROM item_units_of_measure WHERE code = $1 AND item_number = $2) AS found"
            }
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

#[derive(diesel::QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    found: bool,
}

/// Returns an error for each reference to a resource that does not exist.
///
/// # Errors
/// When the database fails.
pub async fn missing(
    conn: &mut AsyncPgConnection,
    references: &[NamedReference],
) -> Result<Vec<FieldError>, Error> {
    let mut errors = Vec::new();
    for reference in references {
        let item = match &reference.target {
            ReferenceKind::VariantOf(item) | ReferenceKind::UnitOf(item) => item.as_str(),
            _ => "",
        };
        let query = diesel::sql_query(reference.target.query())
            .bind::<Text, _>(&reference.key)
            .bind::<Text, _>(item);
        if !query.get_result::<Found>(conn).await?.found {
            let detail = format!("there is no {} {}", reference.target.label(), reference.key);
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

/// Rows that may refer to a resource.
#[derive(Debug, Clone, Copy)]
pub struct Dependent {
    /// The name of the rows in messages to clients.
    pub what: &'static str,
    /// The query that counts the rows; `$1` is the key of the resource.
    pub count: &'static str,
}

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    count: i64,
}

/// Returns the problem that lists the dependents of a resource.
///
/// # Errors
/// When the database fails.
pub async fn in_use(
    conn: &mut AsyncPgConnection,
    dependents: &[Dependent],
    key: &str,
) -> Result<Problem, Error> {
    let mut errors = Vec::new();
    for dependent in dependents {
        let count = diesel::sql_query(dependent.count)
            .bind::<Text, _>(key)
            .get_result::<Count>(conn)
            .await?
            .count;
        if count > 0 {
            let detail = format!("{count} {} refer to it", dependent.what);
            errors.push(
                FieldError::new("", FieldCode::InUse, detail)
                    .param("what", dependent.what)
                    .param("count", count),
            );
        }
    }
    let mut problem = Problem::with_errors(ProblemCode::InUse, errors);
    problem.detail = format!("{key} is in use");
    Ok(problem)
}

/// The violation of a constraint.
pub(super) enum Violation {
    /// A foreign key, violated at one of its ends.
    ForeignKey,
    /// A constraint with a meaning in [`MEANINGS`].
    Rule(Problem),
}

/// Returns the violated constraint, if the client can be its cause.
pub(super) fn violation(error: &Error) -> Option<Violation> {
    let Error::DatabaseError(kind, information) = error else { return None };
    if matches!(kind, DatabaseErrorKind::ForeignKeyViolation) {
        return Some(Violation::ForeignKey);
    }
    let name = information.constraint_name()?;
    let meaning = MEANINGS.iter().find(|meaning| meaning.constraint == name)?;
    let error = FieldError::new(meaning.pointer, meaning.code, meaning.detail);
    Some(Violation::Rule(Problem::with_errors(meaning.problem, vec![error])))
}

//! Contacts: companies and persons. A company, or a person without company, may be a customer; its
//! price group and discount group then grant it prices.

pub mod erasures;
mod fields;
mod redaction;
mod rules_lock;

use chrono::{DateTime, Utc};
use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::result::DatabaseErrorKind;
use diesel::sql_types::{Bool, Integer, Nullable, Text as SqlText};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;
use values::enums::ContactType;
use values::{CurrencyCode, Email, Key, KeySet, Name, Reference, Text};

pub use fields::FIELDS;
pub use rules_lock::lock_rules;
use rules_lock::{leave_rules, share_rules};

use crate::platform::http::access::scope::Area;
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::ListSpec;
use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};
use crate::references::{NamedReference, ReferenceKind, named};
use crate::resource::constraints::{Constraint, Dependent, in_use};
use crate::resource::table::{
    author_values, column_values, key_field, table_rows, upsert, write_of_view,
};
use crate::resource::{IfExists, Names, Resource, RowWrite, SaveError};
use crate::salespeople::SALESPERSON_BLOCKED;
use crate::schema::{contacts, tasks};
use crate::settings::series::{Series, next_number};
use crate::unit_of_work::UnitOfWork;

/// The customer data of a company, or of a person without company.
#[derive(Debug, Clone, Deserr, Serialize, ToSchema)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct Customer {
    /// The customer number. No other contact can have it.
    pub number: Key,
    /// The customer price group, a free code. Price lines can be granted to it.
    #[deserr(default)]
    pub price_group_code: Option<Key>,
    /// The customer discount group, a free code. Discount lines can be granted to it.
    #[deserr(default)]
    pub discount_group_code: Option<Key>,
    /// True if line discounts apply when the list price is used.
    #[deserr(default = true)]
    #[serde(default)]
    #[schema(default = true, example = true)]
    pub allow_line_discount: bool,
    /// True if quotes for the customer include tax by default.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = false)]
    pub prices_include_tax: bool,
}

/// The writable fields of a contact.
#[derive(Debug, Clone, Deserr, Serialize, ToSchema)]
#[schema(as = ContactWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct ContactWrite {
    /// The number. If absent on `POST`, the next number of the series is assigned.
    #[deserr(default)]
    pub number: Option<Key>,
    /// Company or person. A company that persons belong to cannot become a person.
    #[deserr(rename = "type")]
    #[serde(rename = "type")]
    pub kind: ContactType,
    /// The name.
    pub name: Name,
    /// The company that a person belongs to.
    #[deserr(default)]
    pub company_number: Option<Key>,
    /// Street and house number.
    #[deserr(default)]
    #[serde(default)]
    pub address: Text<100>,
    /// The second line of the address.
    #[deserr(default)]
    #[serde(default)]
    pub address2: Text<100>,
    /// The post code.
    #[deserr(default)]
    #[serde(default)]
    pub post_code: Text<20>,
    /// The city.
    #[deserr(default)]
    #[serde(default)]
    pub city: Text<50>,
    /// The county or state.
    #[deserr(default)]
    #[serde(default)]
    pub county: Text<50>,
    /// The country, a free code.
    #[deserr(default)]
    pub country_code: Option<Key>,
    /// The telephone number, as free text.
    #[deserr(default)]
    #[serde(default)]
    pub phone: Text<50>,
    /// The e-mail address.
    #[deserr(default)]
    #[serde(default)]
    pub email: Email,
    /// The language, a free code.
    #[deserr(default)]
    pub language_code: Option<Key>,
    /// The default currency of the contact's quotes. If null, the company's applies, else the local
    /// currency.
    #[deserr(default)]
    pub currency_code: Option<CurrencyCode>,
    /// The salesperson in charge.
    #[deserr(default)]
    pub salesperson_code: Option<Key>,
    /// The territory, a free code.
    #[deserr(default)]
    pub territory_code: Option<Key>,
    /// The industry groups of the contact, as free codes.
    #[deserr(default)]
    #[serde(default)]
    pub industry_groups: KeySet,
    /// The mailing groups that the contact belongs to, as free codes.
    #[deserr(default)]
    #[serde(default)]
    pub mailing_groups: KeySet,
    /// The contact's areas of decision, as free codes: purchase, sales, stock.
    #[deserr(default)]
    #[serde(default)]
    pub job_responsibilities: KeySet,
    /// The contact's relations to the company, as free codes: customer, press, bank.
    #[deserr(default)]
    #[serde(default)]
    pub business_relations: KeySet,
    /// True if audiences omit the contact, and segment criteria do not select it unless they ignore
    /// exclusion.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = false)]
    pub exclude_from_segments: bool,
    /// True if the contact objects to marketing. Criteria do not add it, and audiences omit it.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = false)]
    pub privacy_blocked: bool,
    /// The customer data of a company or of a person without company; null if it is no customer.
    #[deserr(default)]
    pub customer: Option<Customer>,
}

/// A contact.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[schema(as = Contact)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = contacts, check_for_backend(Pg))]
pub struct ContactView {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The number.
    pub number: Key,
    /// Company or person.
    #[serde(rename = "type")]
    #[diesel(column_name = type_)]
    pub kind: ContactType,
    /// The name.
    pub name: Name,
    /// The company that a person belongs to.
    pub company_number: Option<Key>,
    /// Street and house number.
    pub address: Text<100>,
    /// The second line of the address.
    pub address2: Text<100>,
    /// The post code.
    pub post_code: Text<20>,
    /// The city.
    pub city: Text<50>,
    /// The county or state.
    pub county: Text<50>,
    /// The country, a free code.
    pub country_code: Option<Key>,
    /// The telephone number, as free text.
    pub phone: Text<50>,
    /// The e-mail address.
    pub email: Email,
    /// The language, a free code.
    pub language_code: Option<Key>,
    /// The default currency of the contact's quotes. If null, the company's applies, else the local
    /// currency.
    pub currency_code: Option<CurrencyCode>,
    /// The salesperson in charge.
    pub salesperson_code: Option<Key>,
    /// The territory, a free code.
    pub territory_code: Option<Key>,
    /// The industry groups of the contact, as free codes.
    pub industry_groups: KeySet,
    /// The mailing groups that the contact belongs to, as free codes.
    pub mailing_groups: KeySet,
    /// The contact's areas of decision, as free codes: purchase, sales, stock.
    pub job_responsibilities: KeySet,
    /// The contact's relations to the company, as free codes: customer, press, bank.
    pub business_relations: KeySet,
    /// True if audiences omit the contact, and segment criteria do not select it unless they ignore
    /// exclusion.
    #[schema(example = false)]
    pub exclude_from_segments: bool,
    /// True if the contact objects to marketing. Criteria do not add it, and audiences omit it.
    #[schema(example = false)]
    pub privacy_blocked: bool,
    /// The customer data of a company or of a person without company; null if it is no customer.
    #[diesel(
        select_expression = <CustomerColumns as Selectable<Pg>>::construct_selection(),
        select_expression_type = <CustomerColumns as Selectable<Pg>>::SelectExpression,
        deserialize_as = CustomerColumns
    )]
    pub customer: Option<Customer>,
    /// The caller that created the contact.
    #[schema(max_length = 200, example = "local")]
    pub created_by: String,
    /// The caller that changed the contact last.
    #[schema(max_length = 200, example = "local")]
    pub updated_by: String,
    /// The time of the last change.
    #[schema(max_length = 35, example = "2031-05-15T08:30:00.123456Z")]
    pub updated_at: DateTime<Utc>,
}

/// The columns that only customers fill. Public because the derived traits of the view name the
/// type.
#[derive(Queryable, Selectable)]
#[diesel(table_name = contacts, check_for_backend(Pg))]
pub struct CustomerColumns {
    customer_number: Option<Key>,
    customer_price_group_code: Option<Key>,
    customer_discount_group_code: Option<Key>,
    customer_allow_line_discount: bool,
    customer_prices_include_tax: bool,
}

impl From<CustomerColumns> for Option<Customer> {
    fn from(columns: CustomerColumns) -> Self {
        columns.customer_number.map(|number| Customer {
            number,
            price_group_code: columns.customer_price_group_code,
            discount_group_code: columns.customer_discount_group_code,
            allow_line_discount: columns.customer_allow_line_discount,
            prices_include_tax: columns.customer_prices_include_tax,
        })
    }
}

/// The resource `/v1/contacts`.
pub struct Contacts;

impl Resource for Contacts {
    const NAMES: Names = Names {
        path: "/v1/contacts",
        singular: "contact",
        plural: "contacts",
        one: "a contact",
        tag: "Contacts",
        area: Area::Contacts,
        key_field: Some("number"),
    };
    const NUMBERED: bool = true;
    const LIST: ListSpec = ListSpec { fields: FIELDS, default_order: "number", tie: "number" };
    const CONSTRAINTS: &'static [Constraint] = &[
        Constraint::taken("contacts_number_key", "/number"),
        Constraint::taken("contacts_number_type_key", "/number"),
        Constraint::taken("contacts_customer_number_key", "/customer/number"),
        Constraint::rule(
            "contacts_customer_account",
            "/customer",
            FieldCode::CustomerNeedsAccount,
            "prices are granted to the person's company, so that can be the customer",
        ),
        Constraint::rule(
            "contacts_person_company",
            "/companyNumber",
            FieldCode::CompanyLink,
            "only a PERSON belongs to a company",
        ),
        SALESPERSON_BLOCKED,
    ];
    const DEPENDENTS: &'static [Dependent] = &[
        Dependent::new("persons of the company", "contacts WHERE company_number = $1"),
        Dependent::new(
            "segment lines",
            "segment_lines WHERE contact_number = $1 OR account_number = $1",
        ),
        Dependent::new("logged targets of the account", "interactions WHERE account_number = $1"),
        Dependent::new(
            "posted sales lines",
            "sales WHERE contact_number = $1 OR account_number = $1",
        ),
        Dependent::new("open tasks", "tasks WHERE contact_number = $1 AND closed_at IS NULL"),
        Dependent::new(
            "golden quotes",
            "golden_quotes WHERE contact_number = $1 \
             OR customer_number = (SELECT customer_number FROM contacts WHERE number = $1)",
        ),
        Dependent::new("opportunities", "opportunities WHERE contact_number = $1"),
        Dependent::new(
            "logged targets of active campaigns",
            "held_targets WHERE contact_number = $1",
        ),
        Dependent::new("audiences of active campaigns", PUBLISHED_AUDIENCES),
        Dependent::new("API keys", "api_keys WHERE restricted_to_contact_number = $1"),
        Dependent::new("price lines", "price_lines WHERE contact_number = $1"),
        Dependent::new("discount lines", "discount_lines WHERE contact_number = $1"),
    ];
    type Scope = ();
    type Write = ContactWrite;
    type View = ContactView;

    table_rows! { contacts by number }
    key_field! { number }
    write_of_view! {
        number, kind, name, company_number, address, address2, post_code, city, county,
        country_code, phone, email, language_code, currency_code, salesperson_code, territory_code,
        industry_groups, mailing_groups, job_responsibilities, business_relations,
        exclude_from_segments, privacy_blocked, customer,
    }

    async fn lock_first(
        conn: &mut AsyncPgConnection,
        (): &(),
        _: &[Reference],
    ) -> Result<(), Problem> {
        Ok(share_rules(conn).await?)
    }

    async fn save(
        work: &mut UnitOfWork,
        (): &(),
        rows: &[RowWrite<ContactWrite>],
        if_exists: IfExists,
    ) -> Result<(), SaveError> {
        share_rules(&mut work.conn).await?;
        lock_existing(&mut work.conn, rows).await?;
        insert(work, rows, if_exists).await.map_err(|error| save_error(error, rows))?;
        work.changed_keys
            .contacts
            .extend(rows.iter().filter_map(|row| row.write.number.as_ref()).map(Key::to_string));
        Ok(())
    }

    async fn delete(work: &mut UnitOfWork, (): &(), view: &Self::View) -> Result<(), SaveError> {
        // The price book has no foreign key to contacts, since its history outlives them. A
        // manually published campaign may still grant prices to a contact that no segment contains.
        if is_in_audience(&mut work.conn, &view.number).await? {
            return Err(in_use(&mut work.conn, Self::DEPENDENTS, view.number.as_str())
                .await?
                .into());
        }
        share_rules(&mut work.conn).await?;
        leave_rules(work, &view.number).await?;
        // Closed tasks stay in the history of their campaign, without the contact.
        let closed = tasks::table
            .filter(tasks::contact_number.eq(&view.number))
            .filter(tasks::closed_at.is_not_null());
        diesel::update(closed)
            .set(tasks::contact_number.eq(None::<&Key>))
            .execute(&mut work.conn)
            .await?;
        let campaigns = detach_interactions(&mut work.conn, &view.number).await?;
        work.changed_keys.campaigns.extend(campaigns);
        diesel::delete(contacts::table.find(view.id)).execute(&mut work.conn).await?;
        work.changed_keys.contacts.insert(view.number.to_string());
        Ok(())
    }

    async fn next_key(work: &mut UnitOfWork) -> Result<Option<Key>, Problem> {
        next_number(&mut work.conn, Series::Contact).await.map(Some)
    }

    fn rules(write: &ContactWrite, (): &()) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if write.customer.is_some()
            && write.company_number.is_some()
            && write.kind == ContactType::Person
        {
            let detail = "prices are granted to the person's company, so that can be the customer";
            errors.push(FieldError::new("/customer", FieldCode::CustomerNeedsAccount, detail));
        }
        if write.company_number.is_some() {
            let link =
                |detail: &str| FieldError::new("/companyNumber", FieldCode::CompanyLink, detail);
            if write.kind != ContactType::Person {
                errors.push(link("only a PERSON belongs to a company"));
            } else if write.company_number == write.number {
                errors.push(link("a contact is not its own company"));
            }
        }
        errors
    }

    fn references(write: &ContactWrite) -> Vec<NamedReference> {
        [
            named("/companyNumber", ReferenceKind::Company, write.company_number.as_ref()),
            named("/currencyCode", ReferenceKind::CurrencyOrLocal, write.currency_code.as_ref()),
            named("/salespersonCode", ReferenceKind::Salesperson, write.salesperson_code.as_ref()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn placeholders() -> Value {
        json!({ "type": ContactType::Company, "name": "-" })
    }

    fn follows_others(write: &ContactWrite) -> bool {
        write.company_number.is_some()
    }
}

/// The published audiences that have contact `$1` as an account. Joined by campaign, because the
/// index of the audience starts with the campaign.
const PUBLISHED_AUDIENCES: &str = "campaigns
    JOIN contacts ON contacts.number = $1
    JOIN book_audience ON book_audience.campaign_number = campaigns.number AND to_version IS NULL
        AND chunk = ordinal >> 9 AND ordinal = ANY(ordinals)
    WHERE publication_version IS NOT NULL";

/// Returns whether a published audience has the contact as an account.
async fn is_in_audience(conn: &mut AsyncPgConnection, number: &Key) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Bool)]
        found: bool,
    }
    let query = format!("SELECT EXISTS (SELECT FROM {PUBLISHED_AUDIENCES}) AS found");
    let query = diesel::sql_query(query).bind::<SqlText, _>(number);
    Ok(query.get_result::<Found>(conn).await?.found)
}

/// Clears the contact of its interactions, which stay with their cost and flags. Interactions that
/// keep the contact in the audience of an active campaign are not changed, so they prevent the
/// deletion. Returns the campaigns that lose a target.
async fn detach_interactions(
    conn: &mut AsyncPgConnection,
    number: &Key,
) -> QueryResult<Vec<String>> {
    #[derive(QueryableByName)]
    struct Detached {
        #[diesel(sql_type = Nullable<SqlText>)]
        campaign: Option<String>,
    }
    let query = "UPDATE interactions SET contact_number = NULL
        WHERE contact_number = $1
            AND id NOT IN (SELECT id FROM held_targets WHERE contact_number = $1)
        RETURNING CASE WHEN segment_number IS NOT NULL AND campaign_target AND NOT canceled
            THEN campaign_number END
            AS campaign";
    let detached: Vec<Detached> =
        diesel::sql_query(query).bind::<SqlText, _>(number).load(conn).await?;
    Ok(detached.into_iter().filter_map(|row| row.campaign).collect())
}

/// Locks the existing rows in the order of their numbers. `FOR UPDATE` also blocks foreign keys. A
/// concurrent transaction that adds the contact to a segment has either committed before the
/// audience is computed, or waits. So no contact is published after it has objected to marketing.
async fn lock_existing(
    conn: &mut AsyncPgConnection,
    rows: &[RowWrite<ContactWrite>],
) -> QueryResult<()> {
    let numbers: Vec<&Key> = rows.iter().filter_map(|row| row.write.number.as_ref()).collect();
    let existing = contacts::table.filter(contacts::number.eq_any(numbers)).order(contacts::number);
    existing.select(contacts::id).for_update().load::<Uuid>(conn).await.map(drop)
}

/// Writes contacts in one statement. The foreign key of persons is checked at its end, so a company
/// may follow its persons.
async fn insert(
    work: &mut UnitOfWork,
    rows: &[RowWrite<ContactWrite>],
    if_exists: IfExists,
) -> Result<usize, diesel::result::Error> {
    use contacts as t;
    // One order everywhere prevents deadlocks between concurrent batches.
    let mut rows: Vec<&RowWrite<ContactWrite>> = rows.iter().collect();
    rows.sort_by_key(|row| &row.write.number);
    let values: Vec<_> = rows
        .into_iter()
        .map(|RowWrite { id, write }| {
            let customer = write.customer.as_ref();
            (
                t::id.eq(*id),
                write.number.as_ref().map(|number| t::number.eq(number)),
                t::type_.eq(write.kind),
                column_values!(
                    t, write: name, company_number, address, address2, post_code, city, county,
                    country_code, phone, email, language_code, currency_code, salesperson_code,
                    territory_code, industry_groups, mailing_groups, job_responsibilities,
                    business_relations, exclude_from_segments, privacy_blocked
                ),
                t::customer_number.eq(customer.map(|customer| &customer.number)),
                t::customer_price_group_code
                    .eq(customer.and_then(|customer| customer.price_group_code.as_ref())),
                t::customer_discount_group_code
                    .eq(customer.and_then(|customer| customer.discount_group_code.as_ref())),
                t::customer_allow_line_discount
                    .eq(customer.is_none_or(|customer| customer.allow_line_discount)),
                t::customer_prices_include_tax
                    .eq(customer.is_some_and(|customer| customer.prices_include_tax)),
                // A replaced contact keeps its ordinal and takes none from the sequence, so that
                // ordinals in audiences stay dense.
                t::ordinal.eq(diesel::dsl::sql::<Integer>(
                    "coalesce((SELECT ordinal FROM contacts AS known WHERE number = ",
                )
                .bind::<Nullable<SqlText>, _>(write.number.as_ref())
                .sql("), nextval('contacts_ordinal'))::integer")),
                author_values!(t, &work.author),
            )
        })
        .collect();
    upsert!(
        &mut work.conn, values, if_exists, [author &work.author], t by number:
        type_, name, company_number, address, address2, post_code, city, county, country_code,
        phone, email, language_code, currency_code, salesperson_code, territory_code,
        industry_groups, mailing_groups, job_responsibilities, business_relations,
        exclude_from_segments, privacy_blocked, customer_number, customer_price_group_code,
        customer_discount_group_code, customer_allow_line_discount, customer_prices_include_tax
    )
}

/// Converts a database error of a write into a refusal. If a contact without company violates the
/// link of persons to companies, it is the company that persons refer to. The error then names
/// `type`, which cannot become `PERSON`.
fn save_error(error: diesel::result::Error, rows: &[RowWrite<ContactWrite>]) -> SaveError {
    if let (
        diesel::result::Error::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, information),
        [row],
    ) = (&error, rows)
        && information.constraint_name() == Some("contacts_company_fkey")
        && row.write.company_number.is_none()
    {
        let detail = "persons belong to the company, so it cannot become a PERSON";
        let error = FieldError::new("/type", FieldCode::InUse, detail);
        return Problem::with_errors(ProblemCode::InUse, vec![error]).into();
    }
    error.into()
}

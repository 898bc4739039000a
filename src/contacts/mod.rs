//! Contacts: companies and the persons who work there. A company may be a customer, and then has
//! the groups that prices are granted to.

mod fields;

use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::result::DatabaseErrorKind;
use diesel::sql_types::{BigInt, Integer, Nullable, Text as SqlText};
use diesel::upsert::excluded;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

pub use fields::FIELDS;

use crate::platform::db::schema::{contacts, tasks};
use crate::platform::http::constraints::{Dependent, NamedReference, ReferenceKind, in_use, named};
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{ListQuery, ListSpec};
use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};
use crate::platform::http::resource::{IfExists, Names, Resource, RowWrite, SaveError, ids_of};
use crate::platform::unit_of_work::UnitOfWork;
use crate::settings::series::{Series, next_number};
use crate::values::enums::ContactType;
use crate::values::{CurrencyCode, Email, Key, KeySet, Name, Reference, Text};

/// A company's side as a customer.
#[derive(Debug, Clone, Deserr, Serialize, ToSchema)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct Customer {
    /// The customer number; one company only has it.
    pub number: Key,
    /// The group that price lines may be granted to.
    #[deserr(default)]
    pub price_group_code: Option<Key>,
    /// The group that discount lines may be granted to.
    #[deserr(default)]
    pub discount_group_code: Option<Key>,
    /// Whether a line discount applies where the list price is taken.
    #[deserr(default = true)]
    #[serde(default)]
    #[schema(default = true, example = true)]
    pub allow_line_discount: bool,
    /// Whether quotes for the customer include tax unless they say otherwise.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = false)]
    pub prices_include_tax: bool,
}

/// What a client says about a contact.
#[derive(Debug, Clone, Deserr, Serialize, ToSchema)]
#[schema(as = ContactWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct ContactWrite {
    /// The number; absent on `POST`: the next of the series.
    #[deserr(default)]
    pub number: Option<Key>,
    /// Company or person. A company with persons stays one.
    #[deserr(rename = "type")]
    #[serde(rename = "type")]
    pub kind: ContactType,
    /// The name.
    pub name: Name,
    /// The company a person belongs to.
    #[deserr(default)]
    pub company_number: Option<Key>,
    /// Street and house.
    #[deserr(default)]
    #[serde(default)]
    pub address: Text<100>,
    /// What else the address needs.
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
    /// The telephone number, as it is dialled.
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
    /// The currency of the contact's quotes when they name none; null: the company's, else the
    /// local one.
    #[deserr(default)]
    pub currency_code: Option<CurrencyCode>,
    /// The salesperson in charge.
    #[deserr(default)]
    pub salesperson_code: Option<Key>,
    /// The territory, a free code.
    #[deserr(default)]
    pub territory_code: Option<Key>,
    /// The industries the contact is in.
    #[deserr(default)]
    #[serde(default)]
    pub industry_groups: KeySet,
    /// The mailings the contact gets.
    #[deserr(default)]
    #[serde(default)]
    pub mailing_groups: KeySet,
    /// What the contact is responsible for.
    #[deserr(default)]
    #[serde(default)]
    pub job_responsibilities: KeySet,
    /// What the contact is to the company: customer, press, bank.
    #[deserr(default)]
    #[serde(default)]
    pub business_relations: KeySet,
    /// Whether segments leave the contact out.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = false)]
    pub exclude_from_segments: bool,
    /// Whether the contact objects to being marketed to.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = false)]
    pub privacy_blocked: bool,
    /// The company as a customer; null: it is none.
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
    /// The company a person belongs to.
    pub company_number: Option<Key>,
    /// Street and house.
    pub address: Text<100>,
    /// What else the address needs.
    pub address2: Text<100>,
    /// The post code.
    pub post_code: Text<20>,
    /// The city.
    pub city: Text<50>,
    /// The county or state.
    pub county: Text<50>,
    /// The country, a free code.
    pub country_code: Option<Key>,
    /// The telephone number, as it is dialled.
    pub phone: Text<50>,
    /// The e-mail address.
    pub email: Email,
    /// The language, a free code.
    pub language_code: Option<Key>,
    /// The currency of the contact's quotes when they name none; null: the company's, else the
    /// local one.
    pub currency_code: Option<CurrencyCode>,
    /// The salesperson in charge.
    pub salesperson_code: Option<Key>,
    /// The territory, a free code.
    pub territory_code: Option<Key>,
    /// The industries the contact is in.
    pub industry_groups: KeySet,
    /// The mailings the contact gets.
    pub mailing_groups: KeySet,
    /// What the contact is responsible for.
    pub job_responsibilities: KeySet,
    /// What the contact is to the company: customer, press, bank.
    pub business_relations: KeySet,
    /// Whether segments leave the contact out.
    #[schema(example = false)]
    pub exclude_from_segments: bool,
    /// Whether the contact objects to being marketed to.
    #[schema(example = false)]
    pub privacy_blocked: bool,
    /// The company as a customer; null: it is none.
    #[diesel(
        select_expression = <CustomerColumns as Selectable<Pg>>::construct_selection(),
        select_expression_type = <CustomerColumns as Selectable<Pg>>::SelectExpression,
        deserialize_as = CustomerColumns
    )]
    pub customer: Option<Customer>,
}

/// The columns that only customers fill. Public as the view's derived traits name it.
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
        key_field: Some("number"),
    };
    const NUMBERED: bool = true;
    const LIST: ListSpec = ListSpec { fields: FIELDS, default_order: "number", tie: "number" };
    const HOLDERS: &'static [Dependent] = &[
        Dependent {
            what: "persons of the company",
            count: "SELECT count(*) AS count FROM contacts WHERE company_number = $1",
        },
        Dependent {
            what: "segment lines",
            count: "SELECT count(*) AS count FROM segment_lines WHERE contact_number = $1",
        },
        Dependent {
            what: "posted sales lines",
            count: "SELECT count(*) AS count FROM sales WHERE contact_number = $1 OR account_number = $1",
        },
        Dependent {
            what: "open tasks",
            count: "SELECT count(*) AS count FROM tasks WHERE contact_number = $1 AND closed_at IS NULL",
        },
        Dependent {
            what: "golden quotes",
            count: "SELECT count(*) AS count FROM golden_quotes WHERE contact_number = $1 \
                    OR customer_number = (SELECT customer_number FROM contacts WHERE number = $1)",
        },
        Dependent {
            what: "opportunities",
            count: "SELECT count(*) AS count FROM opportunities WHERE contact_number = $1",
        },
        Dependent {
            what: "logged targets of active campaigns",
            count: "SELECT count(*) AS count FROM held_targets WHERE contact_number = $1",
        },
        Dependent { what: "audiences of active campaigns", count: AUDIENCES },
        Dependent {
            what: "price lines",
            count: "SELECT count(*) AS count FROM price_lines WHERE contact_number = $1",
        },
        Dependent {
            what: "discount lines",
            count: "SELECT count(*) AS count FROM discount_lines WHERE contact_number = $1",
        },
    ];
    type Scope = ();
    type Write = ContactWrite;
    type View = ContactView;

    async fn list(
        conn: &mut AsyncPgConnection,
        (): &(),
        list: &ListQuery,
    ) -> Result<Vec<Self::View>, Problem> {
        let query = contacts::table.select(ContactView::as_select()).into_boxed();
        let query = query
            .filter(list.condition())
            .order(list.ordering())
            .limit(list.limit())
            .offset(list.offset());
        Ok(query.load(conn).await?)
    }

    async fn count(
        conn: &mut AsyncPgConnection,
        (): &(),
        list: &ListQuery,
    ) -> Result<i64, Problem> {
        Ok(contacts::table
            .count()
            .into_boxed()
            .filter(list.filter_condition())
            .get_result(conn)
            .await?)
    }

    async fn find(
        conn: &mut AsyncPgConnection,
        (): &(),
        reference: &Reference,
        lock: bool,
    ) -> Result<Option<Self::View>, Problem> {
        let named = contacts::id
            .nullable()
            .eq(reference.id())
            .or(contacts::number.nullable().eq(reference.key()));
        let query = contacts::table.filter(named).select(ContactView::as_select());
        let found = if lock {
            query.for_no_key_update().first(conn).await
        } else {
            query.first(conn).await
        };
        Ok(found.optional()?)
    }

    async fn existing(
        conn: &mut AsyncPgConnection,
        (): &(),
        writes: &[ContactWrite],
    ) -> Result<Vec<Option<Uuid>>, Problem> {
        let numbers: Vec<&Key> = writes.iter().filter_map(|write| write.number.as_ref()).collect();
        let query = contacts::table.filter(contacts::number.eq_any(numbers));
        let known = query.select((contacts::number, contacts::id)).load(conn).await?;
        Ok(ids_of(writes.iter().map(Self::key).collect(), known))
    }

    async fn save(
        work: &mut UnitOfWork,
        (): &(),
        rows: &[RowWrite<ContactWrite>],
        if_exists: IfExists,
    ) -> Result<(), SaveError> {
        hold(&mut work.conn, rows).await?;
        insert(&mut work.conn, rows, if_exists).await.map_err(|error| refused(error, rows))?;
        work.changed_keys
            .contacts
            .extend(rows.iter().filter_map(|row| row.write.number.as_ref()).map(Key::to_string));
        Ok(())
    }

    async fn delete(work: &mut UnitOfWork, (): &(), view: &Self::View) -> Result<(), SaveError> {
        // No foreign key leads from the book, whose history outlives what it tells of. A campaign
        // that is published by hand may still grant its prices to a contact that no segment holds.
        let audiences = diesel::sql_query(AUDIENCES).bind::<SqlText, _>(&view.number);
        if audiences.get_result::<Audiences>(&mut work.conn).await?.count > 0 {
            return Err(in_use(&mut work.conn, Self::HOLDERS, view.number.as_str()).await?.into());
        }
        // Closed tasks stay in the history of their campaign, without the contact.
        let closed = tasks::table
            .filter(tasks::contact_number.eq(&view.number))
            .filter(tasks::closed_at.is_not_null());
        diesel::update(closed)
            .set(tasks::contact_number.eq(None::<&Key>))
            .execute(&mut work.conn)
            .await?;
        let left = leave_history(&mut work.conn, &view.number).await?;
        work.changed_keys.campaigns.extend(left);
        diesel::delete(contacts::table.find(view.id)).execute(&mut work.conn).await?;
        work.changed_keys.contacts.insert(view.number.to_string());
        Ok(())
    }

    fn id(view: &Self::View) -> Uuid {
        view.id
    }

    fn write_of(view: &Self::View) -> ContactWrite {
        let view = view.clone();
        ContactWrite {
            number: Some(view.number),
            kind: view.kind,
            name: view.name,
            company_number: view.company_number,
            address: view.address,
            address2: view.address2,
            post_code: view.post_code,
            city: view.city,
            county: view.county,
            country_code: view.country_code,
            phone: view.phone,
            email: view.email,
            language_code: view.language_code,
            currency_code: view.currency_code,
            salesperson_code: view.salesperson_code,
            territory_code: view.territory_code,
            industry_groups: view.industry_groups,
            mailing_groups: view.mailing_groups,
            job_responsibilities: view.job_responsibilities,
            business_relations: view.business_relations,
            exclude_from_segments: view.exclude_from_segments,
            privacy_blocked: view.privacy_blocked,
            customer: view.customer,
        }
    }

    fn key(write: &ContactWrite) -> Option<Key> {
        write.number.clone()
    }

    fn set_key(write: &mut ContactWrite, key: Key) {
        write.number = Some(key);
    }

    async fn next_key(work: &mut UnitOfWork) -> Result<Option<Key>, Problem> {
        next_number(&mut work.conn, Series::Contact).await.map(Some)
    }

    fn rules(write: &ContactWrite, (): &()) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if write.customer.is_some() && write.kind != ContactType::Company {
            let detail = "only a COMPANY can be a customer";
            errors.push(FieldError::new("/customer", FieldCode::CustomerNeedsCompany, detail));
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
            named("/currencyCode", ReferenceKind::Currency, write.currency_code.as_ref()),
            named("/salespersonCode", ReferenceKind::Salesperson, write.salesperson_code.as_ref()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn follows_others(write: &ContactWrite) -> bool {
        write.company_number.is_some()
    }
}

/// In how many audiences contact `$1` is an account, as published. By campaign, since the audience
/// has its index that way.
const AUDIENCES: &str = "SELECT count(*) AS count FROM campaigns
    JOIN contacts ON contacts.number = $1
    JOIN book_audience ON book_audience.campaign_number = campaigns.number AND to_version IS NULL
        AND chunk = ordinal >> 9 AND ordinal = ANY(ordinals)
    WHERE publication_version IS NOT NULL";

#[derive(QueryableByName)]
struct Audiences {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Takes a contact out of what was done: its interactions stay, with their cost and flags, but no
/// longer say with whom. Those by which it is in the audience of an active campaign keep their
/// contact, and so hold it. Answers with the campaigns whose audience it would be in once they are
/// active.
async fn leave_history(conn: &mut AsyncPgConnection, number: &Key) -> QueryResult<Vec<String>> {
    #[derive(QueryableByName)]
    struct Left {
        #[diesel(sql_type = Nullable<SqlText>)]
        campaign: Option<String>,
    }
    let query = "UPDATE interactions SET contact_number = NULL
        WHERE contact_number = $1 AND id NOT IN (SELECT id FROM held_targets WHERE contact_number = $1)
        RETURNING CASE WHEN segment_number IS NOT NULL AND campaign_target AND NOT canceled THEN campaign_number END
            AS campaign";
    let left: Vec<Left> = diesel::sql_query(query).bind::<SqlText, _>(number).load(conn).await?;
    Ok(left.into_iter().filter_map(|row| row.campaign).collect())
}

/// Locks the rows that stand already, in the order of their numbers and against foreign keys too: a
/// line that puts the contact on a segment in another transaction either is there already when the
/// price book follows this change, or waits for it. Either way the audience is of the contact as it
/// is, and nobody who has just objected is published.
async fn hold(conn: &mut AsyncPgConnection, rows: &[RowWrite<ContactWrite>]) -> QueryResult<()> {
    let numbers: Vec<&Key> = rows.iter().filter_map(|row| row.write.number.as_ref()).collect();
    let standing = contacts::table.filter(contacts::number.eq_any(numbers)).order(contacts::number);
    standing.select(contacts::id).for_update().load::<Uuid>(conn).await.map(drop)
}

/// Writes contacts in one statement: the foreign key of persons is checked at its end, so companies
/// may stand after them.
async fn insert(
    conn: &mut AsyncPgConnection,
    rows: &[RowWrite<ContactWrite>],
    if_exists: IfExists,
) -> Result<usize, diesel::result::Error> {
    use contacts as t;
    // In one order everywhere, so that two batches do not wait for each other's rows.
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
                t::name.eq(&write.name),
                t::company_number.eq(&write.company_number),
                t::address.eq(&write.address),
                t::address2.eq(&write.address2),
                t::post_code.eq(&write.post_code),
                t::city.eq(&write.city),
                t::county.eq(&write.county),
                t::country_code.eq(&write.country_code),
                t::phone.eq(&write.phone),
                t::email.eq(&write.email),
                t::language_code.eq(&write.language_code),
                t::currency_code.eq(&write.currency_code),
                t::salesperson_code.eq(&write.salesperson_code),
                t::territory_code.eq(&write.territory_code),
                t::industry_groups.eq(&write.industry_groups),
                t::mailing_groups.eq(&write.mailing_groups),
                t::job_responsibilities.eq(&write.job_responsibilities),
                t::business_relations.eq(&write.business_relations),
                t::exclude_from_segments.eq(write.exclude_from_segments),
                t::privacy_blocked.eq(write.privacy_blocked),
                t::customer_number.eq(customer.map(|customer| &customer.number)),
                t::customer_price_group_code
                    .eq(customer.and_then(|customer| customer.price_group_code.as_ref())),
                t::customer_discount_group_code
                    .eq(customer.and_then(|customer| customer.discount_group_code.as_ref())),
                t::customer_allow_line_discount
                    .eq(customer.is_none_or(|customer| customer.allow_line_discount)),
                t::customer_prices_include_tax
                    .eq(customer.is_some_and(|customer| customer.prices_include_tax)),
                // What an upsert would replace keeps its ordinal, and takes none out of the
                // sequence: audiences lie densely.
                t::ordinal.eq(diesel::dsl::sql::<Integer>(
                    "coalesce((SELECT ordinal FROM contacts AS known WHERE number = ",
                )
                .bind::<Nullable<SqlText>, _>(write.number.as_ref())
                .sql("), nextval('contacts_ordinal'))::integer")),
            )
        })
        .collect();
    let insert = diesel::insert_into(t::table).values(values);
    match if_exists {
        IfExists::Refuse => insert.execute(conn).await,
        IfExists::Replace => {
            insert
                .on_conflict(t::number)
                .do_update()
                .set((
                    t::type_.eq(excluded(t::type_)),
                    t::name.eq(excluded(t::name)),
                    t::company_number.eq(excluded(t::company_number)),
                    t::address.eq(excluded(t::address)),
                    t::address2.eq(excluded(t::address2)),
                    t::post_code.eq(excluded(t::post_code)),
                    t::city.eq(excluded(t::city)),
                    t::county.eq(excluded(t::county)),
                    t::country_code.eq(excluded(t::country_code)),
                    t::phone.eq(excluded(t::phone)),
                    t::email.eq(excluded(t::email)),
                    t::language_code.eq(excluded(t::language_code)),
                    t::currency_code.eq(excluded(t::currency_code)),
                    t::salesperson_code.eq(excluded(t::salesperson_code)),
                    t::territory_code.eq(excluded(t::territory_code)),
                    t::industry_groups.eq(excluded(t::industry_groups)),
                    t::mailing_groups.eq(excluded(t::mailing_groups)),
                    t::job_responsibilities.eq(excluded(t::job_responsibilities)),
                    t::business_relations.eq(excluded(t::business_relations)),
                    t::exclude_from_segments.eq(excluded(t::exclude_from_segments)),
                    t::privacy_blocked.eq(excluded(t::privacy_blocked)),
                    t::customer_number.eq(excluded(t::customer_number)),
                    t::customer_price_group_code.eq(excluded(t::customer_price_group_code)),
                    t::customer_discount_group_code.eq(excluded(t::customer_discount_group_code)),
                    t::customer_allow_line_discount.eq(excluded(t::customer_allow_line_discount)),
                    t::customer_prices_include_tax.eq(excluded(t::customer_prices_include_tax)),
                ))
                .execute(conn)
                .await
        }
    }
}

/// The refusal of a write. Where a company without a company of its own breaks the link of persons
/// to companies, it is the end that persons refer to; that it cannot become a person is said at the
/// field that asks for it.
fn refused(error: diesel::result::Error, rows: &[RowWrite<ContactWrite>]) -> SaveError {
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

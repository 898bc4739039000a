//! Posted sales: lines of invoices and credit memos as the ERP has posted them, each attributed to
//! the campaigns that granted its price or discount. A posted line is immutable; a credit memo
//! corrects a wrong one.

mod attribution;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use actix_web::web;
use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{
    Array, BigInt, Date as SqlDate, Integer, Nullable, Numeric, Text as SqlText, Uuid as SqlUuid,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use price_book::snapshot::Snapshot;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use values::{Amount, CurrencyCode, Date, Id, Key, Quantity, text_enum};

use self::attribution::Repriced;
use crate::live_book::LiveBook;
use crate::platform::clock::Calendar;
use crate::platform::http::access::scope::Area;
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListSpec};
use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};
use crate::references::{self, NamedReference, ReferenceKind, named};
use crate::resource::constraints::Constraint;
use crate::resource::table::table_reads;
use crate::resource::{IfExists, Names, Origin, Resource, RowWrite, SaveError, Scope, ids_of};
use crate::schema::{sales, sales_attributions};
use crate::unit_of_work::UnitOfWork;

text_enum! {
    /// The type of a posted document.
    DocumentType {
        /// An invoice.
        Invoice = "INVOICE",
        /// A credit memo; its amounts count negative.
        CreditMemo = "CREDIT_MEMO",
    }
}

text_enum! {
    /// The basis of an attribution to a campaign.
    Basis {
        /// The quote that the line refers to.
        Reference = "REFERENCE",
        /// The campaign that the ERP names.
        Stated = "STATED",
        /// The price of the posting date, computed again in the price book of that time.
        Replay = "REPLAY",
    }
}

/// The writable fields of a posted sales line.
#[derive(Debug, Clone, PartialEq, Eq, Deserr, Serialize, ToSchema)]
#[schema(as = SaleWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct SaleWrite {
    /// The type of the document.
    #[schema(example = "INVOICE")]
    pub document_type: DocumentType,
    /// The number of the document.
    pub document_number: Key,
    /// The number of the line in the document.
    #[schema(minimum = 1, maximum = 2_147_483_647, example = 10000)]
    pub line_number: i32,
    /// The posting date.
    // Spelled out because utoipa treats every type named `Date` as its own.
    #[schema(value_type = String, format = Date, max_length = 10, example = "2031-05-15")]
    pub posting_date: Date,
    /// The contact who bought; either this or `customerNumber` is required.
    #[deserr(default)]
    pub contact_number: Option<Key>,
    /// The customer who bought; either this or `contactNumber` is required.
    #[deserr(default)]
    pub customer_number: Option<Key>,
    /// The item.
    pub item_number: Key,
    /// The variant of the item.
    #[deserr(default)]
    pub variant_code: Option<Key>,
    /// The unit of measure of `quantity`; the item's base unit if absent.
    #[deserr(default)]
    pub unit_of_measure_code: Option<Key>,
    /// The quantity. It is above 0 on a credit memo too.
    #[deserr(default)]
    #[schema(required = false, default = "1")]
    pub quantity: Quantity,
    /// The amount of the line without tax, after the discount, in local currency. It is not
    /// negative on a credit memo either.
    pub line_amount: Amount,
    /// The discount amount in local currency.
    #[deserr(default)]
    #[schema(required = false, default = "0")]
    pub discount_amount: Amount,
    /// The currency of the document, used only to price the line again. If absent, the default of a
    /// quote applies. All amounts are in local currency.
    #[deserr(default)]
    pub currency_code: Option<CurrencyCode>,
    /// The campaign, if the ERP knows it. Used only for a line without `publicationVersion`.
    #[deserr(default)]
    pub campaign_number: Option<Key>,
    /// The `priceLine.id` of the quote; requires `publicationVersion`.
    #[deserr(default)]
    pub price_line_id: Option<Id>,
    /// The `discountLine.id` of the quote; requires `publicationVersion`.
    #[deserr(default)]
    pub discount_line_id: Option<Id>,
    /// The `publicationVersion` of the quote. If given, only the quote decides: the sale is
    /// attributed to the campaigns of its two lines, or to none.
    #[deserr(default)]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 418)]
    pub publication_version: Option<i64>,
}

/// An attribution of a sale to a campaign.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[schema(as = SaleAttribution)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = sales_attributions, check_for_backend(Pg))]
pub struct AttributionView {
    /// The campaign.
    pub campaign_number: Key,
    /// The basis of the attribution.
    #[schema(example = "REFERENCE")]
    pub basis: Basis,
    /// True if the campaign granted the price.
    #[schema(example = false)]
    pub price: bool,
    /// True if the campaign granted the discount.
    #[schema(example = true)]
    pub discount: bool,
}

/// A posted sales line.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Sale)]
#[serde(rename_all = "camelCase")]
pub struct SaleView {
    /// The line as the ERP posted it.
    #[serde(flatten)]
    pub row: Row,
    /// The campaigns that the sale is attributed to.
    #[schema(max_items = 2)]
    pub attributions: Vec<AttributionView>,
}

/// A posted sales line without its attributions.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[schema(as = PostedLine)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = sales, check_for_backend(Pg))]
pub struct Row {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The type of the document.
    #[schema(example = "INVOICE")]
    pub document_type: DocumentType,
    /// The number of the document.
    pub document_number: Key,
    /// The number of the line in the document.
    #[schema(minimum = 1, maximum = 2_147_483_647, example = 10000)]
    pub line_number: i32,
    /// The posting date.
    // Spelled out because utoipa treats every type named `Date` as its own.
    #[schema(value_type = String, format = Date, max_length = 10, example = "2031-05-15")]
    pub posting_date: Date,
    /// The contact who bought, if the document names one.
    pub contact_number: Option<Key>,
    /// The customer who bought, if the document names one.
    pub customer_number: Option<Key>,
    /// The account of the contact or customer at the time when the line arrived.
    pub account_number: Key,
    /// The item.
    pub item_number: Key,
    /// The variant of the item.
    pub variant_code: Option<Key>,
    /// The unit of measure of `quantity`; the item's base unit if null.
    pub unit_of_measure_code: Option<Key>,
    /// The quantity in the unit of measure.
    pub quantity: Quantity,
    /// The amount of the line without tax, after the discount, in local currency.
    pub line_amount: Amount,
    /// The discount amount in local currency.
    pub discount_amount: Amount,
    /// The currency of the document.
    pub currency_code: Option<CurrencyCode>,
    /// The campaign that the ERP named.
    pub campaign_number: Option<Key>,
    /// The price line of the quote.
    pub price_line_id: Option<Id>,
    /// The discount line of the quote.
    pub discount_line_id: Option<Id>,
    /// The version of the price book that answered the quote.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 418)]
    pub publication_version: Option<i64>,
    /// The amount that the account would have paid for the line without campaigns, in local
    /// currency without tax, by the price book at the end of the posting date. Null if there was no
    /// such price.
    pub baseline_amount: Option<Amount>,
}

/// The context of attribution: the current price book, the company's calendar, and the cached
/// snapshots.
#[derive(Clone)]
pub struct AttributionContext {
    book: LiveBook,
    calendar: Calendar,
    /// The snapshots of earlier versions that the request has read so far.
    snapshots: Rc<RefCell<BTreeMap<i64, Arc<Snapshot>>>>,
}

impl Scope for AttributionContext {
    const PARAMETERS: &'static [(&'static str, &'static str)] = &[];

    async fn find_from(origin: &Origin<'_>, _: &mut AsyncPgConnection) -> Result<Self, Problem> {
        let book = origin.state::<web::Data<LiveBook>>().map(|book| book.get_ref().clone());
        let calendar =
            origin.state::<web::Data<Calendar>>().map(|calendar| calendar.get_ref().clone());
        let both = book.zip(calendar).map(|(book, calendar)| Self {
            book,
            calendar,
            snapshots: Rc::default(),
        });
        both.ok_or_else(|| Problem::internal("the service has no price book or no calendar"))
    }
}

/// The resource `/v1/sales`.
pub struct Sales;

impl Resource for Sales {
    const NAMES: Names = Names {
        path: "/v1/sales",
        singular: "sale",
        plural: "sales",
        one: "a posted sales line",
        tag: "Results",
        area: Area::Sales,
        key_field: None,
    };
    const IS_APPEND_ONLY: bool = true;
    const LIST: ListSpec = ListSpec {
        fields: &[
            Field::new("id", FieldKind::Uuid, "sales.id").not_null(),
            Field::new("documentType", FieldKind::Enum(DocumentType::TEXTS), "sales.document_type")
                .not_null(),
            Field::new("documentNumber", FieldKind::Key, "sales.document_number").not_null(),
            Field::new("lineNumber", FieldKind::Integer, "sales.line_number").not_null(),
            Field::new("postingDate", FieldKind::Date, "sales.posting_date").not_null(),
            Field::new("contactNumber", FieldKind::Key, "sales.contact_number"),
            Field::new("customerNumber", FieldKind::Key, "sales.customer_number"),
            Field::new("accountNumber", FieldKind::Key, "sales.account_number").not_null(),
            Field::new("itemNumber", FieldKind::Key, "sales.item_number").not_null(),
            Field::new("variantCode", FieldKind::Key, "sales.variant_code"),
            Field::new("unitOfMeasureCode", FieldKind::Key, "sales.unit_of_measure_code"),
            Field::new("quantity", FieldKind::Decimal, "sales.quantity").not_null(),
            Field::new("lineAmount", FieldKind::Decimal, "sales.line_amount").not_null(),
            Field::new("discountAmount", FieldKind::Decimal, "sales.discount_amount").not_null(),
            Field::new("currencyCode", FieldKind::Key, "sales.currency_code"),
            Field::new("campaignNumber", FieldKind::Key, "sales.campaign_number"),
            Field::new("priceLineId", FieldKind::Uuid, "sales.price_line_id"),
            Field::new("discountLineId", FieldKind::Uuid, "sales.discount_line_id"),
            Field::new("publicationVersion", FieldKind::Integer, "sales.publication_version"),
        ],
        default_order: "postingDate,id",
        tie: "id",
    };
    const CONSTRAINTS: &'static [Constraint] =
        &[Constraint::taken("sales_line_key", "/lineNumber")];
    type Scope = AttributionContext;
    type Write = SaleWrite;
    type View = SaleView;

    table_reads! { sales by id, from Row: |conn, _context, rows| views(conn, rows).await? }

    async fn existing(
        conn: &mut AsyncPgConnection,
        _: &AttributionContext,
        writes: &[SaleWrite],
    ) -> Result<Vec<Option<Uuid>>, Problem> {
        let query = "SELECT \
                sales.document_type, sales.document_number, sales.line_number, sales.id \
            FROM unnest($1, $2, $3) AS wanted(type, number, line) JOIN sales \
                ON document_number = wanted.number AND document_type = wanted.type \
                    AND line_number = wanted.line";
        #[derive(QueryableByName)]
        struct Known {
            #[diesel(sql_type = SqlText)]
            document_type: DocumentType,
            #[diesel(sql_type = SqlText)]
            document_number: Key,
            #[diesel(sql_type = Integer)]
            line_number: i32,
            #[diesel(sql_type = SqlUuid)]
            id: Uuid,
        }
        let known: Vec<Known> = diesel::sql_query(query)
            .bind::<Array<SqlText>, _>(column(writes, |write| write.document_type))
            .bind::<Array<SqlText>, _>(column(writes, |write| &write.document_number))
            .bind::<Array<Integer>, _>(column(writes, |write| write.line_number))
            .load(conn)
            .await?;
        let known = known
            .into_iter()
            .map(|row| ((row.document_type, row.document_number, row.line_number), row.id));
        let keys = writes
            .iter()
            .map(|w| Some((w.document_type, w.document_number.clone(), w.line_number)));
        Ok(ids_of(keys.collect(), known.collect()))
    }

    // A sale changes no price itself, but it can bring an account into a segment by rule.
    async fn save(
        work: &mut UnitOfWork,
        context: &AttributionContext,
        rows: &[RowWrite<SaleWrite>],
        if_exists: IfExists,
    ) -> Result<(), SaveError> {
        let existing = match if_exists {
            IfExists::Refuse => HashMap::new(),
            IfExists::Replace => load_existing(&mut work.conn, rows).await?,
        };
        if let Some(other) =
            rows.iter().find(|row| existing.get(&row.id).is_some_and(|was| *was != row.write))
        {
            return Err(content_conflict(&other.write).into());
        }
        let new_rows: Vec<&RowWrite<SaleWrite>> =
            rows.iter().filter(|row| !existing.contains_key(&row.id)).collect();
        if new_rows.is_empty() {
            return Ok(());
        }
        let (mut attributions, reference_errors) =
            attribution::by_reference(&mut work.conn, &new_rows).await?;
        attributions.extend(attribution::by_statement(&new_rows));
        // Replay runs before any write, so that its snapshots stay cached if the rows are retried
        // one by one.
        let Repriced { attributions: replayed, baselines } =
            attribution::by_replay(&mut work.conn, context, &new_rows).await?;
        attributions.extend(replayed);
        if !reference_errors.is_empty()
            || insert(&mut work.conn, &new_rows, &baselines).await? < new_rows.len()
        {
            return Err(reference_problem(&mut work.conn, &new_rows, reference_errors)
                .await?
                .into());
        }
        attribution::record(&mut work.conn, &attributions).await?;
        work.changed_keys.sales.extend(new_rows.iter().map(|row| row.id));
        Ok(())
    }

    async fn delete(
        _: &mut UnitOfWork,
        _: &AttributionContext,
        _: &Self::View,
    ) -> Result<(), SaveError> {
        Err(Problem::new(ProblemCode::Conflict, "a posted line stays; a credit memo takes it back")
            .into())
    }

    fn id(view: &Self::View) -> Uuid {
        view.row.id
    }

    fn write_of(view: &Self::View) -> SaleWrite {
        write_of_row(view.row.clone())
    }

    fn row_identity(write: &SaleWrite) -> Option<String> {
        Some(identity(write))
    }

    fn rules(write: &SaleWrite, _: &AttributionContext) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut add_error =
            |pointer: &str, code, detail: &str| errors.push(FieldError::new(pointer, code, detail));
        if write.line_number < 1 {
            add_error("/lineNumber", FieldCode::OutOfRange, "has to be 1 or more");
        }
        match (&write.contact_number, &write.customer_number) {
            (None, None) => add_error(
                "/contactNumber",
                FieldCode::Missing,
                "contactNumber or customerNumber must be given",
            ),
            (Some(_), Some(_)) => {
                let detail =
                    "contactNumber and customerNumber both say who bought; give one of them";
                add_error("/customerNumber", FieldCode::NotAllowed, detail);
            }
            _ => {}
        }
        if write.publication_version.is_some_and(|version| version < 1) {
            add_error("/publicationVersion", FieldCode::OutOfRange, "has to be 1 or more");
        }
        if write.publication_version.is_none()
            && (write.price_line_id.is_some() || write.discount_line_id.is_some())
        {
            let detail = "publicationVersion must be given with the lines of a quote";
            add_error("/publicationVersion", FieldCode::Missing, detail);
        }
        errors
    }

    fn references(write: &SaleWrite) -> Vec<NamedReference> {
        let item = || write.item_number.to_string();
        [
            named("/contactNumber", ReferenceKind::Contact, write.contact_number.as_ref()),
            named("/customerNumber", ReferenceKind::Customer, write.customer_number.as_ref()),
            named("/itemNumber", ReferenceKind::Item, Some(&write.item_number)),
            named("/variantCode", ReferenceKind::VariantOf(item()), write.variant_code.as_ref()),
            named(
                "/unitOfMeasureCode",
                ReferenceKind::UnitOf(item()),
                write.unit_of_measure_code.as_ref(),
            ),
            named("/campaignNumber", ReferenceKind::Campaign, write.campaign_number.as_ref()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Returns the identity of a line as text.
fn identity(write: &SaleWrite) -> String {
    format!("{} {} line {}", write.document_type, write.document_number, write.line_number)
}

fn content_conflict(write: &SaleWrite) -> Problem {
    let detail =
        format!("{} was posted with another content; a credit memo takes it back", identity(write));
    let error = FieldError::new("", FieldCode::AlreadyExists, detail.clone());
    Problem { detail, ..Problem::with_errors(ProblemCode::Conflict, vec![error]) }
}

/// Collects one field of all writes, for `unnest`.
fn column<'a, T>(
    writes: impl IntoIterator<Item = &'a SaleWrite>,
    field: impl Fn(&'a SaleWrite) -> T,
) -> Vec<T> {
    writes.into_iter().map(field).collect()
}

fn write_of_row(row: Row) -> SaleWrite {
    SaleWrite {
        document_type: row.document_type,
        document_number: row.document_number,
        line_number: row.line_number,
        posting_date: row.posting_date,
        contact_number: row.contact_number,
        customer_number: row.customer_number,
        item_number: row.item_number,
        variant_code: row.variant_code,
        unit_of_measure_code: row.unit_of_measure_code,
        quantity: row.quantity,
        line_amount: row.line_amount,
        discount_amount: row.discount_amount,
        currency_code: row.currency_code,
        campaign_number: row.campaign_number,
        price_line_id: row.price_line_id,
        discount_line_id: row.discount_line_id,
        publication_version: row.publication_version,
    }
}

/// Loads the writes that would produce the existing rows.
async fn load_existing(
    conn: &mut AsyncPgConnection,
    rows: &[RowWrite<SaleWrite>],
) -> QueryResult<HashMap<Uuid, SaleWrite>> {
    let query = sales::table.filter(sales::id.eq_any(rows.iter().map(|row| row.id)));
    let rows: Vec<Row> = query.select(Row::as_select()).load(conn).await?;
    Ok(rows.into_iter().map(|row| (row.id, write_of_row(row))).collect())
}

/// Builds the views of rows, with their attributions.
async fn views(conn: &mut AsyncPgConnection, rows: Vec<Row>) -> QueryResult<Vec<SaleView>> {
    use sales_attributions as t;
    let query =
        t::table.filter(t::sale_id.eq_any(rows.iter().map(|row| row.id))).order(t::campaign_number);
    let found: Vec<(Uuid, AttributionView)> =
        query.select((t::sale_id, AttributionView::as_select())).load(conn).await?;
    let mut attributions: HashMap<Uuid, Vec<AttributionView>> = HashMap::new();
    for (sale, attribution) in found {
        attributions.entry(sale).or_default().push(attribution);
    }
    Ok(rows
        .into_iter()
        .map(|row| SaleView { attributions: attributions.remove(&row.id).unwrap_or_default(), row })
        .collect())
}

/// Inserts lines with their account and cost, and returns the number of inserted rows. It omits
/// lines whose contact, customer, variant or unit does not exist; the foreign keys refuse the rest.
async fn insert(
    conn: &mut AsyncPgConnection,
    rows: &[&RowWrite<SaleWrite>],
    baselines: &HashMap<Uuid, Amount>,
) -> QueryResult<usize> {
    let statement = "INSERT INTO sales (id, document_type, document_number, line_number, \
            posting_date, contact_number, customer_number, account_number, item_number, \
            variant_code, unit_of_measure_code, quantity, base_quantity, line_amount, \
            discount_amount, cost, currency_code, campaign_number, price_line_id, \
            discount_line_id, publication_version, baseline_amount) \
        SELECT new.id, new.type, new.document, new.line, new.date, new.contact, new.customer, \
            coalesce(named.company_number, named.number, customer.number), new.item, \
            new.variant, new.unit, new.quantity, \
            new.quantity * coalesce(quantity_per_unit, 1), new.amount, new.discount, \
            round(new.quantity * coalesce(quantity_per_unit, 1) * unit_cost, 5), new.currency, \
            new.campaign, new.price_line, new.discount_line, new.version, new.baseline \
        FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, \
            $18, $19) AS new(id, type, document, line, date, contact, customer, item, variant, \
            unit, \
            quantity, amount, discount, currency, campaign, price_line, discount_line, version, \
            baseline) \
        LEFT JOIN contacts AS named ON named.number = new.contact \
        LEFT JOIN contacts AS customer ON customer.customer_number = new.customer \
        LEFT JOIN items ON items.number = new.item \
        LEFT JOIN item_variants ON item_variants.item_number = new.item \
            AND item_variants.code = new.variant \
        LEFT JOIN item_units_of_measure AS units ON units.item_number = new.item \
            AND units.code = new.unit \
        WHERE coalesce(named.number, customer.number) IS NOT NULL \
            AND (new.variant IS NULL OR item_variants.code IS NOT NULL) \
            AND (new.unit IS NULL OR units.code IS NOT NULL)";
    let writes = || rows.iter().map(|row| &row.write);
    diesel::sql_query(statement)
        .bind::<Array<SqlUuid>, _>(rows.iter().map(|row| row.id).collect::<Vec<_>>())
        .bind::<Array<SqlText>, _>(column(writes(), |write| write.document_type))
        .bind::<Array<SqlText>, _>(column(writes(), |write| &write.document_number))
        .bind::<Array<Integer>, _>(column(writes(), |write| write.line_number))
        .bind::<Array<SqlDate>, _>(column(writes(), |write| write.posting_date))
        .bind::<Array<Nullable<SqlText>>, _>(column(writes(), |write| {
            write.contact_number.as_ref()
        }))
        .bind::<Array<Nullable<SqlText>>, _>(column(writes(), |write| {
            write.customer_number.as_ref()
        }))
        .bind::<Array<SqlText>, _>(column(writes(), |write| &write.item_number))
        .bind::<Array<Nullable<SqlText>>, _>(column(writes(), |write| write.variant_code.as_ref()))
        .bind::<Array<Nullable<SqlText>>, _>(column(writes(), |write| {
            write.unit_of_measure_code.as_ref()
        }))
        .bind::<Array<Numeric>, _>(column(writes(), |write| write.quantity))
        .bind::<Array<Numeric>, _>(column(writes(), |write| write.line_amount))
        .bind::<Array<Numeric>, _>(column(writes(), |write| write.discount_amount))
        .bind::<Array<Nullable<SqlText>>, _>(column(writes(), |write| write.currency_code.as_ref()))
        .bind::<Array<Nullable<SqlText>>, _>(column(writes(), |write| {
            write.campaign_number.as_ref()
        }))
        .bind::<Array<Nullable<SqlUuid>>, _>(column(writes(), |write| write.price_line_id))
        .bind::<Array<Nullable<SqlUuid>>, _>(column(writes(), |write| write.discount_line_id))
        .bind::<Array<Nullable<BigInt>>, _>(column(writes(), |write| write.publication_version))
        .bind::<Array<Nullable<Numeric>>, _>(
            rows.iter().map(|row| baselines.get(&row.id).copied()).collect::<Vec<_>>(),
        )
        .execute(conn)
        .await
}

/// Returns the problem with all missing references of a single line. For several lines it omits
/// them, because the rows are then retried one by one.
async fn reference_problem(
    conn: &mut AsyncPgConnection,
    rows: &[&RowWrite<SaleWrite>],
    reference_errors: Vec<FieldError>,
) -> QueryResult<Problem> {
    let mut errors = match rows {
        [row] => references::missing(conn, &Sales::references(&row.write)).await?,
        _ => Vec::new(),
    };
    errors.extend(reference_errors);
    Ok(Problem::with_errors(ProblemCode::ValidationFailed, errors))
}

//! Foreign currencies, and the precision to which amounts in them are rounded.

use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use values::{CurrencyCode, Key, Precision, Reference, Text};

use crate::platform::db::schema::currencies;
use crate::platform::http::constraints::Dependent;
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListQuery, ListSpec};
use crate::platform::http::problem::{FieldCode, FieldError, Problem};
use crate::platform::http::resource::{IfExists, Names, Resource, RowWrite, SaveError, ids_of};
use crate::platform::unit_of_work::UnitOfWork;

/// The writable fields of a currency.
#[derive(Debug, Clone, Deserr, Serialize, ToSchema)]
#[schema(as = CurrencyWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct CurrencyWrite {
    /// The code that contacts, lines and rates refer to.
    #[deserr(default)]
    pub code: Option<CurrencyCode>,
    /// The name of the currency.
    #[deserr(default)]
    #[serde(default)]
    pub description: Text<100>,
    /// The step to which unit prices are rounded.
    #[deserr(default = Precision::UNIT_AMOUNT)]
    #[serde(default)]
    #[schema(default = "0.00001")]
    pub unit_amount_precision: Precision,
    /// The step to which amounts of lines and documents are rounded.
    #[deserr(default = Precision::AMOUNT)]
    #[serde(default)]
    #[schema(default = "0.01")]
    pub amount_precision: Precision,
}

/// A currency.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[schema(as = Currency)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = currencies, check_for_backend(Pg))]
pub struct CurrencyView {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The code that contacts, lines and rates refer to.
    pub code: CurrencyCode,
    /// The name of the currency.
    pub description: Text<100>,
    /// The step to which unit prices are rounded.
    pub unit_amount_precision: Precision,
    /// The step to which amounts of lines and documents are rounded.
    pub amount_precision: Precision,
}

/// The resource `/v1/currencies`.
pub struct Currencies;

impl Resource for Currencies {
    const NAMES: Names = Names {
        path: "/v1/currencies",
        singular: "currency",
        plural: "currencies",
        one: "a currency",
        tag: "Reference data",
        key_field: Some("code"),
    };
    const LIST: ListSpec = ListSpec {
        fields: &[
            Field::new("id", FieldKind::Uuid, "currencies.id").not_null(),
            Field::new("code", FieldKind::Key, "currencies.code").not_null(),
            Field::new("description", FieldKind::Text, "currencies.description").not_null(),
            Field::new(
                "unitAmountPrecision",
                FieldKind::Decimal,
                "currencies.unit_amount_precision",
            )
            .not_null(),
            Field::new("amountPrecision", FieldKind::Decimal, "currencies.amount_precision")
                .not_null(),
        ],
        default_order: "code",
        tie: "code",
    };
    const HOLDERS: &'static [Dependent] = &[
        Dependent {
            what: "exchange rates",
            count: "SELECT count(*) AS count FROM exchange_rates WHERE currency_code = $1",
        },
        Dependent {
            what: "contacts",
            count: "SELECT count(*) AS count FROM contacts WHERE currency_code = $1",
        },
        Dependent {
            what: "price lines",
            count: "SELECT count(*) AS count FROM price_lines WHERE currency_code = $1",
        },
        Dependent {
            what: "discount lines",
            count: "SELECT count(*) AS count FROM discount_lines WHERE currency_code = $1",
        },
        Dependent {
            what: "golden quotes",
            count: "SELECT count(*) AS count FROM golden_quotes WHERE currency_code = $1",
        },
    ];
    type Scope = ();
    type Write = CurrencyWrite;
    type View = CurrencyView;

    async fn list(
        conn: &mut AsyncPgConnection,
        (): &(),
        list: &ListQuery,
    ) -> Result<Vec<Self::View>, Problem> {
        let query = currencies::table.select(CurrencyView::as_select()).into_boxed();
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
        Ok(currencies::table
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
        let by_id = currencies::id.nullable().eq(reference.id());
        let query = currencies::table
            .filter(by_id.or(currencies::code.nullable().eq(reference.key())))
            .select(CurrencyView::as_select());
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
        writes: &[CurrencyWrite],
    ) -> Result<Vec<Option<Uuid>>, Problem> {
        let codes: Vec<Option<Key>> = writes.iter().map(Self::key).collect();
        let known = currencies::table
            .filter(currencies::code.eq_any(codes.iter().flatten()))
            .select((currencies::code, currencies::id))
            .load(conn)
            .await?;
        Ok(ids_of(codes, known))
    }

    async fn save(
        work: &mut UnitOfWork,
        (): &(),
        rows: &[RowWrite<CurrencyWrite>],
        if_exists: IfExists,
    ) -> Result<(), SaveError> {
        use currencies as t;
        let mut values = Vec::with_capacity(rows.len());
        for RowWrite {
            id,
            write: CurrencyWrite { code, description, unit_amount_precision, amount_precision },
        } in rows
        {
            // `set_key` leaves the code empty if the key in the path is not a currency code.
            let Some(code) = code else {
                let detail = "a currency code is three letters";
                let error = FieldError::new("/code", FieldCode::InvalidKey, detail);
                return Err(Problem::from_errors(vec![error]).into());
            };
            work.changed_keys.currencies.insert(code.to_string());
            values.push((
                t::id.eq(*id),
                t::code.eq(code),
                t::description.eq(description),
                t::unit_amount_precision.eq(*unit_amount_precision),
                t::amount_precision.eq(*amount_precision),
            ));
        }
        let insert = diesel::insert_into(t::table).values(values);
        match if_exists {
            IfExists::Refuse => insert.execute(&mut work.conn).await?,
            IfExists::Replace => {
                insert
                    .on_conflict(t::code)
                    .do_update()
                    .set((
                        t::description.eq(excluded(t::description)),
                        t::unit_amount_precision.eq(excluded(t::unit_amount_precision)),
                        t::amount_precision.eq(excluded(t::amount_precision)),
                    ))
                    .execute(&mut work.conn)
                    .await?
            }
        };
        Ok(())
    }

    async fn delete(work: &mut UnitOfWork, (): &(), view: &Self::View) -> Result<(), SaveError> {
        diesel::delete(currencies::table.find(view.id)).execute(&mut work.conn).await?;
        work.changed_keys.currencies.insert(view.code.to_string());
        Ok(())
    }

    fn id(view: &Self::View) -> Uuid {
        view.id
    }

    fn write_of(view: &Self::View) -> CurrencyWrite {
        CurrencyWrite {
            code: Some(view.code.clone()),
            description: view.description.clone(),
            unit_amount_precision: view.unit_amount_precision,
            amount_precision: view.amount_precision,
        }
    }

    fn key(write: &CurrencyWrite) -> Option<Key> {
        write.code.clone().map(Key::from)
    }

    fn set_key(write: &mut CurrencyWrite, key: Key) {
        write.code = CurrencyCode::parse(key.as_str()).ok();
    }
}

//! Exchange rates: foreign units for one unit of local currency, from a date on.

use std::collections::HashMap;

use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;
use values::{CurrencyCode, Date, ExchangeRate};

use crate::platform::http::access::scope::Area;
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListSpec};
use crate::platform::http::problem::Problem;
use crate::references::{NamedReference, ReferenceKind, named};
use crate::resource::constraints::Constraint;
use crate::resource::table::{save_rows, table_rows, write_of_view};
use crate::resource::{IfExists, Names, Resource, RowWrite, SaveError};
use crate::schema::exchange_rates;
use crate::unit_of_work::UnitOfWork;

/// The writable fields of an exchange rate.
#[derive(Debug, Clone, Deserr, Serialize, ToSchema)]
#[schema(as = ExchangeRateWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct ExchangeRateWrite {
    /// The foreign currency.
    pub currency_code: CurrencyCode,
    /// The first day on which the rate applies, until the next rate of the currency starts.
    // Spelled out because utoipa treats every type named `Date` as its own.
    #[schema(value_type = String, format = Date, max_length = 10, example = "2031-05-15")]
    pub starting_date: Date,
    /// The number of foreign units for one unit of local currency.
    pub rate: ExchangeRate,
}

/// An exchange rate.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[schema(as = ExchangeRate)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = exchange_rates, check_for_backend(Pg))]
pub struct ExchangeRateView {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The foreign currency.
    pub currency_code: CurrencyCode,
    /// The first day on which the rate applies, until the next rate of the currency starts.
    // Spelled out because utoipa treats every type named `Date` as its own.
    #[schema(value_type = String, format = Date, max_length = 10, example = "2031-05-15")]
    pub starting_date: Date,
    /// The number of foreign units for one unit of local currency.
    pub rate: ExchangeRate,
}

/// The resource `/v1/exchange-rates`.
pub struct ExchangeRates;

impl Resource for ExchangeRates {
    const NAMES: Names = Names {
        path: "/v1/exchange-rates",
        singular: "exchange_rate",
        plural: "exchange_rates",
        one: "an exchange rate",
        tag: "Reference data",
        area: Area::Catalog,
        key_field: None,
    };
    const LIST: ListSpec = ListSpec {
        fields: &[
            Field::new("id", FieldKind::Uuid, "exchange_rates.id").not_null(),
            Field::new("currencyCode", FieldKind::Key, "exchange_rates.currency_code").not_null(),
            Field::new("startingDate", FieldKind::Date, "exchange_rates.starting_date").not_null(),
            Field::new("rate", FieldKind::Decimal, "exchange_rates.rate").not_null(),
        ],
        default_order: "currencyCode,startingDate",
        tie: "id",
    };
    const CONSTRAINTS: &'static [Constraint] =
        &[Constraint::taken("exchange_rates_currency_date_key", "/startingDate")];
    type Scope = ();
    type Write = ExchangeRateWrite;
    type View = ExchangeRateView;

    table_rows! { exchange_rates by id }
    write_of_view! { currency_code, starting_date, rate }

    /// Matches by currency and starting date. Of several writes with the same pair only the first
    /// gets the id. The constraint then refuses the others, so that none silently overwrites
    /// another.
    async fn existing(
        conn: &mut AsyncPgConnection,
        (): &(),
        writes: &[ExchangeRateWrite],
    ) -> Result<Vec<Option<Uuid>>, Problem> {
        let currencies = writes.iter().map(|write| &write.currency_code);
        let dates = writes.iter().map(|write| write.starting_date);
        // The query selects every combination of the currencies and dates, a superset of the
        // requested pairs.
        let known = exchange_rates::table
            .filter(
                exchange_rates::currency_code
                    .eq_any(currencies)
                    .and(exchange_rates::starting_date.eq_any(dates)),
            )
            .select((
                exchange_rates::currency_code,
                exchange_rates::starting_date,
                exchange_rates::id,
            ))
            .load::<(CurrencyCode, Date, Uuid)>(conn)
            .await?;
        let mut known: HashMap<(CurrencyCode, Date), Uuid> =
            known.into_iter().map(|(currency, date, id)| ((currency, date), id)).collect();
        Ok(writes
            .iter()
            .map(|write| known.remove(&(write.currency_code.clone(), write.starting_date)))
            .collect())
    }

    fn placeholders() -> Value {
        json!({ "rate": "1" })
    }

    async fn save(
        work: &mut UnitOfWork,
        (): &(),
        rows: &[RowWrite<ExchangeRateWrite>],
        if_exists: IfExists,
    ) -> Result<(), SaveError> {
        use exchange_rates as t;
        let ids = rows.iter().map(|row| row.id);
        let before = t::table.filter(t::id.eq_any(ids)).select(t::currency_code);
        work.changed_keys.exchange_rates.extend(before.load::<String>(&mut work.conn).await?);
        // The id identifies the row even if currency or date change. The constraint on currency and
        // date refuses a conflict with another row.
        save_rows!(
            &mut work.conn, rows, if_exists, exchange_rates by id:
            currency_code, starting_date, rate
        )?;
        work.changed_keys
            .exchange_rates
            .extend(rows.iter().map(|row| row.write.currency_code.to_string()));
        Ok(())
    }

    async fn delete(work: &mut UnitOfWork, (): &(), view: &Self::View) -> Result<(), SaveError> {
        diesel::delete(exchange_rates::table.find(view.id)).execute(&mut work.conn).await?;
        work.changed_keys.exchange_rates.insert(view.currency_code.to_string());
        Ok(())
    }

    fn references(write: &ExchangeRateWrite) -> Vec<NamedReference> {
        named("/currencyCode", ReferenceKind::Currency, Some(&write.currency_code))
            .into_iter()
            .collect()
    }
}

//! Foreign currencies, and the precision to which amounts in them are rounded.

use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use values::{CurrencyCode, Key, Precision, Text};

use crate::platform::http::access::scope::Area;
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListSpec};
use crate::platform::http::problem::{FieldCode, FieldError, Problem};
use crate::resource::constraints::{Constraint, Dependent};
use crate::resource::table::{save_rows, table_rows, write_of_view};
use crate::resource::{IfExists, Names, Resource, RowWrite, SaveError};
use crate::schema::currencies;
use crate::unit_of_work::UnitOfWork;

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
        area: Area::Catalog,
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
    const CONSTRAINTS: &'static [Constraint] = &[Constraint::taken("currencies_code_key", "/code")];
    const DEPENDENTS: &'static [Dependent] = &[
        Dependent::new("exchange rates", "exchange_rates WHERE currency_code = $1"),
        Dependent::new("contacts", "contacts WHERE currency_code = $1"),
        Dependent::new("price lines", "price_lines WHERE currency_code = $1"),
        Dependent::new("discount lines", "discount_lines WHERE currency_code = $1"),
        Dependent::new("golden quotes", "golden_quotes WHERE currency_code = $1"),
    ];
    type Scope = ();
    type Write = CurrencyWrite;
    type View = CurrencyView;

    table_rows! { currencies by code }
    write_of_view! { code, description, unit_amount_precision, amount_precision }

    async fn save(
        work: &mut UnitOfWork,
        (): &(),
        rows: &[RowWrite<CurrencyWrite>],
        if_exists: IfExists,
    ) -> Result<(), SaveError> {
        for row in rows {
            // `set_key` leaves the code empty if the key in the path is not a currency code.
            let Some(code) = &row.write.code else {
                let detail = "a currency code is three letters";
                let error = FieldError::new("/code", FieldCode::InvalidKey, detail);
                return Err(Problem::from_errors(vec![error]).into());
            };
            work.changed_keys.currencies.insert(code.to_string());
        }
        save_rows!(
            &mut work.conn, rows, if_exists, currencies by code:
            description, unit_amount_precision, amount_precision
        )?;
        Ok(())
    }

    async fn delete(work: &mut UnitOfWork, (): &(), view: &Self::View) -> Result<(), SaveError> {
        diesel::delete(currencies::table.find(view.id)).execute(&mut work.conn).await?;
        work.changed_keys.currencies.insert(view.code.to_string());
        Ok(())
    }

    fn key(write: &CurrencyWrite) -> Option<Key> {
        write.code.clone().map(Key::from)
    }

    fn set_key(write: &mut CurrencyWrite, key: Key) {
        write.code = CurrencyCode::parse(key.as_str()).ok();
    }
}

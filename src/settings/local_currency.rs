//! Changes of the local currency. Amounts without a currency code are in it, so it can change only
//! while there are none.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use values::CurrencyCode;

use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};
use crate::unit_of_work::UnitOfWork;

/// Waits for concurrent changes of amounts, and holds off later ones until the transaction ends.
/// The counter of the book comes last, as everywhere.
const LOCK: &str = "LOCK TABLE items, exchange_rates, price_lines, discount_lines, golden_quotes, \
     sales, interaction_templates, interactions, opportunities, contacts IN SHARE MODE; \
     SELECT version FROM book FOR UPDATE";

/// Counts the rows with amounts in local currency, by kind. `$1` is the new currency: a discount in
/// it would apply to every currency from then on. An exchange rate is a price of the local
/// currency. A line can be published without being in the drafts.
const AMOUNTS: &str = "
    SELECT * FROM (VALUES
        ('items with a list price or a cost', (SELECT count(*) FROM items
            WHERE list_price IS NOT NULL OR unit_cost IS NOT NULL)),
        ('exchange rates', (SELECT count(*) FROM exchange_rates)),
        ('price lines', (SELECT count(*) FROM price_lines)),
        ('published price lines', (SELECT count(*) FROM book_entries
            WHERE kind = 'PRICE_LINE' AND to_version IS NULL)),
        ('discount lines in the new currency', (SELECT count(*) FROM discount_lines
            WHERE currency_code = $1)),
        ('golden quotes', (SELECT count(*) FROM golden_quotes
            WHERE unit_price IS NOT NULL OR line_amount IS NOT NULL)),
        ('posted sales lines', (SELECT count(*) FROM sales)),
        ('interaction templates with a cost', (SELECT count(*) FROM interaction_templates
            WHERE cost > 0)),
        ('interactions with a cost', (SELECT count(*) FROM interactions WHERE cost > 0)),
        ('opportunities with a value', (SELECT count(*) FROM opportunities
            WHERE estimated_value > 0))
    ) AS amounts (what, count) WHERE count > 0";

/// Contacts in the new local currency. Their code is cleared, as it is on every write.
const CONTACTS: &str = "UPDATE contacts SET currency_code = NULL WHERE currency_code = $1
    RETURNING number";

#[derive(QueryableByName)]
struct Amounts {
    #[diesel(sql_type = Text)]
    what: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = Text)]
    number: String,
}

/// Prepares the change of the local currency to `code`.
///
/// # Errors
/// 409 with all kinds of amounts that exist.
pub(super) async fn change(work: &mut UnitOfWork, code: &CurrencyCode) -> Result<(), Problem> {
    work.conn.batch_execute(LOCK).await?;
    let amounts: Vec<Amounts> =
        diesel::sql_query(AMOUNTS).bind::<Text, _>(code).load(&mut work.conn).await?;
    if !amounts.is_empty() {
        let errors = amounts.into_iter().map(|Amounts { what, count }| {
            let detail = format!("there are {count} {what}");
            FieldError::new("/localCurrencyCode", FieldCode::AmountsExist, detail)
                .param("what", what)
                .param("count", count)
        });
        let detail = format!(
            "amounts are in the local currency and are not converted, so it cannot become {code}; \
             delete the amounts first, or load them converted into an empty database whose local \
             currency is {code}"
        );
        return Err(Problem {
            detail,
            ..Problem::with_errors(ProblemCode::AmountsExist, errors.collect())
        });
    }
    let contacts: Vec<Number> =
        diesel::sql_query(CONTACTS).bind::<Text, _>(code).load(&mut work.conn).await?;
    work.changed_keys.contacts.extend(contacts.into_iter().map(|contact| contact.number));
    Ok(())
}

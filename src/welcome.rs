//! The next steps for somebody who has just started the service on an empty database.

use std::io::{Write as _, stdout};
use std::net::SocketAddr;

use diesel::dsl::sql;
use diesel::sql_types::Bool;
use diesel_async::RunQueryDsl;

use crate::platform::db::pool::Pool;

/// Prints the next steps if the database has no items and no contacts.
pub async fn greet(pool: &Pool, address: SocketAddr) {
    match is_empty(pool).await {
        // Nobody may be there to read it, and the service does not depend on it.
        Ok(true) => drop(stdout().write_all(next_steps(address).as_bytes())),
        Ok(false) => {}
        Err(error) => {
            tracing::debug!(error = %format!("{error:#}"), "the database cannot be checked for data")
        }
    }
}

async fn is_empty(pool: &Pool) -> anyhow::Result<bool> {
    let query = "NOT EXISTS (SELECT FROM items) AND NOT EXISTS (SELECT FROM contacts)";
    let mut conn = pool.get().await?;
    Ok(diesel::select(sql::<Bool>(query)).get_result(&mut *conn).await?)
}

fn next_steps(address: SocketAddr) -> String {
    format!(
        "
The database has no items and no contacts yet. Next steps:

    open the desk in a browser   http://{address}/desk/
    read the documentation       http://{address}/docs/
    load an example company      stop the service and start it with `demo` instead of `serve`
    create the first item        curl -X PUT http://{address}/v1/items/DESK \\
                                     -H 'content-type: application/json' \\
                                     -d '{{\"description\": \"Desk\", \"listPrice\": \"400\"}}'
    run a first campaign         README.md, \"A first campaign\"

"
    )
}

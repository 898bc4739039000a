//! A hash of all tables of a database, to prove that a request changed nothing.

use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::app::TestApp;

pub struct DataHash {
    conn: AsyncPgConnection,
    /// The query that computes the hash.
    query: String,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    hash: String,
}

impl DataHash {
    pub async fn new(app: &TestApp) -> Self {
        let mut conn = app.connection().await;
        let tables = "SELECT string_agg(format(
                'SELECT %L
                    || md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '''')) AS one
                FROM %I AS t',
                relname, relname), ' UNION ALL ') AS hash
            FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
        let tables: Row = diesel::sql_query(tables).get_result(&mut conn).await.unwrap();
        let query = format!(
            "SELECT string_agg(one, ' ' ORDER BY one) AS hash FROM ({}) AS tables",
            tables.hash
        );
        Self { conn, query }
    }

    pub async fn now(&mut self) -> String {
        diesel::sql_query(&self.query).get_result::<Row>(&mut self.conn).await.unwrap().hash
    }
}

//! Secrets that all replicas share. The first replica creates them.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::schema::service_secrets;

/// Returns the secret with this name, and creates it if there is none.
///
/// # Errors
/// When the database fails.
pub async fn get_or_create(conn: &mut AsyncPgConnection, name: &str) -> QueryResult<Vec<u8>> {
    // Two random UUIDs: 244 bits from the operating system.
    let fresh = [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes).concat();
    diesel::insert_into(service_secrets::table)
        .values((service_secrets::name.eq(name), service_secrets::secret.eq(fresh)))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    service_secrets::table.find(name).select(service_secrets::secret).first(conn).await
}

#[cfg(test)]
mod tests {
    use super::super::migrations::migrate;
    use super::super::pool::connect;
    use super::super::testing::Server;
    use super::*;

    #[tokio::test]
    async fn all_callers_get_the_same_secret() {
        let server = Server::start("secrets");
        migrate(&server.url(), None).unwrap();
        let url = server.url();
        let get = async |name: &str| {
            get_or_create(&mut connect(&url).await.unwrap(), name).await.unwrap()
        };
        let (one, same, other) = tokio::join!(get("a"), get("a"), get("b"));
        assert_eq!(one, same);
        assert_eq!(one.len(), 32);
        assert_ne!(one, other);
        assert_eq!(get("a").await, one);
    }
}

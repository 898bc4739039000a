//! Macros for resources whose rows are those of one table. They write the methods of
//! [`Resource`](super::Resource) that differ only in names of tables and columns; diesel
//! has no types with which a generic function could.
//!
//! | macro | writes |
//! | --- | --- |
//! | `table_resource!` | all methods of a resource whose fields are the columns of a table |
//! | `table_rows!` | `list`, `count`, `find`, `find_many`, `existing` and `id` |
//! | `key_field!` | `key` and `set_key` |
//! | `write_of_view!` | `write_of` |
//! | `save_rows!` | the statement of `save`, if the fields are columns |
//! | `column_values!` | values of columns with the names of fields |
//! | `upsert!` | the statement of `save` for given values |
//!
//! `salespeople` needs the first alone, `contacts` the others, and `lines` shows the
//! restriction to a scope. A method with a rule of its own is written by hand instead.
//!
//! A file that uses them imports `diesel::prelude::*` and `diesel_async::RunQueryDsl`.

/// Writes all methods of a resource without changed keys. Its writable fields are the listed
/// columns and the key, under the same names in the table, the write and the view.
///
/// ```ignore
/// table_resource! { salespeople by code: name, email, blocked }
/// ```
macro_rules! table_resource {
    ($table:ident by $key:ident: $($column:ident),+ $(,)?) => {
        $crate::resource::table::table_rows! { $table by $key }
        $crate::resource::table::key_field! { $key }
        $crate::resource::table::write_of_view! { $key, $($column),+ }

        async fn save(
            work: &mut $crate::unit_of_work::UnitOfWork,
            _: &Self::Scope,
            rows: &[$crate::resource::RowWrite<Self::Write>],
            if_exists: $crate::resource::IfExists,
        ) -> Result<(), $crate::resource::SaveError> {
            $crate::resource::table::save_rows!(
                &mut work.conn, rows, if_exists, $table by $key: $($column),+
            )?;
            Ok(())
        }

        async fn delete(
            work: &mut $crate::unit_of_work::UnitOfWork,
            _: &Self::Scope,
            view: &Self::View,
        ) -> Result<(), $crate::resource::SaveError> {
            ::diesel::delete($table::table.find(view.id)).execute(&mut work.conn).await?;
            Ok(())
        }
    };
}

/// Writes the methods that read the rows of a table: `list`, `count`, `find`, `find_many` and `id`,
/// and `existing` if the resource has a key. A resource without key is read `by id`.
///
/// The view is the row, unless `from` names the type of the rows and builds the views of several.
/// `where` restricts the rows to those of the scope.
///
/// ```ignore
/// table_rows! { currencies by code }
/// table_rows! { items by number, from Row: |conn, _scope, rows| views(conn, rows).await? }
/// table_rows! {
///     golden_quotes by id,
///     where |campaign| golden_quotes::campaign_number.eq(&campaign.number)
/// }
/// ```
macro_rules! table_rows {
    ($($arguments:tt)+) => {
        $crate::resource::table::table_reads! { $($arguments)+ }

        fn id(view: &Self::View) -> ::uuid::Uuid {
            view.id
        }
    };
}

/// Writes the methods of [`table_rows!`] except `id`.
macro_rules! table_reads {
    (
        $table:ident by $key:ident
        $(, from $row:ty: |$conn:ident, $row_scope:ident, $rows:ident| $views:expr)?
        $(, where |$scope:ident| $condition:expr)?
    ) => {
        async fn list(
            conn: &mut ::diesel_async::AsyncPgConnection,
            scope: &Self::Scope,
            list: &$crate::platform::http::list::ListQuery,
        ) -> Result<Vec<Self::View>, $crate::platform::http::problem::Problem> {
            let query = $table::table
                .select($crate::resource::table::columns_of!($($row)?))
                .into_boxed();
            let _ = scope;
            $(let $scope = scope; let query = query.filter($condition);)?
            let rows: Vec<$crate::resource::table::row_type!($($row)?)> = query
                .filter(list.condition())
                .order(list.ordering())
                .limit(list.limit())
                .offset(list.offset())
                .load(conn)
                .await?;
            $(
                let ($conn, $row_scope, $rows) = (conn, scope, rows);
                let rows: Vec<Self::View> = $views;
            )?
            Ok(rows)
        }

        async fn count(
            conn: &mut ::diesel_async::AsyncPgConnection,
            scope: &Self::Scope,
            list: &$crate::platform::http::list::ListQuery,
        ) -> Result<i64, $crate::platform::http::problem::Problem> {
            let query = $table::table.count().into_boxed();
            let _ = scope;
            $(let $scope = scope; let query = query.filter($condition);)?
            Ok(query.filter(list.filter_condition()).get_result(conn).await?)
        }

        async fn find(
            conn: &mut ::diesel_async::AsyncPgConnection,
            scope: &Self::Scope,
            reference: &::values::Reference,
            lock: bool,
        ) -> Result<Option<Self::View>, $crate::platform::http::problem::Problem> {
            let query = $table::table
                .filter($crate::resource::table::is_named!($table by $key, reference))
                .select($crate::resource::table::columns_of!($($row)?));
            $(let $scope = scope; let query = query.filter($condition);)?
            let found = if lock {
                Self::lock_first(conn, scope, std::slice::from_ref(reference)).await?;
                query.for_no_key_update().first(conn).await
            } else {
                query.first(conn).await
            };
            let found: Option<$crate::resource::table::row_type!($($row)?)> =
                found.optional()?;
            $(
                let ($conn, $row_scope) = (conn, scope);
                let $rows: Vec<_> = found.into_iter().collect();
                let views: Vec<Self::View> = $views;
                let found = views.into_iter().next();
            )?
            Ok(found)
        }

        async fn find_many(
            conn: &mut ::diesel_async::AsyncPgConnection,
            scope: &Self::Scope,
            ids: &[::uuid::Uuid],
        ) -> Result<Vec<Self::View>, $crate::platform::http::problem::Problem> {
            if ids.is_empty() {
                return Ok(Vec::new());
            }
            let references: Vec<_> = ids.iter().copied().map(::values::Reference::Id).collect();
            Self::lock_first(conn, scope, &references).await?;
            let query = $table::table
                .filter($table::id.eq_any(ids))
                .select($crate::resource::table::columns_of!($($row)?));
            $(let $scope = scope; let query = query.filter($condition);)?
            let rows: Vec<$crate::resource::table::row_type!($($row)?)> =
                query.order($table::$key).for_no_key_update().load(conn).await?;
            $(
                let ($conn, $row_scope, $rows) = (conn, scope, rows);
                let rows: Vec<Self::View> = $views;
            )?
            Ok(rows)
        }

        $crate::resource::table::existing_by_key! {
            $table by $key $(, where |$scope| $condition)?
        }
    };
}

/// Writes `existing` for a resource with a key, and nothing for one without.
macro_rules! existing_by_key {
    ($table:ident by id $(, where |$scope:ident| $condition:expr)?) => {};
    ($table:ident by $key:ident $(, where |$scope:ident| $condition:expr)?) => {
        async fn existing(
            conn: &mut ::diesel_async::AsyncPgConnection,
            scope: &Self::Scope,
            writes: &[Self::Write],
        ) -> Result<Vec<Option<::uuid::Uuid>>, $crate::platform::http::problem::Problem> {
            let keys: Vec<Option<::values::Key>> = writes.iter().map(Self::key).collect();
            let query = $table::table.filter($table::$key.eq_any(keys.iter().flatten()));
            let _ = scope;
            $(let $scope = scope; let query = query.filter($condition);)?
            let known = query.select(($table::$key, $table::id)).load(conn).await?;
            Ok($crate::resource::ids_of(keys, known))
        }
    };
}

/// Builds the condition for the row that a reference names.
macro_rules! is_named {
    ($table:ident by id, $reference:expr) => {
        $table::id.nullable().eq($reference.id())
    };
    ($table:ident by $key:ident, $reference:expr) => {
        $table::id.nullable().eq($reference.id()).or($table::$key.nullable().eq($reference.key()))
    };
}

/// Returns the type of the rows: the given one, or the view.
macro_rules! row_type {
    () => {
        Self::View
    };
    ($row:ty) => {
        $row
    };
}

/// Selects the columns of the rows.
macro_rules! columns_of {
    ($($row:ty)?) => {
        <$crate::resource::table::row_type!($($row)?)
            as ::diesel::SelectableHelper<::diesel::pg::Pg>>::as_select()
    };
}

/// Writes `key` and `set_key` for a key in the field of this name.
macro_rules! key_field {
    ($key:ident) => {
        fn key(write: &Self::Write) -> Option<::values::Key> {
            write.$key.clone()
        }

        fn set_key(write: &mut Self::Write, key: ::values::Key) {
            write.$key = Some(key);
        }
    };
}

/// Writes `write_of`: all fields of the write, which have the same names in the view. A field that
/// is optional only in the write is converted.
macro_rules! write_of_view {
    ($($field:ident),+ $(,)?) => {
        fn write_of(view: &Self::View) -> Self::Write {
            let view = view.clone();
            Self::Write { $($field: view.$field.into()),+ }
        }
    };
}

/// Inserts or replaces rows whose fields are columns of the same names, in the order of their keys:
/// one order everywhere prevents deadlocks between concurrent batches. `author` records the caller
/// in tables with `created_by`, `updated_by` and `updated_at`. Returns the result of the statement.
macro_rules! save_rows {
    (
        $conn:expr, $rows:expr, $if_exists:expr, $([author $author:expr],)?
        $table:ident by id: $($column:ident),+ $(,)?
    ) => {{
        let mut rows: Vec<&$crate::resource::RowWrite<_>> = $rows.iter().collect();
        rows.sort_by_key(|row| row.id);
        let values: Vec<_> = rows
            .into_iter()
            .map(|$crate::resource::RowWrite { id, write }| {
                (
                    $table::id.eq(*id),
                    $crate::resource::table::column_values!($table, write: $($column),+),
                    $($crate::resource::table::author_values!($table, $author),)?
                )
            })
            .collect();
        $crate::resource::table::upsert!(
            $conn, values, $if_exists, $([author $author],)? $table by id: $($column),+
        )
    }};
    (
        $conn:expr, $rows:expr, $if_exists:expr, $([author $author:expr],)?
        $table:ident by $key:ident: $($column:ident),+ $(,)?
    ) => {{
        let mut rows: Vec<&$crate::resource::RowWrite<_>> = $rows.iter().collect();
        rows.sort_by_key(|row| &row.write.$key);
        let values: Vec<_> = rows
            .into_iter()
            .map(|$crate::resource::RowWrite { id, write }| {
                (
                    $table::id.eq(*id),
                    write.$key.as_ref().map(|key| $table::$key.eq(key)),
                    $crate::resource::table::column_values!($table, write: $($column),+),
                    $($crate::resource::table::author_values!($table, $author),)?
                )
            })
            .collect();
        $crate::resource::table::upsert!(
            $conn, values, $if_exists, $([author $author],)? $table by $key: $($column),+
        )
    }};
}

/// Sets columns to the fields of the same names, as part of the values of a row.
macro_rules! column_values {
    ($table:ident, $write:ident: $($column:ident),+ $(,)?) => {
        ($($table::$column.eq(&$write.$column),)+)
    };
}

/// Sets the columns with the author of a row, as part of its values. The time is a default.
macro_rules! author_values {
    ($table:ident, $author:expr) => {
        ($table::created_by.eq($author), $table::updated_by.eq($author))
    };
}

/// Inserts values. If rows with the same key may exist, replaces the listed columns of these.
/// Returns the result of the statement.
macro_rules! upsert {
    (
        $conn:expr, $values:expr, $if_exists:expr, [author $author:expr],
        $table:ident by $($key:ident),+: $($column:ident),+ $(,)?
    ) => {
        $crate::resource::table::upsert!(
            $conn, $values, $if_exists, $table by $($key),+:
            $($column,)+ updated_by, updated_at
        )
    };
    (
        $conn:expr, $values:expr, $if_exists:expr,
        $table:ident by $($key:ident),+: $($column:ident),+ $(,)?
    ) => {{
        let insert = ::diesel::insert_into($table::table).values($values);
        match $if_exists {
            $crate::resource::IfExists::Refuse => insert.execute($conn).await,
            $crate::resource::IfExists::Replace => {
                insert
                    .on_conflict(($($table::$key),+))
                    .do_update()
                    .set($crate::resource::table::excluded_columns!($table: $($column),+))
                    .execute($conn)
                    .await
            }
        }
    }};
}

/// Sets columns to the values of the row that was not inserted, for `ON CONFLICT DO UPDATE`.
macro_rules! excluded_columns {
    ($table:ident: $($column:ident),+ $(,)?) => {
        ($($table::$column.eq(::diesel::upsert::excluded($table::$column)),)+)
    };
}

pub(crate) use {
    author_values, column_values, columns_of, excluded_columns, existing_by_key, is_named,
    key_field, row_type, save_rows, table_reads, table_resource, table_rows, upsert, write_of_view,
};

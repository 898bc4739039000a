//! The resource that price lines and discount lines share.

/// Implements the resource of one kind of lines, in both collections ([`LineScope`]). The kinds
/// differ in the columns of what they are for (`targets`) and of what they grant (`values`), and
/// in the source type that they cannot have (`foreign`).
///
/// [`LineScope`]: super::LineScope
macro_rules! line_resource {
    (
        $(#[$doc:meta])*
        $lines:ident {
            table: $table:ident,
            names: $names:ident,
            write: $write:ident,
            view: $view:ident,
            foreign: $foreign:expr,
            placeholders: $placeholders:tt,
            targets: [$($target:ident),+],
            target_fields: [$($target_field:expr),+ $(,)?],
            values: [$($value:ident),+],
            value_fields: [$($value_field:expr),+ $(,)?],
        }
    ) => {
        $(#[$doc])*
        pub struct $lines<P>(std::marker::PhantomData<P>);

        const _: () = {
            use ::diesel::sql_types::Bool;
            use ::diesel_async::AsyncPgConnection;
            use ::uuid::Uuid;
            use $crate::lines::resource::column;
            use $crate::lines::{
                Conditions, CurrentLines, LineScope, existing, record_changes, record_written,
                rows_to_write,
            };
            use $crate::campaigns::period_constraint;
            use $crate::references::NamedReference;
            use $crate::resource::constraints::Constraint;
            use $crate::platform::http::list::ListSpec;
            use $crate::platform::http::problem::{FieldError, Problem, ProblemCode};
            use $crate::resource::{
                IfExists, Names, Resource, RowWrite, SaveError,
            };
            use $crate::resource::table::{author_values, column_values, table_rows, upsert};
            use $crate::unit_of_work::UnitOfWork;

            impl<P: LineScope> Resource for $lines<P> {
                const NAMES: Names = P::$names;
                const LIST: ListSpec = ListSpec {
                    fields: &[
                        Field::new("id", FieldKind::Uuid, column!($table.id)).not_null(),
                        Field::new(
                            "source.type",
                            FieldKind::Enum(SourceType::TEXTS),
                            column!($table.source_type),
                        )
                        .not_null(),
                        Field::new(
                            "source.campaignNumber",
                            FieldKind::Key,
                            column!($table.campaign_number),
                        ),
                        Field::new(
                            "source.contactNumber",
                            FieldKind::Key,
                            column!($table.contact_number),
                        ),
                        Field::new("source.code", FieldKind::Key, column!($table.group_code)),
                        $($target_field,)+
                        Field::new("variantCode", FieldKind::Key, column!($table.variant_code)),
                        Field::new(
                            "unitOfMeasureCode",
                            FieldKind::Key,
                            column!($table.unit_of_measure_code),
                        ),
                        Field::new("currencyCode", FieldKind::Key, column!($table.currency_code)),
                        Field::new(
                            "minimumQuantity",
                            FieldKind::Decimal,
                            column!($table.minimum_quantity),
                        )
                        .not_null(),
                        Field::new("startingDate", FieldKind::Date, column!($table.starting_date)),
                        Field::new("endingDate", FieldKind::Date, column!($table.ending_date)),
                        $($value_field,)+
                        Field::new("createdBy", FieldKind::Text, column!($table.created_by))
                            .not_null(),
                        Field::new("updatedBy", FieldKind::Text, column!($table.updated_by))
                            .not_null(),
                        Field::new("updatedAt", FieldKind::Instant, column!($table.updated_at))
                            .not_null(),
                    ],
                    default_order: "id",
                    tie: "id",
                };
                const CONSTRAINTS: &'static [Constraint] = &[
                Constraint::exists(
                    concat!(stringify!($table), "_duplicate"),
                    ProblemCode::DuplicateLine,
                    "",
                    "a line alike in source, item, variant, unit, currency and minimum quantity \
                     overlaps in its dates",
                ),
                period_constraint(concat!(stringify!($table), "_period")),
            ];
            type Scope = P;
                type Write = $write;
                type View = $view;

                table_rows! {
                    $table by id,
                    where |scope| {
                        let campaign = scope.campaign();
                        $table::campaign_number
                            .eq(campaign)
                            .or(campaign.is_none().into_sql::<Bool>())
                    }
                }

                async fn existing(
                    conn: &mut AsyncPgConnection,
                    scope: &P,
                    writes: &[$write],
                ) -> Result<Vec<Option<Uuid>>, Problem> {
                    let rows: Vec<Conditions<'_>> = writes.iter().map($write::conditions).collect();
                    existing(conn, stringify!($table), scope, &rows).await
                }

                async fn save(
                    work: &mut UnitOfWork,
                    scope: &P,
                    rows: &[RowWrite<$write>],
                    if_exists: IfExists,
                ) -> Result<(), SaveError> {
                    let views: Vec<$view> = $table::table
                        .filter($table::id.eq_any(rows.iter().map(|row| row.id)))
                        .select($view::as_select())
                        .load(&mut work.conn)
                        .await?;
                    let current: CurrentLines<$write> = views
                        .into_iter()
                        .map(|view| {
                            (view.id, (view.source.campaign_number.clone(), Self::write_of(&view)))
                        })
                        .collect();
                    let rows = rows_to_write(scope, rows, |write| write.source.as_ref(), &current)?;
                    if rows.is_empty() {
                        return Ok(());
                    }
                    let values: Vec<_> = rows
                        .iter()
                        .map(|(source, RowWrite { id, write })| {
                            (
                                $table::id.eq(*id),
                                $table::source_type.eq(source.type_),
                                $table::campaign_number.eq(source.campaign_number.as_ref()),
                                $table::contact_number.eq(source.contact_number.as_ref()),
                                $table::group_code.eq(source.code.as_ref()),
                                column_values!($table, write:
                                $($target,)+ variant_code, unit_of_measure_code, currency_code,
                                minimum_quantity, starting_date, ending_date, $($value),+),
                                author_values!($table, &work.author),
                            )
                        })
                        .collect();
                    upsert!(
                        &mut work.conn, values, if_exists, [author &work.author], $table by id:
                        source_type, campaign_number, contact_number, group_code, $($target,)+
                        variant_code, unit_of_measure_code, currency_code, minimum_quantity,
                        starting_date, ending_date, $($value),+
                    )?;
                    record_written(work, |changed| &mut changed.$table, &rows, &current);
                    Ok(())
                }

                async fn delete(
                    work: &mut UnitOfWork,
                    _: &P,
                    view: &Self::View,
                ) -> Result<(), SaveError> {
                    diesel::delete($table::table.find(view.id)).execute(&mut work.conn).await?;
                    record_changes(
                        work,
                        |changed| &mut changed.$table,
                        [(view.id, view.source.campaign_number.as_ref())],
                    );
                    Ok(())
                }

                fn write_of(view: &Self::View) -> $write {
                    let view = view.clone();
                    $write {
                        source: P::source_in_write(&view.source),
                        $($target: view.$target,)+
                        variant_code: view.variant_code,
                        unit_of_measure_code: view.unit_of_measure_code,
                        currency_code: view.currency_code,
                        minimum_quantity: view.minimum_quantity,
                        starting_date: view.starting_date,
                        ending_date: view.ending_date,
                        $($value: view.$value),+
                    }
                }

                fn placeholders() -> ::serde_json::Value {
                    ::serde_json::json!($placeholders)
                }

                fn row_identity(write: &$write) -> Option<String> {
                    Some(write.conditions().identity())
                }

                fn rules(write: &$write, scope: &P) -> Vec<FieldError> {
                    write.conditions().rules(scope, $foreign)
                }

                fn references(write: &$write) -> Vec<NamedReference> {
                    write.conditions().references()
                }
            }
        };
    };
}

/// The name of a column in SQL.
macro_rules! column {
    ($table:ident.$column:ident) => {
        concat!(stringify!($table), ".", stringify!($column))
    };
}

pub(super) use {column, line_resource};

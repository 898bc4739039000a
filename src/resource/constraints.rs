//! The constraints of the database as the client sees them: the meaning of each, and the dependents
//! of a resource.
//!
//! The constraint is the check: no module queries first. A foreign key can be violated at either
//! end. If a reference of the written resource is missing, that is the error. Otherwise a dependent
//! still refers to the removed row.

use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};

/// The meaning of a constraint: the problem of a write that violates it, and the error in it.
#[derive(Debug, Clone, Copy)]
pub struct Constraint {
    name: &'static str,
    problem: ProblemCode,
    pointer: &'static str,
    code: FieldCode,
    detail: &'static str,
}

impl Constraint {
    /// Creates the meaning of a unique key: another resource has the value of the field.
    #[must_use]
    pub const fn taken(name: &'static str, pointer: &'static str) -> Self {
        Self::exists(name, ProblemCode::Conflict, pointer, "another resource has this key")
    }

    /// Creates the meaning of a constraint that excludes two resources alike.
    #[must_use]
    pub const fn exists(
        name: &'static str,
        problem: ProblemCode,
        pointer: &'static str,
        detail: &'static str,
    ) -> Self {
        Self { name, problem, pointer, code: FieldCode::AlreadyExists, detail }
    }

    /// Creates the meaning of a rule about the content.
    #[must_use]
    pub const fn rule(
        name: &'static str,
        pointer: &'static str,
        code: FieldCode,
        detail: &'static str,
    ) -> Self {
        Self { name, problem: ProblemCode::ValidationFailed, pointer, code, detail }
    }
}

/// Rows that may refer to a resource.
#[derive(Debug, Clone, Copy)]
pub struct Dependent {
    /// The name of the rows in messages to clients.
    pub label: &'static str,
    /// The rows as SQL: a table and a condition. `$1` is the key of the resource.
    pub rows: &'static str,
}

impl Dependent {
    /// Creates the dependent `label` with its `rows`: `price_lines WHERE item_number = $1`.
    #[must_use]
    pub const fn new(label: &'static str, rows: &'static str) -> Self {
        Self { label, rows }
    }
}

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    count: i64,
}

/// Returns the problem that lists the dependents of a resource.
///
/// # Errors
/// When the database fails.
pub async fn in_use(
    conn: &mut AsyncPgConnection,
    dependents: &[Dependent],
    key: &str,
) -> Result<Problem, Error> {
    let mut errors = Vec::new();
    for dependent in dependents {
        let query = format!("SELECT count(*) AS count FROM {}", dependent.rows);
        let count =
            diesel::sql_query(query).bind::<Text, _>(key).get_result::<Count>(conn).await?.count;
        if count > 0 {
            let detail = format!("{count} {} refer to it", dependent.label);
            errors.push(
                FieldError::new("", FieldCode::InUse, detail)
                    .param("what", dependent.label)
                    .param("count", count),
            );
        }
    }
    let mut problem = Problem::with_errors(ProblemCode::InUse, errors);
    problem.detail = format!("{key} is in use");
    Ok(problem)
}

/// The violation of a constraint.
pub(super) enum Violation {
    /// A foreign key, violated at one of its ends.
    ForeignKey,
    /// A constraint of the resource with a meaning.
    Rule(Problem),
}

/// Returns the violated constraint, if the client can be its cause.
pub(super) fn violation(error: &Error, constraints: &[Constraint]) -> Option<Violation> {
    let Error::DatabaseError(kind, information) = error else { return None };
    if matches!(kind, DatabaseErrorKind::ForeignKeyViolation) {
        return Some(Violation::ForeignKey);
    }
    let name = information.constraint_name()?;
    let violated = constraints.iter().find(|constraint| constraint.name == name)?;
    let error = FieldError::new(violated.pointer, violated.code, violated.detail);
    Some(Violation::Rule(Problem::with_errors(violated.problem, vec![error])))
}

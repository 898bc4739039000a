//! The SQL for the contacts that a criterion finds and the lines that it removes. One statement
//! handles a million contacts.
//!
//! The condition of a filter refers to the table `contacts`, so every query must use that name.

use super::{CriteriaKind, Criterion};
use crate::platform::http::list::{Filter, Statement};

/// Condition for contacts that an expansion adds: neither excluded nor privacy blocked, regardless
/// of `ignoreExclusion`.
macro_rules! reachable {
    ($table:literal) => {
        concat!("NOT ", $table, ".exclude_from_segments AND NOT ", $table, ".privacy_blocked")
    };
}

/// Begins a statement with the relation `wanted`: the distinct contacts that an ADD finds.
pub(super) fn addition(criterion: &Criterion, filter: &Filter) -> Statement {
    let found = if criterion.ignore_exclusion {
        "NOT contacts.privacy_blocked"
    } else {
        reachable!("contacts")
    };
    let mut statement = Statement::default()
        .sql("WITH found AS MATERIALIZED (SELECT number, type, company_number FROM contacts WHERE ")
        .sql(found)
        .sql(" AND ")
        .condition(filter.condition())
        .sql("), wanted AS MATERIALIZED (SELECT number FROM found");
    if criterion.expand_companies {
        statement = statement.sql(concat!(
            " UNION SELECT person.number FROM found
                JOIN contacts AS person ON person.company_number = found.number
                WHERE found.type = 'COMPANY' AND ",
            reachable!("person")
        ));
    }
    if criterion.related_companies {
        statement = statement.sql(concat!(
            " UNION SELECT company.number FROM found
                JOIN contacts AS company ON company.number = found.company_number WHERE ",
            reachable!("company")
        ));
    }
    statement.sql(")")
}

/// Begins a statement with the relation `going`: the lines that a REDUCE or REFINE removes from a
/// segment.
///
/// With `entireCompanies` accounts are matched instead of contacts. An account matches if its
/// company or any of its persons does, whether on the segment or not.
pub(super) fn removal(criterion: &Criterion, filter: &Filter, segment: &str) -> Statement {
    let is_refine = criterion.action == CriteriaKind::Refine;
    let statement = Statement::default().sql("WITH ");
    let statement = if criterion.entire_companies {
        statement
            .sql(
                "matched AS MATERIALIZED (
                    SELECT DISTINCT coalesce(company_number, number) AS account
                    FROM contacts WHERE ",
            )
            .condition(filter.condition())
            .sql("), ")
    } else {
        statement
    };
    let statement = statement
        .sql(
            "going AS MATERIALIZED (SELECT lines.* FROM segment_lines AS lines
            JOIN contacts ON contacts.number = lines.contact_number WHERE lines.segment_number = ",
        )
        .text(segment)
        .sql(if is_refine { " AND NOT " } else { " AND " });
    let statement = if criterion.entire_companies {
        statement.sql(
            "EXISTS (SELECT FROM matched
                WHERE account = coalesce(contacts.company_number, contacts.number))",
        )
    } else {
        statement.condition(filter.condition())
    };
    statement.sql(")")
}

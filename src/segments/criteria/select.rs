//! Which contacts a criterion finds and which lines it takes away, in SQL: a million contacts are
//! one statement.
//!
//! A filter's condition names the table `contacts`, so each place where it is asked calls its table
//! that.

use super::{CriteriaKind, Criterion};
use crate::platform::http::list::{Filter, Statement};

/// Contacts that an expansion may bring: neither excluded nor privacy blocked, whatever the
/// filter's own finds may be.
macro_rules! open {
    ($table:literal) => {
        concat!("NOT ", $table, ".exclude_from_segments AND NOT ", $table, ".privacy_blocked")
    };
}

/// Begins a statement with the relation `wanted`: the contacts, each once, that an ADD finds.
pub(super) fn wanted(criterion: &Criterion, filter: &Filter) -> Statement {
    let found =
        if criterion.ignore_exclusion { "NOT contacts.privacy_blocked" } else { open!("contacts") };
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
            open!("person")
        ));
    }
    if criterion.related_companies {
        statement = statement.sql(concat!(
            " UNION SELECT company.number FROM found JOIN contacts AS company ON company.number = found.company_number WHERE ",
            open!("company")
        ));
    }
    statement.sql(")")
}

/// Begins a statement with the relation `going`: the lines of a segment, as they are, that a REDUCE
/// or REFINE takes away.
///
/// With `entireCompanies` an account is asked for, not a contact: it matches when its company or
/// any of its persons does, on the segment or not.
pub(super) fn going(criterion: &Criterion, filter: &Filter, segment: &str) -> Statement {
    let keeps = criterion.action == CriteriaKind::Refine;
    let statement = Statement::default().sql("WITH ");
    let statement = if criterion.entire_companies {
        statement
            .sql("matched AS MATERIALIZED (SELECT DISTINCT coalesce(company_number, number) AS account FROM contacts WHERE ")
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
        .sql(if keeps { " AND NOT " } else { " AND " });
    let statement = if criterion.entire_companies {
        statement.sql("EXISTS (SELECT FROM matched WHERE account = coalesce(contacts.company_number, contacts.number))")
    } else {
        statement.condition(filter.condition())
    };
    statement.sql(")")
}

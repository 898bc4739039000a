//! Criteria actions: a segment's lines selected by a filter over contacts instead of by hand. The
//! rules in plain words are in docs/segments.md.
//!
//! ```text
//! select.rs    the SQL: which contacts an action finds, which lines it takes away
//! history.rs   performs actions and undoes them, under the segment's lock
//! saved.rs     actions that are kept under a code
//! http.rs      the operations
//! ```

mod history;
pub mod http;
pub mod saved;
mod select;

use chrono::NaiveDate;
use deserr::Deserr;
use serde::Serialize;
use utoipa::ToSchema;

use crate::contacts::FIELDS;
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::Filter;
use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};
use crate::platform::unit_of_work::UnitOfWork;
use crate::segments::lines::OfSegment;
use crate::values::wire::text_enum;
use crate::values::{Key, Text};

text_enum! {
    /// What a criteria action does with a segment's lines.
    CriteriaKind {
        /// Adds the contacts that match.
        Add = "ADD",
        /// Removes those that match.
        Reduce = "REDUCE",
        /// Keeps those that match.
        Refine = "REFINE",
    }
}

/// What a client wants done with a segment's lines.
#[derive(Debug, Clone, PartialEq, Eq, Deserr, Serialize, ToSchema)]
#[schema(as = CriteriaActionWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct Criterion {
    /// What is done.
    #[schema(example = "ADD")]
    pub action: CriteriaKind,
    /// Which contacts it is about, in the words of the filter of `/v1/contacts`.
    #[schema(value_type = String, max_length = 4096, example = "jobResponsibilities/any(j: j eq 'PURCHASE')")]
    pub filter: Text<4096>,
    /// Whether contacts that are found and stand on the segment already are counted in
    /// `linesExisting`; they keep their line as it is either way. Only with ADD.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = false)]
    pub allow_existing: bool,
    /// Whether the persons of each company that is found are added too. Only with ADD.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = true)]
    pub expand_companies: bool,
    /// Whether the company of each person that is found is added too. Only with ADD.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = false)]
    pub related_companies: bool,
    /// Whether all of a company's lines go (REDUCE) or stay (REFINE) when the company or one of its
    /// persons matches.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = false)]
    pub entire_companies: bool,
    /// Whether contacts that match are found although they are excluded from segments; privacy
    /// blocked ones never are. Only with ADD.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = false)]
    pub ignore_exclusion: bool,
}

impl Criterion {
    /// The filter, ready to be asked; `pointer` is where the criterion stands in the request.
    ///
    /// # Errors
    /// Everything that is wrong: the filter, and options that mean nothing with the action.
    pub fn filter(&self, pointer: &str, today: NaiveDate) -> Result<Filter, Vec<FieldError>> {
        let filter =
            Filter::parse(self.filter.as_str(), FIELDS, &format!("{pointer}/filter"), today);
        let only_add = self.action == CriteriaKind::Add;
        let options = [
            ("allowExisting", self.allow_existing, only_add),
            ("expandCompanies", self.expand_companies, only_add),
            ("relatedCompanies", self.related_companies, only_add),
            ("entireCompanies", self.entire_companies, !only_add),
            ("ignoreExclusion", self.ignore_exclusion, only_add),
        ];
        let foreign: Vec<FieldError> = options
            .into_iter()
            .filter(|(_, given, allowed)| *given && !allowed)
            .map(|(name, ..)| {
                let detail = format!("{name} means nothing with {}", self.action);
                FieldError::new(format!("{pointer}/{name}"), FieldCode::NotAllowed, detail)
            })
            .collect();
        match filter {
            Ok(filter) if foreign.is_empty() => Ok(filter),
            Ok(_) => Err(foreign),
            Err(wrong) => Err(wrong.into_iter().chain(foreign).collect()),
        }
    }

    /// The same, as the one criterion of a request.
    ///
    /// # Errors
    /// 400 `INVALID_FILTER` when the filter is wrong, 422 when only options are.
    fn requested(&self, today: NaiveDate) -> Result<Filter, Problem> {
        self.filter("", today).map_err(|errors| {
            let malformed = errors.iter().any(|error| error.code.is_form());
            Problem::with_errors(
                if malformed { ProblemCode::InvalidFilter } else { ProblemCode::ValidationFailed },
                errors,
            )
        })
    }
}

/// Performs a criterion on a segment that the transaction made, so that nobody else changes it, and
/// answers with the action.
///
/// # Errors
/// As a request for it would be refused, or when the database fails.
pub async fn perform(
    work: &mut UnitOfWork,
    segment: &Key,
    criterion: &Criterion,
    today: NaiveDate,
) -> Result<history::CriteriaActionView, Problem> {
    let filter = criterion.requested(today)?;
    history::perform(work, &OfSegment { number: segment.clone() }, criterion, &filter).await
}

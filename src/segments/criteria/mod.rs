//! Criteria actions: the selection of a segment's lines by a filter over contacts. docs/segments.md
//! explains the rules.
//!
//! ```text
//! select.rs    the SQL for the contacts that an action finds and the lines that it removes
//! history.rs   performs and undoes actions, under the segment's lock
//! saved.rs     actions that are saved under a code
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
use values::{Key, Text, text_enum};

use crate::contacts::FIELDS;
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::Filter;
use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};
use crate::segments::lines::OfSegment;
use crate::unit_of_work::UnitOfWork;

text_enum! {
    /// The effect of a criteria action on a segment's lines.
    CriteriaKind {
        /// Adds lines for the matching contacts.
        Add = "ADD",
        /// Removes the lines of the matching contacts.
        Reduce = "REDUCE",
        /// Keeps only the lines of the matching contacts.
        Refine = "REFINE",
    }
}

/// A criteria action to perform on a segment.
#[derive(Debug, Clone, PartialEq, Eq, Deserr, Serialize, ToSchema)]
#[schema(as = CriteriaActionWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct Criterion {
    /// The kind of the action.
    #[schema(example = "ADD")]
    pub action: CriteriaKind,
    /// The filter over contacts, in the syntax of the parameter `filter` of `/v1/contacts`.
    #[schema(
        value_type = String,
        max_length = 4096,
        example = "jobResponsibilities/any(j: j eq 'PURCHASE')"
    )]
    pub filter: Text<4096>,
    /// True to count the found contacts that are on the segment already in `linesExisting`. Their
    /// lines do not change in either case. Only with ADD.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = false)]
    pub allow_existing: bool,
    /// True to add the persons of each company found as well. Only with ADD.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = true)]
    pub expand_companies: bool,
    /// True to add the company of each person found as well. Only with ADD.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = false)]
    pub related_companies: bool,
    /// True to treat companies as a whole. All lines of a company are removed (REDUCE) or kept
    /// (REFINE) if the company or one of its persons matches. Not with ADD.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = false)]
    pub entire_companies: bool,
    /// True to include matching contacts that are excluded from segments. Privacy-blocked contacts
    /// are never included. Only with ADD.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = false)]
    pub ignore_exclusion: bool,
}

impl Criterion {
    /// Parses the filter. `pointer` is the location of the criterion in the request.
    ///
    /// # Errors
    /// All errors together: those of the filter, and options that the action does not allow.
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

    /// Parses the filter of the only criterion of a request.
    ///
    /// # Errors
    /// 400 `INVALID_FILTER` if the filter is invalid, 422 if only options are.
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

/// Performs a criterion on a segment that this transaction created, and returns the action. The
/// segment needs no lock, because it is not visible to others yet.
///
/// # Errors
/// The errors of a request for the same action, or a failure of the database.
pub async fn perform(
    work: &mut UnitOfWork,
    segment: &Key,
    criterion: &Criterion,
    today: NaiveDate,
) -> Result<history::CriteriaActionView, Problem> {
    let filter = criterion.requested(today)?;
    history::perform(work, &OfSegment { number: segment.clone() }, criterion, &filter).await
}

//! The identity of the history of the price book, as clients send it along with versions.
//!
//! After a restore to an earlier state, versions are used again for other content. The identity
//! then changes, so that a client does not mistake one version for the other.

use actix_web::http::header::HeaderValue;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};
use uuid::Uuid;
use values::Id;

use crate::platform::http::operations::{query_parameter, uuid_schema};
use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};
use crate::unit_of_work::BOOK_ID;

/// The parameter with the history that the other parameters are about.
pub const BOOK_ID_PARAM: &str = "bookId";

/// Builds the description of the parameter.
#[must_use]
pub fn book_id_parameter() -> Parameter {
    query_parameter(
        BOOK_ID_PARAM,
        "The history that the versions or sequences of the request belong to, from `bookId` or the \
         header `Book-Id` of an earlier response. If the price book has another one, as after a \
         restore, the answer is 409 `OTHER_HISTORY`.",
        uuid_schema(),
    )
}

/// The parameter in the description of an operation.
pub struct BookIdParam;

impl IntoParams for BookIdParam {
    fn into_params(_parameter_in: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![book_id_parameter()]
    }
}

/// Checks the history that a request names, if it names one.
///
/// # Errors
/// 409 with the current identity if it is another one, and 400 if it is no identity.
pub fn require_history(given: Option<&str>, current: Uuid) -> Result<(), Problem> {
    let Some(given) = given else { return Ok(()) };
    let refused = |code, detail: String| FieldError::new(format!("?{BOOK_ID_PARAM}"), code, detail);
    match Id::parse(given) {
        Err(invalid) => {
            let error = refused(FieldCode::InvalidValue, invalid.detail);
            Err(Problem::with_errors(ProblemCode::InvalidRequest, vec![error]))
        }
        Ok(id) if id.get() == current => Ok(()),
        Ok(_) => {
            let detail = format!(
                "the price book has the history {current}; versions of another one mean nothing \
                 in it, so start over from its current version"
            );
            let error =
                refused(FieldCode::InvalidValue, detail).param("bookId", current.to_string());
            let problem = Problem::with_errors(ProblemCode::OtherHistory, vec![error]);
            Err(match HeaderValue::try_from(current.to_string()) {
                Ok(current) => problem.header(BOOK_ID, current),
                Err(_) => problem,
            })
        }
    }
}

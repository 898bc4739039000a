//! The response of a list.

use serde::Serialize;
use serde_json::Value;

/// A page of a list, with the link to the next one.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// The rows.
    pub value: Vec<Value>,
    /// The path and query of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_link: Option<String>,
    /// The number of rows that match the filter; absent unless requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
}

/// Returns the value of a field in a row; dots in the name lead into objects. A missing field is
/// null, as is a field of null.
pub fn at<'a>(row: &'a Value, name: &str) -> &'a Value {
    name.split('.').try_fold(row, |inner, part| inner.get(part)).unwrap_or(&Value::Null)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn absent_members_are_omitted() {
        let page = Page { value: vec![json!({"a": 1})], next_link: None, count: None };
        assert_eq!(serde_json::to_string(&page).unwrap(), r#"{"value":[{"a":1}]}"#);
        let page = Page { value: vec![], next_link: Some("/v1/x?cursor=y".into()), count: Some(0) };
        assert_eq!(
            serde_json::to_string(&page).unwrap(),
            r#"{"value":[],"nextLink":"/v1/x?cursor=y","count":0}"#
        );
    }

    #[test]
    fn nested_names() {
        let row = json!({"customer": {"number": "C1"}, "company": null});
        assert_eq!(at(&row, "customer.number"), "C1");
        assert_eq!(at(&row, "company.number"), &Value::Null);
        assert_eq!(at(&row, "nothing"), &Value::Null);
    }
}

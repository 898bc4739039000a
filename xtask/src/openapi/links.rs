//! Links from creations and lists to the operations that need the ids which they return. Clients
//! and fuzzers find existing resources by them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// An operation that a link leads to.
struct Target {
    id: String,
    path: String,
}

/// Adds the links of a document.
pub fn add(document: &mut Value) {
    let targets: Vec<Target> = super::operations::of(document)
        .filter_map(|(path, _, operation)| {
            let id = operation["operationId"].as_str()?.to_owned();
            Some(Target { id, path: path.to_owned() })
        })
        .collect();
    // The collections, and the parameter that names one of their resources.
    let collections: BTreeMap<String, String> = targets
        .iter()
        .filter_map(|target| {
            let (collection, parameter) = target.path.rsplit_once("/{")?;
            let parameter = parameter.strip_suffix('}')?;
            Some((collection.to_owned(), parameter.to_owned()))
        })
        .collect();
    for (collection, parameter) in &collections {
        for (method, status, pointer) in [("post", "201", ""), ("get", "200", "/value/0")] {
            let Some(response) = document["paths"]
                .get_mut(collection)
                .and_then(|item| item.get_mut(method))
                .and_then(|operation| operation["responses"].get_mut(status))
            else {
                continue;
            };
            // An event or a publication is named by its version, not by an id.
            let field = if parameter == "version" { "version" } else { "id" };
            let expression = format!("$response.body#{pointer}/{field}");
            let links = links(collection, parameter, &expression, &targets);
            if !links.is_empty() {
                response["links"] = Value::Object(links);
            }
        }
    }
}

/// Returns the links to every operation on a resource of a collection.
fn links(
    collection: &str,
    parameter: &str,
    expression: &str,
    targets: &[Target],
) -> Map<String, Value> {
    let resource = format!("{collection}/{{{parameter}}}");
    targets
        .iter()
        .filter_map(|target| {
            let rest = target.path.strip_prefix(&resource)?;
            // Operations on inner resources need an id that this response does not have.
            if rest.contains('{') || !(rest.is_empty() || rest.starts_with('/')) {
                return None;
            }
            let mut parameters: Map<String, Value> = outer_parameters(collection)
                .map(|name| (name.to_owned(), format!("$request.path.{name}").into()))
                .collect();
            parameters.insert(parameter.to_owned(), expression.into());
            let link = json!({"operationId": target.id, "parameters": parameters});
            Some((target.id.clone(), link))
        })
        .collect()
}

fn outer_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn creations_and_lists_lead_to_the_operations_on_their_resources() {
        let operation = |id: &str, status: &str| {
            let mut responses = Map::new();
            responses.insert(status.to_owned(), json!({}));
            json!({"operationId": id, "responses": responses})
        };
        let mut document = json!({"paths": {
            "/a/{a}/b": {"post": operation("create_b", "201"), "get": operation("list_b", "200")},
            "/a/{a}/b/{b}": {"get": operation("get_b", "200")},
            "/a/{a}/b/{b}/c": {"get": operation("list_c", "200")},
            "/a/{a}/b/{b}/c/{c}": {"get": operation("get_c", "200")},
        }});
        add(&mut document);
        let created = &document["paths"]["/a/{a}/b"]["post"]["responses"]["201"]["links"];
        assert_eq!(
            created["get_b"],
            json!({
                "operationId": "get_b",
                "parameters": {"a": "$request.path.a", "b": "$response.body#/id"},
            })
        );
        assert_eq!(created.as_object().unwrap().len(), 2, "{created}");
        let listed = &document["paths"]["/a/{a}/b"]["get"]["responses"]["200"]["links"];
        assert_eq!(listed["list_c"]["parameters"]["b"], "$response.body#/value/0/id");
    }
}

//! The existing path that is most similar to one that does not exist.

/// Path of the index, which is the nearest one if no other is similar.
const INDEX: &str = "/v1";
/// Maximum number of segments that are compared. No path of the service has more.
const MAX_SEGMENTS: usize = 8;
/// Maximum length of a segment that is compared, in bytes. Literal segments are shorter.
const MAX_SEGMENT_LENGTH: usize = 200;

/// Number of characters of a segment for which one may be wrong; one always may.
const CHARACTERS_PER_EDIT: usize = 3;

/// Returns the nearest path to `path` among the `known` ones, whose parameters are in braces. The
/// parameters of the result have the values of `path`. If no path is similar, the path without its
/// last segments is compared.
pub fn nearest_path(path: &str, known: &[String]) -> String {
    let given: Vec<&str> = path
        .split('/')
        .filter(|segment| !segment.is_empty() && segment.len() <= MAX_SEGMENT_LENGTH)
        .take(MAX_SEGMENTS)
        .collect();
    let with_version: Vec<&str> = std::iter::once("v1").chain(given.iter().copied()).collect();
    (1..=given.len())
        .rev()
        .find_map(|count| {
            let candidates = [given.get(..count), with_version.get(..count.saturating_add(1))];
            candidates
                .into_iter()
                .flatten()
                .filter_map(|segments| most_similar(segments, known))
                .min_by_key(|(distance, _)| *distance)
        })
        .map_or_else(|| INDEX.to_owned(), |(_, near)| near)
}

/// Returns the most similar path with as many segments, and its distance. `None` if no path is
/// similar.
fn most_similar(segments: &[&str], known: &[String]) -> Option<(usize, String)> {
    known
        .iter()
        .filter_map(|path| Some((distance(segments, path)?, path)))
        .min()
        .map(|(distance, path)| (distance, filled(segments, path)))
}

/// Returns the number of edits that make the segments a path of this pattern. `None` if a segment
/// is another word.
fn distance(segments: &[&str], pattern: &str) -> Option<usize> {
    let literals: Vec<&str> = pattern.split('/').skip(1).collect();
    if literals.len() != segments.len() {
        return None;
    }
    literals.iter().zip(segments).try_fold(0_usize, |sum, (literal, segment)| {
        if literal.starts_with('{') {
            return Some(sum);
        }
        let edits = strsim::osa_distance(literal, &segment.to_lowercase());
        let permitted = literal.len().div_euclid(CHARACTERS_PER_EDIT).max(1);
        (edits <= permitted).then(|| sum.saturating_add(edits))
    })
}

/// Returns the path of a pattern whose parameters have the values of the segments.
fn filled(segments: &[&str], pattern: &str) -> String {
    let literals = pattern.split('/').skip(1);
    let parts = literals
        .zip(segments)
        .map(|(literal, segment)| if literal.starts_with('{') { segment } else { literal });
    parts.fold(String::new(), |path, part| path + "/" + part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn known() -> Vec<String> {
        [
            "/livez",
            "/openapi.json",
            "/v1",
            "/v1/campaigns",
            "/v1/campaigns/batch",
            "/v1/campaigns/{campaign}",
            "/v1/campaigns/{campaign}/prices",
            "/v1/campaigns/{campaign}/prices/{price}",
            "/v1/items",
            "/v1/items/{item}",
            "/v1/price-quotes",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    #[test]
    fn typos_prefixes_and_missing_versions() {
        for (path, near) in [
            ("/v1/item", "/v1/items"),
            ("/v1/items/", "/v1/items"),
            ("//v1//items", "/v1/items"),
            ("/V1/Items", "/v1/items"),
            ("/items", "/v1/items"),
            ("/items/1896-S", "/v1/items/1896-S"),
            ("/v2/items", "/v1/items"),
            ("/v1/campaign/SPRING/price", "/v1/campaigns/SPRING/prices"),
            ("/v1/campaigns/R%C3%98D/pirces/7", "/v1/campaigns/R%C3%98D/prices/7"),
            ("/v1/campaigns/SPRING/orders", "/v1/campaigns/SPRING"),
            ("/v1/campaigns/SPRING/prices/7/8/9", "/v1/campaigns/SPRING/prices/7"),
            ("/v1/price_quotes", "/v1/price-quotes"),
            ("/v1/orders", "/v1"),
            ("/livz", "/livez"),
            ("/openapi.yaml", "/openapi.json"),
            ("/wp-admin.php", "/v1"),
            ("", "/v1"),
        ] {
            assert_eq!(nearest_path(path, &known()), near, "{path}");
        }
    }

    proptest! {
        #[test]
        fn every_path_has_a_nearest_one(path in "(/|[a-z]{0,9}|[^/]{0,300}){0,20}") {
            prop_assert!(nearest_path(&path, &known()).starts_with('/'));
        }
    }
}

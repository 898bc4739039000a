//! Names, and the forms that the templates rely on.

use super::*;

#[test]
fn names_are_converted() {
    assert_eq!(camel("status_changes"), "statusChanges");
    assert_eq!(pascal("campaign_prices"), "CampaignPrices");
    assert_eq!(pascal("itemNumber"), "ItemNumber");
    assert_eq!(snake("minPublicationVersion"), "min_publication_version");
}

#[test]
fn texts_are_wrapped_at_words() {
    assert_eq!(wrap("one two three\nfour\n\nfive", 9), ["one two", "three", "four", "", "five"]);
    assert_eq!(wrap("incomprehensible", 5), ["incomprehensible"]);
}

#[test]
fn packages_have_the_version_of_the_service() {
    let version = kampanje::VERSION;
    for (manifest, expected) in [
        (
            include_str!("../../../sdks/typescript/package.json"),
            format!("\"version\": \"{version}\""),
        ),
        (include_str!("../../../sdks/java/pom.xml"), format!("<version>{version}</version>")),
        (
            include_str!("../../../sdks/csharp/Kampanje.Client.csproj"),
            format!("<Version>{version}</Version>"),
        ),
    ] {
        assert!(manifest.contains(&expected), "{expected}");
    }
}

//! The parameter `options` of a database URL: settings of its sessions, such as
//! `options=-c%20statement_timeout%3D7s`.
//!
//! It is removed from the URL, because poolers do not pass it on. The settings are set by a
//! statement instead.

use super::tls::percent_decode;

/// Removes the options from the URL. Returns the rest, which is for the driver, and the settings
/// by name. A text that is no URL stays unchanged.
pub(super) fn take_from(url: &str) -> Result<(String, Vec<(String, String)>), String> {
    let Some((base, query)) = url.split_once('?') else { return Ok((url.to_owned(), Vec::new())) };
    let (mut settings, mut rest) = (Vec::new(), Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("options", value)) => settings.extend(parse(&percent_decode(value)?)?),
            _ => rest.push(pair),
        }
    }
    let rest = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    Ok((rest, settings))
}

/// Reads `-c name=value`, `-cname=value` and `--name=value`, separated by spaces.
fn parse(options: &str) -> Result<Vec<(String, String)>, String> {
    let mut arguments = arguments(options).into_iter();
    let mut settings = Vec::new();
    while let Some(argument) = arguments.next() {
        let setting = match argument.strip_prefix("-c") {
            Some("") => arguments.next(),
            Some(setting) => Some(setting.to_owned()),
            None => argument.strip_prefix("--").map(str::to_owned),
        };
        let pair = setting.as_deref().and_then(|setting| setting.split_once('='));
        let Some((name, value)) = pair.filter(|(name, _)| !name.is_empty()) else {
            return Err(format!("options: {argument} is not of the form -c name=value"));
        };
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

/// Splits at spaces. A backslash takes the special meaning from the next character.
fn arguments(options: &str) -> Vec<String> {
    let (mut found, mut current) = (Vec::new(), None::<String>);
    let mut characters = options.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' | '\n' | '\r' => found.extend(current.take()),
            '\\' => current.get_or_insert_default().extend(characters.next()),
            other => current.get_or_insert_default().push(other),
        }
    }
    found.extend(current);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_taken_from_the_url() {
        for (query, rest, expected) in [
            ("", "", &[][..]),
            ("?sslmode=disable", "?sslmode=disable", &[]),
            ("?options=-c%20lock_timeout%3D7s&a=1", "?a=1", &[("lock_timeout", "7s")]),
            (
                "?options=-clock_timeout%3D7s%20--statement-timeout=1s",
                "",
                &[("lock_timeout", "7s"), ("statement_timeout", "1s")],
            ),
            ("?options=-c%20a%3Dx%5C%20y", "", &[("a", "x y")]),
        ] {
            let (url, settings) = take_from(&format!("postgres://u@h/d{query}")).unwrap();
            let settings: Vec<_> =
                settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(
                (url, settings),
                (format!("postgres://u@h/d{rest}"), expected.to_vec()),
                "{query}"
            );
        }
    }

    #[test]
    fn other_options_are_refused() {
        for query in ["options=-f", "options=-c", "options=-c%20x", "options=-c%20%3D1"] {
            assert!(take_from(&format!("postgres://u@h/d?{query}")).is_err(), "{query}");
        }
    }
}

//! The `filters` parameter.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::ApiError;

/// Filters by name, each with the values to match.
///
/// On the wire a JSON object: `{"dangling":{"true":true}}` from the docker command line, `{"dangling":["true"]}` from
/// the libraries. Both are read; the first is written, as every daemon reads it. A value that is marked false is a
/// value as the others are, except for a filter that is true or false.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, BTreeMap<String, bool>>);

/// The values of one filter in either form.
#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    Map(BTreeMap<String, Option<bool>>),
    List(Vec<Option<String>>),
}

impl Filters {
    /// Reads the value of the parameter; empty is no filter.
    pub fn decode(json: &str) -> Result<Self, ApiError> {
        if json.is_empty() {
            return Ok(Self::default());
        }
        // `null` is what a client without filters may write.
        let filters: Option<BTreeMap<String, Option<Values>>> =
            spec::from_go_json(json.as_bytes()).map_err(|_| ApiError::Filters)?;
        let values = |values| match values {
            None => BTreeMap::new(),
            Some(Values::List(list)) => {
                list.into_iter().map(|value| (value.unwrap_or_default(), true)).collect()
            }
            Some(Values::Map(map)) => {
                map.into_iter().map(|(value, is)| (value, is.unwrap_or_default())).collect()
            }
        };
        let filters = filters.unwrap_or_default();
        Ok(Self(filters.into_iter().map(|(name, given)| (name, values(given))).collect()))
    }

    /// The value for the parameter, or `None` without filters: then the parameter is left out.
    pub fn encode(&self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        serde_json::to_string(&self.0).ok()
    }

    /// Adds a value to a filter.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.entry(name.into()).or_default().insert(value.into(), true);
    }

    /// True if the filter was given, if only without a value.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The values of a filter, in order; none when it was not given.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.get(name).into_iter().flat_map(BTreeMap::keys).map(String::as_str)
    }

    /// An error that names the first filter that is not in `accepted`.
    pub fn validate(&self, accepted: &[&str]) -> Result<(), ApiError> {
        match self.0.keys().find(|name| !accepted.contains(&name.as_str())) {
            Some(name) => Err(ApiError::UnknownFilter(name.clone())),
            None => Ok(()),
        }
    }

    /// The truth of a filter: `None` when it was not given, an error when it is neither true nor false, or both.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, ApiError> {
        let Some(values) = self.0.get(name) else { return Ok(None) };
        if values.is_empty() {
            return Err(ApiError::UnknownFilter(name.to_owned()));
        }
        let has = |value: &str| values.get(value) == Some(&true);
        match (has("1") || has("true"), has("0") || has("false")) {
            (true, false) => Ok(Some(true)),
            (false, true) => Ok(Some(false)),
            _ => Err(ApiError::FilterValue {
                name: name.to_owned(),
                values: values.keys().map(String::as_str).collect::<Vec<_>>().join(" "),
            }),
        }
    }

    /// True if `value` is one of the filter's values, or the filter was not given.
    pub fn matches(&self, name: &str, value: &str) -> bool {
        self.0.get(name).is_none_or(|values| values.is_empty() || values.contains_key(value))
    }

    /// True if one of the filter's values begins `value`, or the filter was not given.
    pub fn matches_prefix(&self, name: &str, value: &str) -> bool {
        let begins = |values: &BTreeMap<_, _>| {
            values.keys().any(|prefix: &String| value.starts_with(prefix))
        };
        self.0.get(name).is_none_or(|values| values.is_empty() || begins(values))
    }

    /// True if all of the filter's values, each `KEY` or `KEY=VALUE`, hold for `pairs`.
    pub fn matches_pairs(&self, name: &str, pairs: &BTreeMap<String, String>) -> bool {
        self.values(name).all(|wanted| match wanted.split_once('=') {
            Some((key, value)) => pairs.get(key).is_some_and(|held| held == value),
            None => pairs.contains_key(wanted),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_read_the_same() {
        let map =
            Filters::decode(r#"{"label":{"a=b":true,"c":true},"dangling":{"true":true}}"#).unwrap();
        let list = Filters::decode(r#"{"label": ["c", "a=b"], "dangling": ["true"]}"#).unwrap();
        assert_eq!(map, list);
        assert_eq!(
            map.encode().unwrap(),
            r#"{"dangling":{"true":true},"label":{"a=b":true,"c":true}}"#
        );
        assert_eq!(map.values("label").collect::<Vec<_>>(), ["a=b", "c"]);
        assert_eq!(Filters::decode("").unwrap().encode(), None);
        assert_eq!(Filters::decode("null").unwrap(), Filters::default());
        let given = Filters::decode(r#"{"a":null,"label":{"x":false}}"#).unwrap();
        assert!(given.contains("a") && given.matches("a", "anything"));
        assert!(given.matches("label", "x") && !given.matches("label", "y"));
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for json in
            ["x", "[]", r#"{"a":"b"}"#, r#"{"a":{"b":1}}"#, r#"{"a":[1]}"#, "{", r#"{"a":[]}x"#]
        {
            let error = Filters::decode(json).unwrap_err().to_string();
            assert_eq!(error, "invalid filter", "{json}");
        }
    }

    #[test]
    fn errors_are_in_dockerds_words() {
        let filters = Filters::decode(r#"{"bogus":{"1":true},"dangling":{"maybe":true}}"#).unwrap();
        assert_eq!(
            filters.validate(&["dangling"]).unwrap_err().to_string(),
            "invalid filter 'bogus'"
        );
        assert!(filters.validate(&["dangling", "bogus"]).is_ok());
        let error = filters.boolean("dangling").unwrap_err().to_string();
        assert_eq!(error, "invalid filter 'dangling=[maybe]'");
        let untrue = Filters::decode(r#"{"dangling":{"true":false}}"#).unwrap();
        let error = untrue.boolean("dangling").unwrap_err().to_string();
        assert_eq!(error, "invalid filter 'dangling=[true]'");
    }

    #[test]
    fn truth_has_two_spellings_and_no_third() {
        let table = [
            (r#"["true"]"#, Some(Some(true))),
            (r#"["1"]"#, Some(Some(true))),
            (r#"["0","false"]"#, Some(Some(false))),
            (r#"["true","0"]"#, None),
            (r#"["yes"]"#, None),
            ("[]", None),
        ];
        for (values, expected) in table {
            let filters = Filters::decode(&format!(r#"{{"dangling":{values}}}"#)).unwrap();
            assert_eq!(filters.boolean("dangling").ok(), expected, "{values}");
        }
        assert_eq!(Filters::default().boolean("dangling").unwrap(), None);
    }

    #[test]
    fn matching_is_any_of_for_values_and_all_of_for_pairs() {
        let filters =
            Filters::decode(r#"{"type":["image","daemon"],"label":["a","b=c"]}"#).unwrap();
        assert!(filters.matches("type", "image") && !filters.matches("type", "volume"));
        assert!(filters.matches("other", "anything"));
        assert!(
            filters.matches_prefix("type", "image: more")
                && !filters.matches_prefix("type", "imag")
        );
        let pairs = |list: &[(&str, &str)]| {
            list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        assert!(filters.matches_pairs("label", &pairs(&[("a", ""), ("b", "c")])));
        assert!(!filters.matches_pairs("label", &pairs(&[("a", ""), ("b", "d")])));
        assert!(!filters.matches_pairs("label", &pairs(&[("b", "c")])));
    }
}

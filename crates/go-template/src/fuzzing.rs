//! Fuzz targets: templates over documents.

use serde_json::Value as Json;

use crate::{Execution, Listing, Template, Value, json};

/// A name and a function that panics at an input which shows a fault.
pub type Target = (&'static str, fn(&[u8]));

/// All targets of this crate.
pub const TARGETS: &[Target] = &[("template", template)];

/// A document for templates that come without one.
const DOCUMENT: &str = r#"{"Id":"sha256:abc","Size":1982581,"Ratio":0.5,"Tags":["a:1","b:2"],
"Nothing":null,"Flag":true,"Config":{"Env":["A=b"],"Labels":{"z":"<1>"}},"List":[{"Name":"x","N":1}]}"#;

/// A template is run with each meaning that a missing key can have; what is behind a zero byte is the document. The document
/// itself is printed as JSON that means the same.
fn template(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (text, document) = text.split_once('\0').unwrap_or((text, DOCUMENT));
    let Ok(document) = serde_json::from_str::<Json>(document) else { return };
    let value = Value::from_json(&document);
    let printed = json::encode(&value);
    let again: Json = serde_json::from_str(&printed).expect("a value is not printed as JSON");
    assert_eq!(json::encode(&Value::from_json(&again)), printed);
    assert_eq!(json::compact(&json::indent(&printed)), json::compact(&printed));
    // Loops in loops may take as long as they like: they are the user's own.
    if text.matches("range").count() > 1 {
        return;
    }
    let _ = Listing { format: text, headers: &[("Id", "ID")] }.render(std::slice::from_ref(&value));
    let Ok(template) = Template::parse(text) else { return };
    let _ = (template.execute(&value, Execution::Strict), template.header(&value));
    let shown = template.execute(&value, Execution::Values).ok();
    assert_eq!(template.execute(&value, Execution::Values).ok(), shown);
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

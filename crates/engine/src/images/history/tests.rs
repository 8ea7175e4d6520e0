use serde_json::json;

use crate::testing::Fixture;

use super::*;

/// The steps of an image: image, tags, size and command of each, the last one first.
fn told(fixture: &Fixture, name: &str) -> Vec<String> {
    match fixture.run(fixture.engine.history(name, None)) {
        Ok(steps) => {
            let shown = steps.iter().map(|step| {
                let id = step.id.as_ref().map_or("-".to_owned(), ToString::to_string);
                format!("{id} [{}] {} {}", step.tags.join(" "), step.size, step.created_by)
            });
            shown.map(|text| fixture.words(&text)).collect()
        }
        Err(error) => vec![fixture.words(&error.message())],
    }
}

#[test]
fn steps_are_told_from_the_last_to_the_first_with_what_each_added() {
    let fixture = Fixture::new(&["web tags=web:1,web:2 layers=base:100,web:20"]);
    assert_eq!(
        told(&fixture, "web:1"),
        ["<web> [web:1 web:2] 20 RUN web", "- [] 100 RUN base"],
        "only the last step is known to be an image"
    );
}

#[test]
fn steps_without_a_layer_have_no_size_and_take_none() {
    let mut fixture = Fixture::new(&[]);
    let history = json!([
        { "created_by": "FROM base" },
        { "created_by": "ENV A=1", "empty_layer": true },
        { "created_by": "RUN web", "comment": "a note", "created": "1970-01-01T00:00:07.9Z" },
        { "empty_layer": true, "created": "no time" },
    ]);
    fixture.add_with("web tags=web:1 layers=base:100,web:20", &json!({ "history": history }));
    assert_eq!(
        told(&fixture, "web:1"),
        ["<web> [web:1] 0 ", "- [] 20 RUN web", "- [] 0 ENV A=1", "- [] 100 FROM base"]
    );
    let steps = fixture.run(fixture.engine.history("web:1", None)).unwrap();
    let rest: Vec<_> = steps.iter().map(|step| (step.created, step.comment.as_str())).collect();
    assert_eq!(rest, [(0, ""), (7, "a note"), (0, ""), (0, "")]);
}

/// The classic builder makes an image of each step, and dockerd names as many steps as there are parents.
#[test]
fn steps_that_are_images_here_are_named() {
    let fixture = Fixture::new(&[
        "one layers=one",
        "two tags=two:1 digests=two layers=one,two parent=one",
        "web tags=web:1 layers=one,two,web parent=two",
    ]);
    assert_eq!(
        told(&fixture, "web:1"),
        ["<web> [web:1] 10 RUN web", "<two> [two:1] 10 RUN two", "<one> [] 10 RUN one"],
        "digests are no tags"
    );
}

#[test]
fn a_history_with_more_layers_than_the_image_is_refused() {
    let mut fixture = Fixture::new(&[]);
    let step = json!({ "created_by": "RUN" });
    fixture.add_with("web tags=web:1 layers=base", &json!({ "history": [step, step] }));
    assert_eq!(told(&fixture, "web:1"), ["too many non-empty layers in History section"]);
    // Fewer are fine, and none is, too.
    fixture.add_with("few tags=few:1 layers=base,few", &json!({ "history": [step] }));
    fixture.add_with("none tags=none:1 layers=base,none", &json!({ "history": [] }));
    assert_eq!(told(&fixture, "few:1"), ["<few> [few:1] 10 RUN"]);
    assert_eq!(told(&fixture, "none:1"), [""; 0]);
}

#[test]
fn an_image_for_another_platform_or_none_has_no_history() {
    let fixture = Fixture::new(&["web tags=web:1 platform=linux/arm64"]);
    let wanted = Some(Platform::parse("linux/amd64").unwrap());
    let error = fixture.run(fixture.engine.history("web:1", wanted)).unwrap_err();
    assert!(matches!(error, EngineError::PlatformMismatch(_)), "{error}");
    assert_eq!(told(&fixture, "gone"), ["No such image: gone:latest"]);
}

/// Layers that are not unpacked take no room, as in dockerd's containerd store.
#[test]
fn another_image_of_the_index_has_a_history_of_its_own() {
    let mut fixture = Fixture::new(&["web tags=web:1 digests=web layers=base:100,web:20"]);
    let arm = fixture.add_part("arm platform=linux/arm64 layers=base:100,arm:30");
    let web = fixture.described("web");
    fixture.add_index("web", &[web, arm]);
    let arm64 = Platform::parse("linux/arm64").unwrap();
    let steps = fixture.run(fixture.engine.history("web:1", Some(arm64))).unwrap();
    let told: Vec<(&str, u64)> = steps.iter().map(|step| (&*step.created_by, step.size)).collect();
    assert_eq!(told, [("RUN arm", 0), ("RUN base", 100)]);
    assert_eq!(steps[0].id, Some(fixture.id("arm")));
}

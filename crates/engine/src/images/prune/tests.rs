use crate::images::Removed;
use crate::testing::Fixture;

use super::*;

fn labels(labels: &[&str]) -> Vec<String> {
    labels.iter().map(ToString::to_string).collect()
}

fn at(seconds: i64) -> Option<Timestamp> {
    Timestamp::from_second(seconds).ok()
}

/// Prunes; returns what is gone, and the images that are left, by their names.
fn pruned(fixture: &Fixture, filters: PrunePolicy) -> (String, String) {
    let pruned = fixture.run(fixture.engine.prune().unwrap().run(filters)).unwrap();
    let texts: Vec<String> = pruned
        .removed
        .iter()
        .map(|record| match record {
            Removed::Untagged(name) => format!("untagged {name}"),
            Removed::Deleted(digest) => format!("deleted {digest}"),
        })
        .collect();
    let mut left: Vec<String> =
        fixture.store().images().unwrap().iter().map(|id| fixture.words(&id.to_string())).collect();
    left.sort();
    (fixture.words(&texts.join(", ")), left.join(" "))
}

#[test]
fn images_without_a_tag_go_and_with_all_those_that_nobody_uses() {
    let dangling = PrunePolicy::default;
    let all = || PrunePolicy { all: true, ..PrunePolicy::default() };
    for (images, filters, removed, left) in [
        (&["web tags=web:1", "old"][..], dangling(), "deleted <old>, deleted <layer old>", "<web>"),
        (
            &["web tags=web:1", "old"],
            all(),
            "untagged web:1, deleted <web>, deleted <layer web>, deleted <old>, deleted <layer old>",
            "",
        ),
        // All names of an image go, of whatever repositories.
        (
            &["web tags=web:1,web:2,other:1 layers=-"],
            all(),
            "untagged other:1, untagged web:1, untagged web:2, deleted <web>",
            "",
        ),
        // A digest is no tag.
        (&["web digests=web layers=-"], dangling(), "untagged web@<web digest>, deleted <web>", ""),
        (&["web tags=web:1 digests=web"], dangling(), "", "<web>"),
        // The youngest first.
        (
            &["a layers=- at=1", "b layers=- at=3", "c layers=- at=2"],
            dangling(),
            "deleted <b>, deleted <c>, deleted <a>",
            "",
        ),
        (&[], all(), "", ""),
    ] {
        let fixture = Fixture::new(images);
        assert_eq!(pruned(&fixture, filters), (removed.to_owned(), left.to_owned()), "{images:?}");
    }
}

/// Steps of the classic builder go with the image that they led to, and never without.
#[test]
fn steps_to_another_image_go_with_that_one() {
    let steps = ["one layers=one", "two layers=one,two parent=one"];
    let with = |last: &'static str| [steps[0], steps[1], last];
    let tagged = with("web tags=web:1 layers=one,two,web parent=two");
    let untagged = with("web layers=one,two,web parent=two");
    let named_step = ["one tags=one:1 layers=one", steps[1], untagged[2]];
    let everything = "deleted <web>, deleted <layer one/two/web>, deleted <two>, deleted <layer one/two>, deleted <one>, deleted <layer one>";
    for (images, is_all, removed, left) in [
        (tagged, false, String::new(), "<one> <two> <web>"),
        (untagged, false, everything.to_owned(), ""),
        (tagged, true, format!("untagged web:1, {everything}"), ""),
        (
            named_step,
            false,
            "deleted <web>, deleted <layer one/two/web>, deleted <two>, deleted <layer one/two>"
                .to_owned(),
            "<one>",
        ),
    ] {
        let fixture = Fixture::new(&images);
        let filters = PrunePolicy { all: is_all, ..PrunePolicy::default() };
        assert_eq!(pruned(&fixture, filters), (removed, left.to_owned()), "{images:?} {is_all}");
    }
}

#[test]
fn filters_leave_what_they_do_not_mean() {
    let images = [
        "a labels=tier=front layers=- at=10",
        "b labels=tier=back layers=- at=20",
        "c layers=- at=30",
        "d layers=- at=never",
    ];
    let with = |given: &[&str]| PrunePolicy { labels: labels(given), ..PrunePolicy::default() };
    let without =
        |given: &[&str]| PrunePolicy { without_labels: labels(given), ..PrunePolicy::default() };
    let until = |until| PrunePolicy { until: at(until), ..PrunePolicy::default() };
    for (filters, left) in [
        (with(&["tier"]), "<c> <d>"),
        (with(&["tier=front"]), "<b> <c> <d>"),
        (with(&["tier=front", "tier=back"]), "<a> <b> <c> <d>"),
        (with(&["none"]), "<a> <b> <c> <d>"),
        (without(&["tier"]), "<a> <b>"),
        (without(&["tier=back"]), "<b>"),
        (until(20), "<c> <d>"),
        (until(9), "<a> <b> <c> <d>"),
        (PrunePolicy { until: at(20), ..without(&["tier=back"]) }, "<b> <c> <d>"),
        (PrunePolicy { until: at(20), ..with(&["tier=back"]) }, "<a> <c> <d>"),
    ] {
        let fixture = Fixture::new(&images);
        let told = format!("{filters:?}");
        assert_eq!(pruned(&fixture, filters).1, left, "{told}");
    }
}

#[test]
fn images_of_containers_stay_and_are_no_error() {
    for is_running in [false, true] {
        let fixture = Fixture::new(&["old", "web tags=web:1", "free"]);
        fixture.container("old", "1", is_running);
        fixture.container("web", "2", is_running);
        let filters = PrunePolicy { all: true, ..PrunePolicy::default() };
        let (removed, left) = pruned(&fixture, filters);
        assert_eq!(removed, "deleted <free>, deleted <layer free>", "{is_running}");
        assert_eq!(left, "<old> <web>", "{is_running}");
        assert_eq!(fixture.names(), "web:1 <web>", "{is_running}");
    }
}

#[test]
fn what_was_reclaimed_are_the_layers_that_are_gone() {
    let all = || PrunePolicy { all: true, ..PrunePolicy::default() };
    for (images, filters, reclaimed) in [
        (&["old layers=a:700,b:50"][..], PrunePolicy::default(), 750),
        // A layer that another image has is still there.
        (&["old layers=a:700,b:50", "web tags=web:1 layers=a:700"], PrunePolicy::default(), 50),
        (&["old layers=a:700,b:50", "web tags=web:1 layers=a:700"], all(), 750),
        (&["old layers=a:700", "older layers=a:700"], PrunePolicy::default(), 700),
        (&["web tags=web:1 layers=a:700"], PrunePolicy::default(), 0),
    ] {
        let fixture = Fixture::new(images);
        let pruned = fixture.run(fixture.engine.prune().unwrap().run(filters)).unwrap();
        assert_eq!(pruned.reclaimed, reclaimed, "{images:?}");
        let (events, _) = fixture.engine.events().subscribe();
        let last = events.last().unwrap();
        assert_eq!((last.action, last.actor_id.as_str()), ("prune", ""));
        assert_eq!(last.attributes["reclaimed"], reclaimed.to_string());
    }
}

/// A plan, and what is left of each driver's data root when it is done: the same images and names, and just the bytes that it said.
#[test]
fn a_dry_run_tells_what_then_happens() {
    let images = [
        "one tags=app:1 digests=app used=100 at=10 layers=base:5000,one:100",
        "two tags=app:2,app:old used=300 at=20 layers=base:5000,two:200 kept",
        "three tags=app:3,ci/app:pr-7 used=200 at=30 layers=base:5000,three:300 kept",
        "four tags=app:4 used=900 at=40 layers=base:5000,four:400 kept",
        "dangling used=150 at=15 layers=base:5000,dangling:150",
        "step used=50 at=5 layers=step:70",
        "top tags=top:1 used=60 at=6 layers=step:70,top:80 parent=step labels=keep",
        "db tags=db:1 layers=db:3000 kept labels=keep=yes",
    ];
    let glob = |pattern: &str| spec::go::Glob::parse(pattern).unwrap();
    let all = || PrunePolicy { all: true, ..PrunePolicy::default() };
    let month = Some(jiff::SignedDuration::from_hours(30 * 24));
    let last = |count| std::num::NonZeroUsize::new(count);
    let policies = || {
        [
            PrunePolicy::default(),
            all(),
            PrunePolicy { without_labels: labels(&["keep"]), ..all() },
            PrunePolicy { labels: labels(&["keep=yes"]), ..all() },
            PrunePolicy { until: at(20), ..all() },
            PrunePolicy { keep_last: last(1), ..all() },
            PrunePolicy { keep_last: last(3), unused_for: month, ..all() },
            PrunePolicy { unused_for: month, ..all() },
            PrunePolicy { references: vec![glob("ci/*")], ..all() },
            PrunePolicy { references: vec![glob("app:[123]")], keep_last: last(1), ..all() },
            PrunePolicy { max_size: Some(9000), ..all() },
            PrunePolicy { max_size: Some(0), keep_last: last(2), unused_for: month, ..all() },
        ]
    };
    for number in 0..policies().len() {
        let policy = || policies()[number].clone();
        for fixture in
            [Some(Fixture::new(&images)), Fixture::unpacked(&images)].into_iter().flatten()
        {
            fixture.container("four", "1", false);
            let store = fixture.store();
            let lease = store.lease().unwrap();
            let digest = spec::Digest::sha256(b"whole");
            let ingest = store.ingest(&lease, &digest, 10).unwrap();
            ingest.writer(0..5).unwrap().write(b"whole").unwrap();
            drop((ingest, lease));
            let total = || {
                let ledger = store.ledger(&store.describe_images().unwrap()).unwrap();
                ledger.total() + store.partial_downloads().unwrap()
            };

            let (before, names) = (total(), fixture.names());
            let planned = fixture.run(fixture.engine.plan_prune(policy())).unwrap();
            let told = format!("{:?}: {planned:?}", policy());
            assert_eq!(
                (total(), fixture.names()),
                (before, names),
                "a plan removes nothing: {told}"
            );
            assert_eq!(planned.total, before, "{told}");
            let pruned = fixture.run(fixture.engine.prune().unwrap().run(policy())).unwrap();
            assert_eq!(pruned.steps, planned.steps, "{told}");
            assert_eq!(pruned.spared, planned.spared, "{told}");
            assert_eq!(
                (pruned.freed, pruned.downloads),
                (planned.freed, planned.downloads),
                "{told}"
            );
            assert_eq!(before - total(), planned.freed, "{told}");
            // Done again, nothing is left to do.
            let again = fixture.run(fixture.engine.plan_prune(policy())).unwrap();
            assert!(again.steps.is_empty() && again.freed == 0, "{told}: {again:?}");
            assert!(fixture.names().contains("app:4 <four>"), "{told}");
            assert!(store.image(&fixture.id("four")).unwrap().is_some());
        }
    }
}

#[test]
fn what_is_needed_since_the_plan_stays() {
    let fixture = Fixture::new(&["web tags=web:1", "old", "free"]);
    let lease = fixture.store().lease().unwrap();
    lease.hold_image(&fixture.id("web")).unwrap();
    let all = || PrunePolicy { all: true, ..PrunePolicy::default() };
    let (_, left) = pruned(&fixture, all());
    assert_eq!((left.as_str(), fixture.names().as_str()), ("<web>", "web:1 <web>"));
    drop(lease);
    assert_eq!(pruned(&fixture, all()).1, "");

    // An image that got a name, and one whose name moved, are not those of the plan.
    let fixture = Fixture::new(&["old", "web tags=web:1", "new tags=new:1"]);
    let plan = fixture.run(fixture.engine.plan_prune(all())).unwrap();
    fixture.run(fixture.engine.tag(&fixture.id("old").to_string(), None, ("named", "1"))).unwrap();
    fixture.run(fixture.engine.tag("new:1", None, ("web", "1"))).unwrap();
    let mut failures = Vec::new();
    let mut removed = Vec::new();
    for step in plan.steps.iter().filter(|step| step.id != fixture.id("new")) {
        removed.extend(fixture.engine.take(step, &mut failures).unwrap());
    }
    assert!(removed.is_empty() && failures.is_empty(), "{removed:?} {failures:?}");
    assert_eq!(fixture.names(), "named:1 <old>, new:1 <new>, web:1 <new>");
}

#[test]
fn partial_downloads_go_unless_labels_or_time_leave_them() {
    for (filters, stays) in [
        (PrunePolicy::default(), false),
        (PrunePolicy { all: true, ..PrunePolicy::default() }, false),
        // A download has no labels, and this one began just now.
        (PrunePolicy { labels: labels(&["a"]), ..PrunePolicy::default() }, true),
        (PrunePolicy { until: at(1), ..PrunePolicy::default() }, true),
    ] {
        let fixture = Fixture::new(&[]);
        let store = fixture.store();
        let lease = store.lease().unwrap();
        let digest = spec::Digest::sha256(b"whole");
        let ingest = store.ingest(&lease, &digest, 10).unwrap();
        ingest.writer(0..5).unwrap().write(b"whole").unwrap();
        drop((ingest, lease));
        let size = store.partial_downloads().unwrap();
        assert!(size > 0);
        let told = format!("{filters:?}");
        let reclaimed =
            fixture.run(fixture.engine.prune().unwrap().run(filters)).unwrap().reclaimed;
        let left = if stays { size } else { 0 };
        assert_eq!(store.partial_downloads().unwrap(), left, "{told}");
        assert_eq!(reclaimed, size - left, "{told}");
    }
}

#[test]
fn one_prune_runs_at_a_time() {
    let fixture = Fixture::new(&[]);
    let first = fixture.engine.prune().unwrap();
    let error = fixture.engine.prune().unwrap_err();
    assert_eq!(error.message(), "a prune operation is already running");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    fixture.run(first.run(PrunePolicy::default())).unwrap();
    // One that never ran gives the right back, too.
    drop(fixture.engine.prune().unwrap());
    assert!(fixture.engine.prune().is_ok());
}

#[test]
fn an_image_that_cannot_be_read_is_passed_over() {
    let fixture = Fixture::new(&["old layers=-", "broken layers=-"]);
    let hex = fixture.id("broken").digest().hex();
    let config = fixture.store().root().join("image/packed/imagedb/content/sha256").join(hex);
    std::fs::write(config, "{").unwrap();
    let (removed, _) = pruned(&fixture, PrunePolicy::default());
    assert_eq!(removed, "deleted <old>");
}

#[test]
fn filters_are_dockerds() {
    let until = Some("2024-01-01T00:00:00Z".parse().unwrap());
    let labels = |labels: &[&str]| labels.iter().map(ToString::to_string).collect();
    let with = |given: &[&str]| PrunePolicy { labels: labels(given), ..PrunePolicy::default() };
    let without =
        |given: &[&str]| PrunePolicy { without_labels: labels(given), ..PrunePolicy::default() };
    let table = [
        (PrunePolicy::default(), "", "null", true),
        (PrunePolicy { until, ..PrunePolicy::default() }, "2024-01-01T00:00:00Z", "null", true),
        (PrunePolicy { until, ..PrunePolicy::default() }, "2024-01-01T00:00:01Z", "null", false),
        (PrunePolicy { until, ..PrunePolicy::default() }, "", "null", false),
        (with(&["a"]), "", "null", false),
        (with(&["a", "b=1"]), "", r#"{"a":"","b":"1"}"#, true),
        (with(&["a", "b=1"]), "", r#"{"a":"","b":"2"}"#, false),
        (without(&["a"]), "", "null", true),
        (without(&["a"]), "", r#"{"a":""}"#, false),
        // Only an image that has all of them stays.
        (without(&["a", "b"]), "", r#"{"a":""}"#, true),
    ];
    for (filters, created, labels, expected) in table {
        let given: Option<BTreeMap<String, String>> = serde_json::from_str(labels).unwrap();
        let included = filters.includes(created.parse().ok(), given.as_ref());
        assert_eq!(included, expected, "{filters:?} {labels}");
    }
}

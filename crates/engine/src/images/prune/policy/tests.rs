use std::path::PathBuf;

use spec::{ChainId, Digest};

use super::*;

/// The time of all surveys, in seconds.
const NOW: i64 = 1000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn id(name: &str) -> ImageId {
    ImageId::new(Digest::sha256(name.as_bytes()))
}

/// Makes a survey of images in a few words: `a tags=app:1,app:2 digests=app used=10 at=1 layers=base:100,a:20 blobs=m:3 parent=b user=mount`.
fn survey(lines: &[&str], downloads: &[(i64, u64)]) -> (Survey, Vec<String>) {
    let mut survey = Survey {
        now: at(NOW),
        images: Vec::new(),
        ledger: Ledger::default(),
        downloads: downloads.iter().map(|(written, bytes)| (at(*written), *bytes)).collect(),
    };
    let mut called = Vec::new();
    for line in lines {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        called.push(name.to_owned());
        let mut image = Candidate {
            id: id(name),
            names: Vec::new(),
            created: Some(at(0)),
            last_used: at(0),
            labels: None,
            parent: None,
            user: None,
        };
        let mut things = HashSet::new();
        for (key, value) in words.map(|word| word.split_once('=').unwrap()) {
            let number = || at(value.parse().unwrap());
            let sized = || value.split(',').map(|word| word.split_once(':').unwrap());
            let digest = |word: &str| Digest::sha256(word.as_bytes());
            let mut add = |thing: Thing, size: &str| {
                survey.ledger.sizes.insert(thing.clone(), size.parse().unwrap());
                things.insert(thing);
            };
            match key {
                "tags" => image
                    .names
                    .extend(value.split(',').map(|tag| Reference::parse_familiar(tag).unwrap())),
                "digests" => image.names.extend(value.split(',').map(|repository| {
                    let name = format!("{repository}@{}", digest(name));
                    Reference::parse_familiar(&name).unwrap()
                })),
                "used" => image.last_used = number(),
                "at" => image.created = Some(number()),
                "labels" => {
                    let labels = BTreeMap::from([(value.to_owned(), String::new())]);
                    image.labels = Some(Arc::new(labels));
                }
                "layers" => sized()
                    .for_each(|(word, size)| add(Thing::Layer(ChainId::new(digest(word))), size)),
                "blobs" => sized().for_each(|(word, size)| add(Thing::Blob(digest(word)), size)),
                "parent" => image.parent = Some(id(value)),
                "user" => {
                    image.user = Some(match value {
                        "mount" => ImageUse::Mounted(PathBuf::from("/m")),
                        "container" => ImageUse::Container("c".to_owned()),
                        _ => ImageUse::Running,
                    });
                }
                _ => panic!("{line}"),
            }
        }
        survey.ledger.of_images.insert(image.id.clone(), things);
        survey.images.push(image);
    }
    (survey, called)
}

/// Tells a plan: `a[app:1] 120 (untagged)` for an image that goes, `~a[app:1]` for names alone, `!a` for what is in use, `+7` for
/// partial downloads.
fn told(plan: &Plan, called: &[String]) -> String {
    let name = |wanted: &ImageId| called.iter().find(|name| id(name) == *wanted).unwrap().clone();
    let names = |names: &[Reference]| {
        let short = |name: &Reference| match name.digest() {
            Some(_) => format!("{}@", name.repository().familiar()),
            None => name.familiar(),
        };
        names.iter().map(short).collect::<Vec<_>>().join(" ")
    };
    let reason = |reason: &PruneReason| match reason {
        PruneReason::NoTag => "untagged".to_owned(),
        PruneReason::NotInUse => "unused".to_owned(),
        PruneReason::NotAmongLast(count) => format!("last {count}"),
        PruneReason::Idle => "idle".to_owned(),
        PruneReason::Matches => "match".to_owned(),
        PruneReason::OverSize(max) => format!("over {max}"),
    };
    let steps = plan.steps.iter().map(|step| {
        let mark = if step.is_whole { "" } else { "~" };
        let reasons: Vec<String> = step.reasons.iter().map(reason).collect();
        let (of, frees) = (names(&step.names), step.frees);
        format!("{mark}{}[{of}] {frees} ({})", name(&step.id), reasons.join(", "))
    });
    let spared = plan.spared.iter().map(|spared| format!("!{}", name(&spared.id)));
    let downloads = plan.downloads.map(|discard| discard.bytes).filter(|bytes| *bytes > 0);
    let downloads = downloads.map(|bytes| format!("+{bytes}"));
    steps.chain(spared).chain(downloads).collect::<Vec<_>>().join("; ")
}

fn policy(words: &str) -> PrunePolicy {
    let mut policy = PrunePolicy::default();
    for word in words.split(' ').filter(|word| !word.is_empty()) {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "dangling" => continue,
            "all" => {}
            "keep-last" => policy.keep_last = Some(value.parse().unwrap()),
            "unused-for" => {
                policy.unused_for = Some(SignedDuration::from_secs(value.parse().unwrap()));
            }
            "max-size" => policy.max_size = Some(value.parse().unwrap()),
            "reference" => policy.references.push(Glob::parse(value).unwrap()),
            "label" => policy.labels.push(value.to_owned()),
            "without" => policy.without_labels.push(value.to_owned()),
            "until" => policy.until = Some(at(value.parse().unwrap())),
            _ => panic!("{words}"),
        }
        policy.all = !words.contains("dangling");
    }
    policy
}

fn decided(words: &str, lines: &[&str], downloads: &[(i64, u64)]) -> String {
    let (survey, called) = survey(lines, downloads);
    told(&decide(&policy(words), &survey), &called)
}

/// Six images: five versions of an application, one of them without a tag, and a database.
const HOUSE: [&str; 6] = [
    "one tags=app:1 used=100 at=10 layers=base:100,one:10",
    "two tags=app:2,app:old used=300 at=20 layers=base:100,two:20",
    "three tags=app:3,ci/app:pr-7 used=200 at=30 layers=base:100,three:30",
    "four tags=app:4 used=900 at=40 layers=base:100,four:40 user=container",
    "old digests=app used=150 at=15 layers=base:100,old:15 blobs=old:1",
    "db tags=db:1 digests=db used=950 at=5 layers=db:500 labels=keep",
];
/// A partial download of long ago, and one of just now.
const DOWNLOADS: [(i64, u64); 2] = [(10, 7), (990, 70)];

#[test]
fn a_policy_takes_what_nothing_protects() {
    for (words, expected) in [
        ("", "old[app@] 16 (untagged); +77"),
        (
            "all",
            "three[app:3 ci/app:pr-7] 30 (unused); two[app:2 app:old] 20 (unused); old[app@] 16 (untagged); \
             one[app:1] 10 (unused); db[db:1 db@] 500 (unused); !four; +77",
        ),
        ("all label=keep", "db[db:1 db@] 500 (unused)"),
        (
            "all without=keep until=20",
            "two[app:2 app:old] 20 (unused); old[app@] 16 (untagged); one[app:1] 10 (unused); +7",
        ),
        // Those that were used last stay, whichever are younger. What has no tag is none of them.
        (
            "keep-last=2",
            "~three[app:3] 0 (last 2); old[app@] 16 (untagged); one[app:1] 10 (last 2); +77",
        ),
        ("keep-last=9", "old[app@] 16 (untagged); +77"),
        (
            "unused-for=700",
            "three[app:3 ci/app:pr-7] 30 (idle); two[app:2 app:old] 20 (idle); old[app@] 16 (untagged, idle); \
             one[app:1] 10 (idle); +7",
        ),
        (
            "unused-for=800 keep-last=1",
            "~three[app:3] 0 (last 1, idle); old[app@] 16 (untagged, idle); one[app:1] 10 (last 1, idle); +7",
        ),
        ("reference=ci/*", "~three[ci/app:pr-7] 0 (match)"),
        (
            "reference=app:[12] reference=db",
            "~two[app:2] 0 (match); one[app:1] 10 (match); db[db:1 db@] 500 (match)",
        ),
        // A pattern counts its own names only.
        (
            "reference=app:[123] keep-last=1",
            "~three[app:3] 0 (last 1, match); one[app:1] 10 (last 1, match)",
        ),
        ("dangling unused-for=850", "old[app@] 16 (untagged, idle); +7"),
        // 716 bytes of images, 77 of downloads.
        ("max-size=793", ""),
        ("max-size=716", "+77"),
        ("max-size=715", "one[app:1] 10 (over 715); +77"),
        ("max-size=690", "one[app:1] 10 (over 690); old[app@] 16 (untagged, over 690); +77"),
        (
            "max-size=0",
            "one[app:1] 10 (over 0); old[app@] 16 (untagged, over 0); three[app:3 ci/app:pr-7] 30 (over 0); \
             two[app:2 app:old] 20 (over 0); db[db:1 db@] 500 (over 0); !four; +77",
        ),
        // A name alone frees nothing: what keeps one stays.
        (
            "max-size=0 keep-last=1",
            "one[app:1] 10 (last 1, over 0); old[app@] 16 (untagged, over 0); two[app:2 app:old] 20 (last 1, over 0); +77",
        ),
        ("max-size=600 unused-for=900", "one[app:1] 10 (idle, over 600); +7"),
    ] {
        assert_eq!(decided(words, &HOUSE, &DOWNLOADS), expected, "{words}");
    }
}

#[test]
fn what_is_shared_is_freed_with_the_last_that_has_it() {
    let lines = [
        "a tags=a:1 used=1 layers=base:100,a:1 blobs=base:50,a:2",
        "b tags=b:1 used=2 layers=base:100,b:3 blobs=base:50",
        "c tags=c:1 used=3 layers=c:9 user=mount",
    ];
    for (words, expected) in [
        ("max-size=162", "a[a:1] 3 (over 162)"),
        ("max-size=161", "a[a:1] 3 (over 161); b[b:1] 153 (over 161)"),
        ("max-size=165", ""),
    ] {
        assert_eq!(decided(words, &lines, &[]), expected, "{words}");
    }
    let (mut survey, called) = survey(&lines, &[]);
    survey.ledger.held.insert(Thing::Layer(ChainId::new(Digest::sha256(b"base"))));
    let plan = decide(&policy("all"), &survey);
    assert_eq!(told(&plan, &called).matches("100").count(), 0);
    assert_eq!((plan.frees.layers, plan.frees.content), (4, 52), "what is held is not freed");
}

#[test]
fn nothing_in_use_goes_and_all_users_count() {
    for user in ["mount", "container", "running"] {
        let used = format!("used tags=used:1,other:1 layers=a:1 user={user}");
        let dangling = format!("dangling layers=b:1 user={user}");
        let lines = [used.as_str(), &dangling];
        for words in ["", "all", "keep-last=1 all", "unused-for=1", "max-size=0", "reference=*"] {
            let said = decided(words, &lines, &[]);
            let is_spared = said.split("; ").all(|part| part.is_empty() || part.starts_with('!'));
            assert!(is_spared, "{words}: {said}");
        }
    }
}

#[test]
fn what_others_stand_on_goes_after_them_or_loses_its_name() {
    let base = "base tags=base:1 used=1 at=9 layers=base:100";
    let step = "step used=1 at=9 layers=base:100,step:1 parent=base";
    let top = "top tags=top:1 used=500 at=1 layers=base:100,step:1,top:10 parent=step";
    let mounted = format!("{top} user=mount");
    for (lines, words, expected) in [
        // Steps go with the image that they led to.
        ([base, step, top], "all", "top[top:1] 11 (unused); base[base:1] 100 (unused)"),
        ([base, step, top], "max-size=110", "top[top:1] 11 (over 110)"),
        ([base, step, top], "unused-for=900", "~base[base:1] 0 (idle)"),
        ([base, step, &mounted], "all", "~base[base:1] 0 (unused); !top"),
        ([base, step, &mounted], "max-size=0", "!top"),
        ([base, step, top], "", ""),
    ] {
        assert_eq!(decided(words, &lines, &[]), expected, "{words} {lines:?}");
    }
}

#[test]
fn images_of_one_moment_go_in_an_order_of_their_own() {
    let lines =
        ["a tags=app:1 used=5 at=1", "b tags=app:2 used=5 at=2", "c tags=app:3 used=5 at=2"];
    let kept = decided("keep-last=2", &lines, &[]);
    assert_eq!(kept, "a[app:1] 0 (last 2)", "of those used at once the younger ones stay");
    let reversed: Vec<&str> = lines.into_iter().rev().collect();
    for words in ["all", "keep-last=1", "max-size=0"] {
        assert_eq!(decided(words, &lines, &[]), decided(words, &reversed, &[]), "{words}");
    }
}

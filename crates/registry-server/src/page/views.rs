//! The facts as HTML.

use std::collections::{BTreeMap, BTreeSet};

use spec::{Descriptor, ImageManifest, REFERENCE_TYPE_ANNOTATION};

use super::facts::{About, Content, Document, Facts, Referrer, Repository};
use super::html::Html;
use crate::name::RepositoryName;
use crate::query::encode;
use crate::storage::Reference;

pub(super) const STYLE: &str = include_str!("style.css");

/// Layers, platforms or annotations of one image on its page.
const MAX_SHOWN: usize = 100;
/// Characters of an annotation.
const MAX_VALUE: usize = 300;

/// Writes the page. `host` is what the client calls this registry.
pub(super) fn page(facts: &Facts, host: &str) -> String {
    let mut html = Html::default();
    html.raw("<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>");
    html.raw("<title>")
        .text(&title(facts))
        .text(host)
        .raw("</title><style>")
        .raw(STYLE)
        .raw("</style>");
    html.raw("<nav><a href='/'>").text(host).raw("</a>");
    if let Facts::Image { name, .. } = facts {
        html.raw(" / <a href='")
            .text(&tags_link(name.as_str()))
            .raw("'>")
            .text(name.as_str())
            .raw("</a>");
    }
    html.raw("</nav><main>");
    match facts {
        Facts::Repositories { rows, next } => repositories(&mut html, host, rows, next.as_deref()),
        Facts::Tags { name, rows, next } => tags(&mut html, name, rows, next.as_deref()),
        Facts::Image { name, reference, document, referrers } => {
            let pulled = pulled(host, name, reference);
            image(&mut html, (&pulled, name), document, referrers);
        }
        Facts::Nothing => {
            html.raw("<h1>Not here</h1><p>This registry has nothing of that name.");
        }
    }
    html.raw("</main><footer>Longshore registry · <a href='/v2/_catalog'>/v2/_catalog</a></footer></html>\n");
    html.finish()
}

fn title(facts: &Facts) -> String {
    match facts {
        Facts::Tags { name, .. } => format!("{name} · "),
        Facts::Image { name, reference, .. } => format!("{name} {reference} · "),
        Facts::Repositories { .. } | Facts::Nothing => String::new(),
    }
}

fn repositories(html: &mut Html, host: &str, rows: &[Repository], next: Option<&str>) {
    html.raw("<h1>Repositories</h1>");
    if rows.is_empty() {
        html.raw("<p>Nothing is here yet. Push something:<pre>longshore tag IMAGE ")
            .text(host)
            .raw("/NAME:TAG\nlongshore push ")
            .text(host)
            .raw("/NAME:TAG</pre>");
    }
    html.raw("<ul>");
    for Repository { name, tags, is_cut, about } in rows {
        html.raw("<li><b><a href='").text(&tags_link(name)).raw("'>").text(name).raw("</a></b>");
        for tag in tags {
            html.raw("<a class=tag href='")
                .text(&image_link(name, tag))
                .raw("'>")
                .text(tag)
                .raw("</a>");
        }
        if *is_cut {
            html.raw("<span class=dim>…</span>");
        }
        if *about > 0 {
            html.raw("<span class=dim>")
                .text(&spec::counted(*about, "signature or SBOM/signatures and SBOMs"))
                .raw("</span>");
        }
        html.raw("</li>");
    }
    html.raw("</ul>");
    more(html, next.map(|last| format!("/?last={}", encode(last))));
}

fn tags(
    html: &mut Html,
    name: &RepositoryName,
    rows: &[(String, Option<Document>)],
    next: Option<&str>,
) {
    heading(html, name.as_str());
    html.raw("<ul>");
    for (tag, document) in rows {
        html.raw("<li><b><a href='").text(&image_link(name.as_str(), tag)).raw("'>");
        match About::of(tag) {
            Some(About { kind, subject }) => {
                let is_of = |(_, row): &&(String, Option<Document>)| {
                    row.as_ref().is_some_and(|row| row.digest == subject)
                };
                let named = rows.iter().find(is_of).map(|(tag, _)| tag.clone());
                html.text(kind).raw(" of ").text(&named.unwrap_or_else(|| subject.to_string()));
            }
            None => _ = html.text(tag),
        }
        html.raw("</a></b>");
        if let Some(document) = document {
            html.raw("<span class=dim>");
            summary(html, document);
            html.raw("</span><code>").text(&document.digest.to_string()).raw("</code>");
        }
        html.raw("</li>");
    }
    html.raw("</ul>");
    more(html, next.map(|last| format!("{}&last={}", tags_link(name.as_str()), encode(last))));
}

/// A name as a heading, which is broken between its parts where a screen is narrow.
fn heading(html: &mut Html, name: &str) {
    html.raw("<h1>");
    for part in name.split_inclusive('/') {
        html.text(part).raw("<wbr>");
    }
    html.raw("</h1>");
}

/// Platforms and size in a few words.
fn summary(html: &mut Html, document: &Document) {
    match &document.content {
        Content::Image { platform, image, .. } => {
            if let Some(platform) = platform {
                html.text(&platform.to_string()).raw(" · ");
            }
            html.count(image.layers.len(), if is_image(image) { "layer" } else { "blob" });
        }
        Content::Index(entries) => {
            let platforms = entries.iter().filter(|(entry, _)| attests(entry).is_none());
            html.count(platforms.count(), "platform");
        }
        Content::Other => {
            html.text(&document.media_type);
        }
    }
    if let Some(size) = document.size() {
        html.raw(" · ").size(size);
    }
}

fn image(
    html: &mut Html,
    (pulled, name): (&str, &RepositoryName),
    document: &Document,
    referrers: &[Referrer],
) {
    heading(html, pulled);
    match about(pulled, document) {
        Some(About { kind, subject }) => {
            let subject = subject.to_string();
            html.raw("<p>").text(kind).raw(" of <a href='");
            html.text(&image_link(name.as_str(), &subject)).raw("'>").text(&subject);
            html.raw("</a>, and no image</p><dl>");
        }
        None => {
            html.raw("<pre>longshore pull ")
                .text(pulled)
                .raw("\ndocker pull ")
                .text(pulled)
                .raw("</pre><dl>");
        }
    }
    html.raw("<dt>Digest<dd><code>").text(&document.digest.to_string()).raw("</code><dt>Type<dd>");
    html.text(&document.media_type);
    if let Some(size) = document.size() {
        html.raw("<dt>Size<dd>").size(size);
    }
    if let Content::Image { platform, created, image } = &document.content {
        if let Some(platform) = platform {
            html.raw("<dt>Platform<dd>").text(&platform.to_string());
        }
        if let Some(created) = created {
            html.raw("<dt>Created<dd>").text(&shortened(created));
        }
        html.raw("<dt>Image ID<dd><code>").text(&image.config.digest.to_string()).raw("</code>");
    }
    html.raw("</dl>");
    match &document.content {
        Content::Image { image, .. } => layer_list(html, image),
        Content::Index(entries) => platform_list(html, name, entries),
        Content::Other => {}
    }
    if !referrers.is_empty() {
        html.raw("<h2>Refers to it</h2><ul>");
        for Referrer { digest, artifact_type } in referrers {
            let kind = artifact_type.as_deref().unwrap_or("no type");
            html.raw("<li><b><a href='").text(&image_link(name.as_str(), digest)).raw("'>");
            html.text(&shortened(kind)).raw("</a></b><code>").text(digest).raw("</code></li>");
        }
        html.raw("</ul>");
    }
    annotation_list(html, &document.annotations);
}

/// Returns what this is about, if its tag says so and it is no image.
fn about(pulled: &str, document: &Document) -> Option<About> {
    let (_, tag) = pulled.rsplit_once(':')?;
    let found = About::of(tag)?;
    let is_one = matches!(&document.content, Content::Image { image, .. } if is_image(image));
    (!is_one).then_some(found)
}

/// Says whether there is a layer that could be one of an image.
fn is_image(image: &ImageManifest) -> bool {
    image.layers.is_empty() || image.layers.iter().any(|layer| layer.media_type.may_be_layer())
}

fn layer_list(html: &mut Html, image: &ImageManifest) {
    let (layers, kind) = (&image.layers, if is_image(image) { "layer" } else { "blob" });
    let types: BTreeSet<&str> = layers.iter().map(|layer| layer.media_type.as_str()).collect();
    html.raw("<h2>").count(layers.len(), kind).raw("</h2>");
    // What all have in common is said once.
    let common = types.first().filter(|_| types.len() == 1);
    if let Some(media_type) = common {
        html.raw("<p class=dim>").text(&shortened(media_type)).raw("</p>");
    }
    html.raw("<ol>");
    for layer in layers.iter().take(MAX_SHOWN) {
        html.raw("<li><code>").text(&layer.digest.to_string()).raw("</code>");
        if common.is_none() {
            html.raw("<span class=dim>").text(&shortened(layer.media_type.as_str()));
            html.raw("</span>");
        }
        html.raw("<span>").size(layer.size).raw("</span></li>");
    }
    html.raw("</ol>");
    left_out(html, layers.len());
}

fn platform_list(html: &mut Html, name: &RepositoryName, entries: &[(Descriptor, Option<u64>)]) {
    html.raw("<h2>").count(entries.len(), "manifest").raw("</h2><ul>");
    for (entry, size) in entries.iter().take(MAX_SHOWN) {
        let platform = entry.platform.as_ref().map(ToString::to_string);
        let called = attests(entry).or(platform.as_deref()).unwrap_or(entry.media_type.as_str());
        let digest = entry.digest.to_string();
        html.raw("<li><b><a href='").text(&image_link(name.as_str(), &digest)).raw("'>");
        html.text(&shortened(called)).raw("</a></b>");
        if let Some(size) = size {
            html.raw("<span>").size(*size).raw("</span>");
        }
        html.raw("<code>").text(&digest).raw("</code></li>");
    }
    html.raw("</ul>");
    left_out(html, entries.len());
}

fn annotation_list(html: &mut Html, annotations: &BTreeMap<String, String>) {
    if annotations.is_empty() {
        return;
    }
    html.raw("<h2>Annotations</h2><dl>");
    for (key, value) in annotations.iter().take(MAX_SHOWN) {
        html.raw("<dt>").text(&shortened(key)).raw("<dd>").text(&shortened(value));
    }
    html.raw("</dl>");
    left_out(html, annotations.len());
}

fn left_out(html: &mut Html, count: usize) {
    if count > MAX_SHOWN {
        html.raw("<p class=dim>and ").text(&(count - MAX_SHOWN).to_string()).raw(" more</p>");
    }
}

/// The kind of an index's entry that is an attestation and no image.
fn attests(entry: &Descriptor) -> Option<&str> {
    entry.annotations.get(REFERENCE_TYPE_ANNOTATION).map(String::as_str)
}

fn more(html: &mut Html, link: Option<String>) {
    if let Some(link) = link {
        html.raw("<p><a href='").text(&link).raw("'>More</a></p>");
    }
}

fn tags_link(name: &str) -> String {
    format!("/?repository={}", encode(name))
}

fn image_link(name: &str, reference: &str) -> String {
    format!("/?repository={}&reference={}", encode(name), encode(reference))
}

/// The name that a pull takes.
fn pulled(host: &str, name: &RepositoryName, reference: &Reference) -> String {
    match reference {
        Reference::Tag(tag) => format!("{host}/{name}:{}", tag.as_str()),
        Reference::Digest(digest) => format!("{host}/{name}@{digest}"),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
